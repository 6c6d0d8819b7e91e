//! Results on their way in and out again: findings, scores, drift, repeats, and envelopes that do not fit.

use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::harness::until;
use uuid::Uuid;

use crate::fixture::{Fixture, Host, envelope, expect, fact, inventory, version_of};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_host_reports_is_scored_and_shown() -> Result<()> {
    let fixture = Fixture::start().await?;
    let spec = json!({ "plan": "Enterprise", "frameworks": ["cis-debian-12"] });
    let tenant = fixture.tenant("acme", spec).await?;
    let ada = fixture.person("acme", "readonly").await?;
    let host = fixture.host("acme").await?;
    let bad = envelope(Uuid::now_v7(), 3);
    let failing: Vec<String> = bad["findings"].as_array().unwrap().iter().map(|f| f["check"].to_string()).collect();
    assert_eq!(failing.len(), 3);
    let ack = &host.results(&[json!({ "envelope": bad })]).await?[0];
    assert_eq!((&ack["accepted"], &ack["duplicate"]), (&json!(true), &json!(false)), "{ack}");

    let findings = ada.get("/v1/findings?sort=-severity&page_size=2").expect(StatusCode::OK).await?;
    assert_eq!((&findings["total"], findings["items"].as_array().unwrap().len()), (&json!(3), 2));
    let finding = &findings["items"][0];
    assert_eq!((&finding["status"], &finding["evidence"]["actual"]), (&json!("open"), &json!("6")));
    for text in ["title", "rationale", "remediation"] {
        assert!(!finding[text].as_str().unwrap().is_empty(), "{text}");
    }
    let id = finding["id"].as_str().unwrap();
    let response = ada.get(&format!("/v1/findings/{id}")).send().await?;
    let etag = response.headers()["etag"].to_str()?.to_owned();
    expect(response, StatusCode::OK).await?;
    let again = ada.get(&format!("/v1/findings/{id}")).header("if-none-match", &etag).send().await?;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);

    let overview = ada.get("/v1/overview").expect(StatusCode::OK).await?;
    let score = overview["score"].as_i64().unwrap();
    assert!(score < 100 && overview["checks"]["failed"] == 3, "{overview}");
    assert_eq!((&overview["assets"], &overview["agents"]["online"]), (&json!(1), &json!(1)));
    assert_eq!(overview["worst_findings"].as_array().unwrap().len(), 3);
    until(Duration::from_secs(5), "frameworks follow", async || {
        let scores = ada.get("/v1/compliance/scores").expect(StatusCode::OK).await?;
        Ok((&scores["score"], &scores["frameworks"][0]["framework"]) == (&json!(score), &json!("cis-debian-12")))
    })
    .await?;
    let checks = ada.get(&format!("/v1/assets/{}/checks?verdict=fail", host.asset_id)).expect(StatusCode::OK).await?;
    assert_eq!(checks["total"], 3);
    let runs = ada.get("/v1/runs").expect(StatusCode::OK).await?;
    assert_eq!((&runs["total"], &runs["items"][0]["checks"]["failed"]), (&json!(1), &json!(3)));

    // What the operator reads follows within 5 s.
    until(Duration::from_secs(5), "the rollup follows", async || {
        let mut tx = fixture.owner.begin().await?;
        let rollup = store::rollups::get(&mut tx, tenant.id).await?;
        tx.rollback().await?;
        Ok(rollup.is_some_and(|rollup| rollup.rollup.score == i16::try_from(score).ok()))
    })
    .await?;

    // Fixed: the findings close and the score is whole.
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 0) })]).await?;
    let overview = ada.get("/v1/overview").expect(StatusCode::OK).await?;
    assert_eq!(overview["score"], 100);
    assert_eq!(ada.get("/v1/findings").expect(StatusCode::OK).await?["total"], 0);
    assert_eq!(ada.get("/v1/findings?status=closed").expect(StatusCode::OK).await?["total"], 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_result_twice_is_stored_once_and_drift_needs_the_same_snapshot() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let ada = fixture.person("acme", "user").await?;
    let host = fixture.host("acme").await?;
    let run = Uuid::now_v7();
    let result = json!({ "envelope": envelope(run, 2) });
    let first = host.results(&[result.clone(), result.clone()]).await?;
    assert_eq!((&first[0]["duplicate"], &first[1]["duplicate"]), (&json!(false), &json!(true)));
    let second = host.results(&[result]).await?;
    assert_eq!((&second[0]["accepted"], &second[0]["duplicate"]), (&json!(true), &json!(true)));
    assert_eq!(ada.get("/v1/runs").expect(StatusCode::OK).await?["total"], 1);
    assert_eq!(ada.get("/v1/findings").expect(StatusCode::OK).await?["total"], 2);

    let facts = |base: Option<&str>, now: &[Value]| inventory(Uuid::now_v7(), base, now);
    let (a, b) = (fact("alice"), fact("bob"));
    let ack = host.results(&[json!({ "envelope": facts(None, std::slice::from_ref(&a)) })]).await?;
    assert_eq!(ack[0]["accepted"], true, "{ack:?}");
    let snapshot = ack[0]["snapshot"].as_str().unwrap().to_owned();
    let ack = host
        .results(&[json!({ "envelope": facts(Some("00000000000000000000000000000000"), &[a.clone(), b.clone()]) })])
        .await?;
    assert_eq!((&ack[0]["accepted"], &ack[0]["error"]["code"]), (&json!(false), &json!("snapshot_mismatch")));
    let ack = host.results(&[json!({ "envelope": facts(None, &[a, b]) })]).await?;
    assert_eq!(ack[0]["accepted"], true, "{ack:?}");
    assert_ne!(ack[0]["snapshot"], json!(snapshot));
    let timeline = ada.get(&format!("/v1/assets/{}/timeline", host.asset_id)).expect(StatusCode::OK).await?;
    assert!(timeline["items"].as_array().unwrap().iter().any(|change| change["kind"] == "added"), "{timeline}");

    // An unchanged run comes with the poll; one against a snapshot that is not held is sent whole.
    let (known, unknown) = (Uuid::now_v7(), Uuid::now_v7());
    let unchanged = |run_id: Uuid, base: &str| {
        json!({ "run_id": run_id, "module": "linux-inventory-users", "version": version_of("linux-inventory-users"), "base": base,
            "started_at": chrono::Utc::now(), "duration_ms": 3 })
    };
    let body = json!({
        "wait_seconds": 0, "max_jobs": 0,
        "state": { "agent_version": "0.1.0", "queue_depth": 0, "spool_bytes": 0 },
        "unchanged": [unchanged(known, ack[0]["snapshot"].as_str().unwrap()), unchanged(unknown, &snapshot)],
    });
    let answer = expect(host.post("/v1/agents/jobs/next", &body).await?, StatusCode::OK).await?;
    assert_eq!(answer["rejected_runs"], json!([unknown]));
    let runs = ada.get("/v1/runs?status=unchanged").expect(StatusCode::OK).await?;
    assert_eq!((&runs["total"], &runs["items"][0]["id"]), (&json!(1), &json!(known)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_does_not_fit_costs_only_itself() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let host = fixture.host("acme").await?;
    let broken = |change: fn(&mut Value)| {
        let mut envelope = envelope(Uuid::now_v7(), 1);
        change(&mut envelope);
        json!({ "envelope": envelope })
    };
    let results = [
        broken(|_| {}),
        broken(|envelope| envelope["colour"] = json!("red")),
        broken(|envelope| envelope["module"] = json!("no-such-module")),
        broken(|envelope| envelope["summary"]["passed"] = json!(999)),
        broken(|envelope| envelope["checks"][0]["id"] = json!("no-such-check")),
        broken(|envelope| envelope["duration_ms"] = json!(-1)),
        json!({ "envelope": "no envelope" }),
    ];
    let acks = host.results(&results).await?;
    let codes: Vec<&str> = acks.iter().map(|ack| ack["error"]["code"].as_str().unwrap_or("accepted")).collect();
    let invalid = "invalid_envelope";
    assert_eq!(codes, ["accepted", invalid, "unknown_module", invalid, invalid, invalid, invalid]);

    let unknown = host.post("/v1/agents/results", &json!({ "results": [], "extra": 1 })).await?;
    assert_eq!(expect(unknown, StatusCode::UNPROCESSABLE_ENTITY).await?["details"]["field"], "extra");
    let bomb = zstd::bulk::compress(&vec![b' '; 64 * 1024 * 1024], 3)?;
    let too_large = send_zstd(&host, &fixture, bomb).await?;
    expect(too_large, StatusCode::PAYLOAD_TOO_LARGE).await?;
    let packed = zstd::bulk::compress(&serde_json::to_vec(&json!({ "results": [broken(|_| {})] }))?, 3)?;
    let body = expect(send_zstd(&host, &fixture, packed).await?, StatusCode::OK).await?;
    assert_eq!(body["results"][0]["accepted"], true);
    expect(send_zstd(&host, &fixture, b"not zstd".to_vec()).await?, StatusCode::BAD_REQUEST).await?;
    Ok(())
}

async fn send_zstd(host: &Host, fixture: &Fixture, body: Vec<u8>) -> Result<reqwest::Response> {
    let path = "/v1/agents/results";
    let signed = host.sign("POST", path, body);
    let request = fixture
        .request(Method::POST, path)
        .0
        .bearer_auth(signed.token)
        .header("x-tenantra-timestamp", signed.timestamp_ms)
        .header("x-tenantra-sequence", signed.sequence)
        .header("x-tenantra-signature", signed.signature)
        .header("content-encoding", "zstd")
        .header("content-type", "application/json")
        .body(signed.body);
    Ok(request.send().await?)
}
