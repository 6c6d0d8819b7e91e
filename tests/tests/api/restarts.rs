//! The program ends in the middle of an ingest: what was acknowledged is there, what is sent again is not doubled.

use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::fixture::{Fixture, envelope};

const RESULTS: &str = "/v1/agents/results";
/// Results in one request: enough that a kill falls between them.
const BATCH: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_the_program_is_killed_in_mid_ingest() -> Result<()> {
    let fixture = Fixture::start().await?;
    let tenant = fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let host = fixture.host("acme").await?;
    let mut sent = 0;
    for round in 0..5u64 {
        let results: Vec<Value> =
            (0..BATCH).map(|index| json!({ "envelope": envelope(Uuid::now_v7(), (index + 1) % 3) })).collect();
        let body = serde_json::to_vec(&json!({ "results": results }))?;
        let signed = host.sign("POST", RESULTS, body.clone());
        let request = host.send(Method::POST, RESULTS, signed);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(20 + 35 * round)).await;
            fixture.kill();
        };
        // Whether an answer came or not, the agent keeps what was not acknowledged and sends it again.
        let _ = tokio::join!(request, kill);
        fixture.start_program().await?;
        let signed = host.sign("POST", RESULTS, body);
        let response = host.send(Method::POST, RESULTS, signed).await?;
        let acks = crate::fixture::expect(response, StatusCode::OK).await?;
        assert!(acks["results"].as_array().unwrap().iter().all(|ack| ack["accepted"] == true), "{acks}");
        sent += BATCH;
    }
    let admin = fixture.admin().await?;
    let runs = admin.get("/v1/runs?page_size=1").tenant("acme").expect(StatusCode::OK).await?;
    assert_eq!(runs["total"], json!(sent));
    // The last envelope decides what is open; the kept score is what a recompute gives.
    let last = BATCH % 3;
    let findings = admin.get("/v1/findings").tenant("acme").expect(StatusCode::OK).await?;
    assert_eq!(findings["total"], json!(last));
    let db = fixture.api_db()?;
    let mut tx = db.tenant::<store::Read>(&tenant).await?;
    assert_eq!(store::scores::differences(&mut tx).await?, []);
    tx.rollback().await?;

    // What the crash left in the outbox is rolled up.
    let open = i64::try_from(last)?;
    tests::harness::until(Duration::from_secs(10), "the rollup follows", async || {
        let mut tx = fixture.owner.begin().await?;
        let rollup = store::rollups::get(&mut tx, tenant.id).await?;
        tx.rollback().await?;
        let Some(rollup) = rollup.map(|rollup| rollup.rollup) else { return Ok(false) };
        Ok(rollup.open_critical + rollup.open_high + rollup.open_medium + rollup.open_low == open)
    })
    .await?;
    Ok(())
}
