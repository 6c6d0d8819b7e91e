//! Work that failed for good, and work that comes faster than it is done, as people and agents see them.

use std::time::Duration;

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgPool};
use tests::harness::until;
use uuid::Uuid;

use crate::fixture::{Fixture, envelope};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_seen_and_tried_again_by_the_platforms_administrators_alone() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let (root, ada) = (fixture.admin().await?, fixture.person("acme", "admin").await?);
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    let id = Uuid::now_v7();
    let dead = format!(
        "INSERT INTO shared.outbox (event_id, tenant_role, kind, payload, attempts, last_error, dead_at)
         VALUES ('{id}', 'tenant_acme', 'run.ingested', '{{\"module\": \"linux-cron\"}}', 10, 'it was in the way', now())"
    );
    sqlx::query(AssertSqlSafe(dead)).execute(&db).await?;
    ada.get("/v1/jobs/dead").expect(StatusCode::FORBIDDEN).await?;
    let retry = format!("/v1/jobs/dead/{id}/retry");
    ada.post(&retry, &json!({})).expect(StatusCode::FORBIDDEN).await?;
    let letters = root.get("/v1/jobs/dead").expect(StatusCode::OK).await?;
    assert_eq!((&letters["total"], &letters["items"][0]["id"]), (&json!(1), &json!(id)));
    let letter = &letters["items"][0];
    assert_eq!((&letter["tenant"], &letter["attempts"]), (&json!("acme"), &json!(10)));
    assert_eq!((&letter["error"], &letter["payload"]["module"]), (&json!("it was in the way"), &json!("linux-cron")));
    root.post(&format!("/v1/jobs/dead/{}/retry", Uuid::now_v7()), &json!({})).expect(StatusCode::NOT_FOUND).await?;
    root.post(&retry, &json!({})).expect(StatusCode::NO_CONTENT).await?;
    root.post(&retry, &json!({})).expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(root.get("/v1/jobs/dead").expect(StatusCode::OK).await?["total"], json!(0));
    let audited = "SELECT count(*) FROM shared.platform_audit WHERE action = 'job.retried' AND tenant_id IS NOT NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(audited).fetch_one(&db).await?, 1);
    // It is told of, so a worker takes it at once.
    until(Duration::from_secs(15), "the event is worked off", async || {
        let done = "SELECT count(*) FROM shared.outbox WHERE done_at IS NOT NULL AND attempts = 1";
        Ok(sqlx::query_scalar::<_, i64>(done).fetch_one(&db).await? == 1)
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_tenant_whose_queue_is_full_is_asked_to_wait_and_others_are_not() -> Result<()> {
    let fixture = Fixture::start().await?;
    for slug in ["acme", "other"] {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let (host, other) = (fixture.host("acme").await?, fixture.host("other").await?);
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    // They wait for an hour, so that no worker takes them.
    sqlx::query(
        "INSERT INTO shared.outbox (event_id, tenant_role, kind, not_before)
         SELECT gen_random_uuid(), 'tenant_acme', 'x', now() + interval '1 hour' FROM generate_series(1, 100000)",
    )
    .execute(&db)
    .await?;
    let body = |failing| json!({ "results": [{ "envelope": envelope(Uuid::now_v7(), failing) }] });
    let path = "/v1/agents/results";
    until(Duration::from_secs(30), "the agent is asked to wait", async || {
        let response = host.post(path, &body(1)).await?;
        let (status, retry_after) = (response.status(), response.headers().get("retry-after").cloned());
        let answer: serde_json::Value = response.json().await?;
        if status == StatusCode::OK {
            return Ok(false);
        }
        assert_eq!((status, &answer["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("queue_full")), "{answer}");
        assert_eq!(answer["details"]["limit"], json!(100_000));
        Ok(retry_after.is_some_and(|seconds| seconds == "30"))
    })
    .await?;
    assert_eq!(other.post(path, &body(1)).await?.status(), StatusCode::OK);
    sqlx::query("DELETE FROM shared.outbox WHERE kind = 'x'").execute(&db).await?;
    until(Duration::from_secs(30), "it goes on", async || {
        Ok(host.post(path, &body(2)).await?.status() == StatusCode::OK)
    })
    .await?;
    Ok(())
}
