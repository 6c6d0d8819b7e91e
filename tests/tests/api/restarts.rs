//! The program, or its database, ends in the middle of an ingest: what was acknowledged is there, what is sent again is not
//! doubled.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::aftermath::{Acknowledged, Aftermath, examine};
use uuid::Uuid;

use crate::fixture::{Fixture, Host, envelope, expect};

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
        let acks = expect(response, StatusCode::OK).await?;
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

/// Kills of each, program and database: `make bench BENCH=chaos` does a hundred.
const KILLS: u64 = 3;
const HOSTS: usize = 3;

/// Sends one run after the other, each until it is acknowledged, and gives their ids.
async fn report(host: &Host, is_over: &AtomicBool) -> Result<BTreeSet<Uuid>> {
    let mut acknowledged = BTreeSet::new();
    while !is_over.load(Ordering::Relaxed) {
        let run_id = Uuid::now_v7();
        let result = envelope(run_id, acknowledged.len() % 4);
        let body = serde_json::to_vec(&json!({ "results": [{ "envelope": result }] }))?;
        loop {
            let signed = host.sign("POST", RESULTS, body.clone());
            let answer = async { expect(host.send(Method::POST, RESULTS, signed).await?, StatusCode::OK).await };
            match answer.await {
                Ok(acks) => {
                    assert_eq!(acks["results"][0]["accepted"], true, "{acks}");
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        acknowledged.insert(run_id);
    }
    Ok(acknowledged)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_when_program_and_database_are_killed_in_turn() -> Result<()> {
    let fixture = Fixture::start_durable().await?;
    let tenant = fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let mut hosts = Vec::new();
    for _ in 0..HOSTS {
        hosts.push(fixture.host("acme").await?);
    }
    let is_over = AtomicBool::new(false);
    let kill = async {
        for round in 0..KILLS {
            tokio::time::sleep(Duration::from_millis(200 + 130 * round)).await;
            fixture.kill();
            fixture.start_program().await?;
            tokio::time::sleep(Duration::from_millis(300 + 110 * round)).await;
            fixture.kill_database().await?;
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let ((), runs) = tokio::try_join!(kill, try_join_all(hosts.iter().map(|host| report(host, &is_over))))?;
    let runs: BTreeSet<Uuid> = runs.into_iter().flatten().collect();
    println!("{} runs were acknowledged over {KILLS} kills of each", runs.len());
    assert!(runs.len() > HOSTS * usize::try_from(KILLS)?, "{} runs", runs.len());
    let database = PgPool::connect(&fixture.superuser_url()?).await?;
    let acknowledged = [Acknowledged { tenant, runs }];
    let found = examine(&fixture.owner, &fixture.api_db()?, &database, &acknowledged).await?;
    assert_eq!(found, Aftermath::default());
    Ok(())
}

/// Requests that come at once while the database does not answer.
const UNANSWERED: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_while_the_database_does_not_answer_is_told_so_in_seconds_and_served_when_it_is_back() -> Result<()>
{
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let person = fixture.person("acme", "readonly").await?;
    let ask = || async { anyhow::Ok(person.get("/v1/overview").send().await?.status()) };
    assert_eq!(ask().await?, StatusCode::OK);

    let stopped = fixture.stop_database()?;
    let refused = (0..UNANSWERED).map(|_| async {
        let began = Instant::now();
        let response = person.get("/v1/overview").send().await?;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key("retry-after"));
        let body: Value = response.json().await?;
        assert_eq!(body["code"], "unavailable", "{body}");
        anyhow::Ok(began.elapsed())
    });
    let longest = try_join_all(refused).await?.into_iter().max().unwrap_or_default();
    println!("the last of {UNANSWERED} was told after {longest:?}");
    // Five seconds and what a busy machine adds; a second try would make it ten.
    assert!(longest < Duration::from_secs(8), "{longest:?}");
    drop(stopped);

    tests::harness::until(Duration::from_secs(30), "the database serves again", async || {
        Ok(ask().await? == StatusCode::OK)
    })
    .await?;
    let served = try_join_all((0..UNANSWERED).map(|_| ask())).await?;
    assert!(served.iter().all(|status| *status == StatusCode::OK), "{served:?}");
    Ok(())
}
