//! What strangers try: no credential, a broken signature, a replay, another tenant's identifiers.

use anyhow::Result;
use catalog::wire::sign_request;
use chrono::Utc;
use ed25519_dalek::SigningKey;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{Fixture, envelope, expect, fact, inventory};

const RESULTS: &str = "/v1/agents/results";

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_holds_once_for_one_agent_and_one_body() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("other", json!({ "plan": "Enterprise" })).await?;
    let (host, foreign) = (fixture.host("acme").await?, fixture.host("other").await?);
    let body = |failing| serde_json::to_vec(&json!({ "results": [{ "envelope": envelope(Uuid::now_v7(), failing) }] }));
    let code = async |response| -> Result<Value> {
        let body: Value = expect(response, StatusCode::UNAUTHORIZED).await?;
        Ok(body["code"].clone())
    };

    let signed = host.sign("POST", RESULTS, body(1)?);
    let (sequence, timestamp_ms, bytes) = (signed.sequence, signed.timestamp_ms, signed.body.clone());
    let signature = signed.signature.clone();
    expect(host.send(Method::POST, RESULTS, signed).await?, StatusCode::OK).await?;
    let again = |body: Vec<u8>, sequence, timestamp_ms, signature: &str, token: String| crate::fixture::Signed {
        timestamp_ms,
        sequence,
        signature: signature.to_owned(),
        token,
        body,
    };
    let token = host.token.expose();

    // The very same request again.
    let replay = again(bytes.clone(), sequence, timestamp_ms, &signature, token.clone());
    assert_eq!(code(host.send(Method::POST, RESULTS, replay).await?).await?, "replayed");
    // Another body, number, time, path, method or token under the same signature.
    let tampered = again(body(2)?, sequence + 1, timestamp_ms, &signature, token.clone());
    assert_eq!(code(host.send(Method::POST, RESULTS, tampered).await?).await?, "bad_signature");
    let moved = again(bytes.clone(), sequence + 1, timestamp_ms, &signature, token.clone());
    assert_eq!(code(host.send(Method::POST, RESULTS, moved).await?).await?, "bad_signature");
    let elsewhere = host.sign("POST", "/v1/agents/heartbeat", bytes.clone());
    assert_eq!(code(host.send(Method::POST, RESULTS, elsewhere).await?).await?, "bad_signature");
    let query = host.sign("POST", RESULTS, bytes.clone());
    assert_eq!(code(host.send(Method::POST, "/v1/agents/results?x=1", query).await?).await?, "bad_signature");
    let mut stolen = host.sign("POST", RESULTS, bytes.clone());
    stolen.token = foreign.token.expose();
    assert_eq!(code(host.send(Method::POST, RESULTS, stolen).await?).await?, "bad_signature");
    // Another key.
    let now = Utc::now().timestamp_millis();
    let key = SigningKey::from_bytes(&rand::random());
    let number = sequence + 500;
    let wrong = sign_request(&key, "POST", RESULTS, now, number, &bytes);
    let wrong = again(bytes.clone(), number, now, &wrong, token.clone());
    assert_eq!(code(host.send(Method::POST, RESULTS, wrong).await?).await?, "bad_signature");
    // A clock that is off says by how much to correct it.
    let late = now - 6 * 60 * 1000;
    let signature = sign_request(&host.key, "POST", RESULTS, late, number, &bytes);
    let skewed = again(bytes.clone(), number, late, &signature, token.clone());
    let refused = expect(host.send(Method::POST, RESULTS, skewed).await?, StatusCode::UNAUTHORIZED).await?;
    assert_eq!(refused["code"], "clock_skew");
    assert!((refused["details"]["server_time_ms"].as_i64().unwrap() - now).abs() < 60_000);
    // Numbers may come out of order, once each, and not from below the window.
    for (number, expected) in [
        (number + 2_000, None),
        (number + 1_999, None),
        (number + 1_999, Some("replayed")),
        (sequence + 2, Some("replayed")),
    ] {
        let now = Utc::now().timestamp_millis();
        let heartbeat =
            serde_json::to_vec(&json!({ "state": { "agent_version": "1", "queue_depth": 0, "spool_bytes": 0 } }))?;
        let path = "/v1/agents/heartbeat";
        let signature = sign_request(&host.key, "POST", path, now, number, &heartbeat);
        let response = host.send(Method::POST, path, again(heartbeat, number, now, &signature, token.clone())).await?;
        match expected {
            None => assert_eq!(response.status(), StatusCode::OK),
            Some(expected) => assert_eq!(code(response).await?, expected),
        }
    }
    let unknown = catalog::wire::AgentToken::new(Uuid::now_v7(), rand::random()).expose();
    let unknown = again(bytes, number, now, "x", unknown);
    assert_eq!(code(host.send(Method::POST, RESULTS, unknown).await?).await?, "unknown_credential");

    // Nothing of all that was written: one run, from the first request.
    let admin = fixture.admin().await?;
    assert_eq!(admin.get("/v1/runs").tenant("acme").expect(StatusCode::OK).await?["total"], 1);
    assert_eq!(admin.get("/v1/runs").tenant("other").expect(StatusCode::OK).await?["total"], 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_identifiers_do_not_exist() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("other", json!({ "plan": "Enterprise" })).await?;
    let host = fixture.host("acme").await?;
    host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 1) })]).await?;
    let (ada, eve) = (fixture.person("acme", "admin").await?, fixture.person("other", "admin").await?);
    let finding = ada.get("/v1/findings").expect(StatusCode::OK).await?["items"][0]["id"].as_str().unwrap().to_owned();
    let run = ada.get("/v1/runs").expect(StatusCode::OK).await?["items"][0]["id"].as_str().unwrap().to_owned();
    let token = ada.get("/v1/agents/enrollment-tokens").expect(StatusCode::OK).await?["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let asset = host.asset_id;
    for path in [
        format!("/v1/findings/{finding}"),
        format!("/v1/assets/{asset}"),
        format!("/v1/assets/{asset}/facts"),
        format!("/v1/assets/{asset}/checks"),
        format!("/v1/assets/{asset}/timeline"),
        format!("/v1/assets/{asset}/risk"),
        format!("/v1/runs/{run}"),
        format!("/v1/agents/{}", host.agent_id),
    ] {
        ada.get(&path).expect(StatusCode::OK).await?;
        eve.get(&path).expect(StatusCode::NOT_FOUND).await?;
        eve.get(&path).tenant("acme").expect(StatusCode::NOT_FOUND).await?;
    }
    eve.delete(&format!("/v1/agents/{}", host.agent_id)).expect(StatusCode::NOT_FOUND).await?;
    eve.delete(&format!("/v1/agents/enrollment-tokens/{token}")).expect(StatusCode::NOT_FOUND).await?;
    eve.get("/v1/tenants/acme").expect(StatusCode::FORBIDDEN).await?;
    for list in ["/v1/findings", "/v1/assets", "/v1/runs", "/v1/agents", "/v1/agents/enrollment-tokens", "/v1/waivers"]
    {
        assert_eq!(eve.get(list).expect(StatusCode::OK).await?["total"], 0, "{list}");
    }
    // Still there for those whose they are.
    host.jobs(0, 0).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_needs_a_credential_and_says_what_is_wrong() -> Result<()> {
    let fixture = Fixture::start().await?;
    let document = fixture.request(Method::GET, "/v1/openapi.json").expect(StatusCode::OK).await?;
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if operation["security"].as_array().unwrap().is_empty() {
                continue;
            }
            let path = path.replace("{id}", &Uuid::now_v7().to_string());
            let method = Method::from_bytes(method.to_uppercase().as_bytes())?;
            for token in [None, Some("Bearer nonsense"), Some("Bearer tna_x_y")] {
                let mut call = fixture.request(method.clone(), &path);
                if let Some(token) = token {
                    call = call.header("authorization", token);
                }
                let response = call.0.json(&json!({})).send().await?;
                let trace_id = response.headers()["x-trace-id"].to_str()?.to_owned();
                let body = expect(response, StatusCode::UNAUTHORIZED).await?;
                assert_eq!(body["trace_id"], json!(trace_id), "{method} {path}");
                assert!(body["message"].as_str().unwrap().ends_with('.'), "{body}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 80, "{tried}");

    let none = fixture.request(Method::GET, "/v1/nothing").expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(none["code"], "not_found");
    let wrong = fixture.request(Method::PUT, "/v1/overview").expect(StatusCode::METHOD_NOT_ALLOWED).await?;
    assert_eq!(wrong["code"], "method_not_allowed");
    let admin = fixture.admin().await?;
    for bad in ["/v1/tenants?page=0", "/v1/tenants?page_size=101", "/v1/tenants?page=x"] {
        admin.get(bad).expect(StatusCode::BAD_REQUEST).await?;
    }
    let body = vec![b' '; 9 * 1024 * 1024];
    let large = admin.call(Method::POST, "/v1/tenants").header("content-type", "application/json").0.body(body);
    expect(large.send().await?, StatusCode::PAYLOAD_TOO_LARGE).await?;
    let text = admin.call(Method::POST, "/v1/tenants").header("content-type", "text/plain").0.body("x");
    expect(text.send().await?, StatusCode::UNSUPPORTED_MEDIA_TYPE).await?;

    // Pages for people carry a policy; only the docs may write styles and scripts inline.
    for (path, is_inline) in [("/", false), ("/v1/version", false), ("/docs/", true)] {
        let response = fixture.request(Method::GET, path).send().await?;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let policy = response.headers()["content-security-policy"].to_str()?;
        assert_eq!(policy.contains("unsafe-inline"), is_inline, "{path}: {policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }
    let metrics = fixture.request(Method::GET, "/metrics").send().await?.text().await?;
    assert!(metrics.contains(r#"http_requests_total{method="PUT",route="/v1/overview",status="405"}"#), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_passwords_is_slowed_down() -> Result<()> {
    let fixture = Fixture::start().await?;
    let mut statuses = Vec::new();
    for _ in 0..12 {
        let body = json!({ "email": "nobody@nowhere.example", "password": "guess" });
        let response = fixture.request(Method::POST, "/v1/auth/login").0.json(&body).send().await?;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(response.headers()["retry-after"].to_str()?.parse::<u64>()? >= 1);
            assert_eq!(response.headers()["ratelimit-remaining"], "0");
        }
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 10, "{statuses:?}");
    assert_eq!(statuses.last(), Some(&429));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_character_that_cannot_be_stored_costs_only_what_carries_it() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let host = fixture.host("acme").await?;
    let mut evidence = envelope(Uuid::now_v7(), 1);
    evidence["findings"][0]["evidence"]["actual"] = json!("6\0");
    let results = [
        inventory(Uuid::now_v7(), None, &[fact("ro\0ot")]),
        evidence,
        inventory(Uuid::now_v7(), None, &[fact("root")]),
        envelope(Uuid::now_v7(), 1),
    ];
    let acks = host.results(&results.map(|envelope| json!({ "envelope": envelope }))).await?;
    for bad in &acks[..2] {
        assert_eq!((&bad["accepted"], &bad["error"]["code"]), (&json!(false), &json!("invalid_envelope")), "{bad}");
    }
    for good in &acks[2..] {
        assert_eq!((&good["accepted"], &good["error"]), (&json!(true), &Value::Null), "{good}");
    }
    let admin = fixture.admin().await?;
    assert_eq!(admin.get("/v1/runs").tenant("acme").expect(StatusCode::OK).await?["total"], 2);

    // People are told, too.
    admin.get("/v1/findings?q=%00").tenant("acme").expect(StatusCode::BAD_REQUEST).await?;
    let login = json!({ "email": "ada\0@acme.example", "password": "guess" });
    let refused = fixture.request(Method::POST, "/v1/auth/login").0.json(&login).send().await?;
    assert_eq!(expect(refused, StatusCode::BAD_REQUEST).await?["code"], "bad_request");
    let token = json!({ "name": "tests", "labels": { "role": "w\0eb" } });
    let token = admin.post("/v1/agents/enrollment-tokens", &token).tenant("acme");
    assert!(token.expect(StatusCode::BAD_REQUEST).await?["message"].as_str().unwrap().contains("U+0000"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cost_little_memory() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let host = fixture.host("acme").await?;
    let padded = |bytes: usize| json!({ "email": "a@b.example", "password": "x".repeat(bytes) });
    for (path, body) in [
        ("/v1/auth/login", padded(100_000)),
        ("/v1/auth/refresh", json!({ "refresh_token": "x".repeat(100_000) })),
        ("/v1/agents/enroll/self", padded(100_000)),
    ] {
        let response = fixture.request(Method::POST, path).0.json(&body).send().await?;
        let refused = expect(response, StatusCode::PAYLOAD_TOO_LARGE).await?;
        assert_eq!(refused["details"]["limit_bytes"], 64 * 1024, "{path}");
    }
    let heartbeat = || host.sign("POST", "/v1/agents/heartbeat", vec![b' '; 2 * 1024 * 1024]);
    let refused = host.send(Method::POST, "/v1/agents/heartbeat", heartbeat()).await?;
    assert_eq!(expect(refused, StatusCode::PAYLOAD_TOO_LARGE).await?["details"]["limit_bytes"], 1024 * 1024);
    // Who has no credential is told so, whatever the body is: nobody has looked at it.
    let mut stranger = heartbeat();
    stranger.token = catalog::wire::AgentToken::new(Uuid::now_v7(), rand::random()).expose();
    let refused = host.send(Method::POST, "/v1/agents/heartbeat", stranger).await?;
    assert_eq!(expect(refused, StatusCode::UNAUTHORIZED).await?["code"], "unknown_credential");
    // Few bytes, many values.
    let zeros = format!(r#"{{"results":[{}0]}}"#, "0,".repeat(2_500_000));
    let signed = host.sign("POST", RESULTS, zeros.into_bytes());
    let refused = expect(host.send(Method::POST, RESULTS, signed).await?, StatusCode::PAYLOAD_TOO_LARGE).await?;
    assert_eq!(refused["details"]["limit_values"], 2_000_000);
    Ok(())
}
