//! Many who look at the overview at once: they share the work, and each sees their own tenant as it is after they asked.

use anyhow::Result;
use futures::future::try_join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::fixture::{Fixture, envelope};

const LOOKS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn those_who_look_at_once_share_the_work_and_see_their_own_tenant() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    fixture.tenant("other", json!({ "plan": "Free" })).await?;
    let people = [fixture.person("acme", "readonly").await?, fixture.person("other", "readonly").await?];
    for slug in ["acme", "other"] {
        let host = fixture.host(slug).await?;
        let failing = if slug == "acme" { 3 } else { 1 };
        host.results(&[json!({ "envelope": envelope(Uuid::now_v7(), failing) })]).await?;
    }
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&db).await?;
    sqlx::query("SELECT pg_stat_statements_reset()").execute(&db).await?;
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
    let times = async |of: &str| {
        let count = "SELECT COALESCE(sum(calls), 0)::bigint FROM pg_stat_statements WHERE strpos(query, $1) > 0
            AND query NOT LIKE '%pg_stat_statements%'";
        anyhow::Ok(sqlx::query_scalar::<_, i64>(count).bind(of).fetch_one(&db).await?)
    };
    let (read, asked) = (times("trend_days").await?, times("WITH ORDINALITY AS k (user_id").await?);
    println!("{LOOKS} looks: {read} readings, whose they are asked {asked} times");
    assert!((2..=120).contains(&read) && (1..=150).contains(&asked), "{read} {asked}");

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
