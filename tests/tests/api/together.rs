//! Many who look at the overview at once: they share the work, and each sees their own tenant as it is after they asked.

use std::time::Duration;

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::harness::until;
use uuid::Uuid;

use crate::fixture::{Fixture, envelope};

const LOOKS: usize = 200;
/// Those who come while the overview is read.
const LATER: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn those_who_look_at_once_see_their_own_tenant() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("other", json!({ "plan": "Free" })).await?;
    let people = [fixture.person("acme", "readonly").await?, fixture.person("other", "readonly").await?];
    for slug in ["acme", "other"] {
        let host = fixture.host(slug).await?;
        let failing = if slug == "acme" { 3 } else { 1 };
        host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), failing) })]).await?;
    }
    let looks = (0..LOOKS).map(|number| {
        let look = people[number % 2].get("/v1/overview");
        async move {
            let response = look.send().await?;
            assert_eq!(response.status(), StatusCode::OK);
            let tag = response.headers()["etag"].to_str()?.to_owned();
            assert_eq!(response.headers()["content-type"], "application/json");
            let body: Value = response.json().await?;
            anyhow::Ok((number % 2, tag, body))
        }
    });
    let seen = try_join_all(looks).await?;

    for (tenant, _, body) in &seen {
        let (failed, score) = if *tenant == 0 { (3, true) } else { (1, false) };
        assert_eq!(body["checks"]["failed"], failed, "{body}");
        // The free plan has none.
        assert_eq!(body["score"].is_number(), score, "{body}");
        assert!(score || body["trend"] == json!([]), "{body}");
        assert_eq!(body["assets"], 1);
    }
    for (tenant, tag, body) in seen.iter().take(10) {
        for (other, other_tag, other_body) in &seen {
            assert_eq!(tag == other_tag, body == other_body, "a tag for each answer");
            assert!(tenant == other || tag != other_tag);
        }
    }
    let (_, tag, _) = &seen[0];
    let again = people[0].get("/v1/overview").header("if-none-match", tag).send().await?;
    let is_same = again.headers()["etag"] == tag.as_str();
    assert_eq!(again.status() == StatusCode::NOT_MODIFIED, is_same);
    Ok(())
}

/// How often statements with this part were sent.
async fn times(db: &PgPool, part: &str) -> Result<i64> {
    let count = "SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements WHERE strpos(query, $1) > 0
        AND query NOT LIKE '%pg_stat_statements%'";
    Ok(sqlx::query_scalar(count).bind(part).fetch_one(db).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_come_while_the_overview_is_read_share_the_next_reading_which_has_what_changed_before() -> Result<()>
{
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let person = fixture.person("acme", "readonly").await?;
    fixture.host("acme").await?.results(&[json!({ "envelope": envelope(Uuid::now_v7(), 1) })]).await?;
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&db).await?;
    sqlx::query("SELECT pg_stat_statements_reset()").execute(&db).await?;

    let look = || async { person.get("/v1/overview").expect(StatusCode::OK).await };
    // A reading's second statement waits for the findings; its first has read all else.
    let mut held = db.begin().await?;
    sqlx::query("LOCK TABLE tenant_acme.findings IN ACCESS EXCLUSIVE MODE").execute(&mut *held).await?;
    let later = async {
        until(Duration::from_secs(3), "the first reading is held up", async || {
            let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'tenantra_api'
                AND wait_event_type = 'Lock' AND strpos(query, 'severity_rank DESC, opened_at DESC') > 0)";
            Ok(sqlx::query_scalar(waits).fetch_one(&db).await?)
        })
        .await?;
        sqlx::query("UPDATE tenant_acme.runs SET received_at = received_at + interval '1 hour'").execute(&db).await?;
        let release = async {
            // All have come by then; a reading is given up after five seconds.
            tokio::time::sleep(Duration::from_millis(1500)).await;
            held.rollback().await?;
            anyhow::Ok(())
        };
        let (bodies, ()) = tokio::try_join!(try_join_all((0..LATER).map(|_| look())), release)?;
        anyhow::Ok(bodies)
    };
    let (first, later) = tokio::try_join!(look(), later)?;
    let at =
        |body: &Value| -> Result<DateTime<Utc>> { Ok(body["last_result_at"].as_str().context("no result")?.parse()?) };
    for body in &later {
        assert_eq!(at(body)? - at(&first)?, TimeDelta::hours(1), "{body}");
    }
    assert_eq!(times(&db, "trend_days").await?, 2, "the first reading, and one for all who came later");
    Ok(())
}
