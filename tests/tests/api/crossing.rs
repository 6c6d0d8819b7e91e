//! The borders between tenants under a random attack; `make bench BENCH=isolation` is the same one at its full size.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::Client;
use serde_json::json;
use sqlx::PgPool;
use tests::crossing::{Plan, Target, attack};

use crate::fixture::Fixture;

const REQUESTS: u64 = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_has_anything_of_a_tenant_that_the_caller_does_not_ask_as() -> Result<()> {
    let fixture = Fixture::start().await?;
    let tenants = ["acme", "other", "third"].map(str::to_owned).to_vec();
    for slug in &tenants {
        fixture.tenant(slug, json!({ "plan": "Enterprise" })).await?;
    }
    let environment = fixture.environment();
    let secret = environment.iter().find(|(name, _)| name == "TENA_JWT_SECRET").context("a secret")?;
    let target = Target {
        base: fixture.base.clone(),
        clients: vec![Client::new(), Client::new()],
        admin: fixture.admin().await?.access,
        jwt_secret: secret.1.clone(),
        tenants,
        database: PgPool::connect(&fixture.superuser_url()?).await?,
    };
    let plan = Plan {
        seed: 7,
        requests: REQUESTS,
        at_once: 8,
        backend_ends_every: Duration::from_millis(100),
        limit: Duration::from_mins(5),
    };
    let outcome = attack(&target, plan).await?;
    println!("{outcome:?}");
    assert_eq!((outcome.leaks, outcome.told), (0, Vec::new()));
    // It was an attack: all was sent, much was answered, strangers were refused, and requests were cut from either side.
    assert_eq!(outcome.requests, REQUESTS);
    let answers = |status: u16| outcome.statuses.get(&status).copied().unwrap_or_default();
    assert!(answers(200) > REQUESTS / 5 && answers(401) > REQUESTS / 20 && answers(404) > REQUESTS / 20);
    assert!(outcome.cut > 0 && outcome.backends_ended > 0);
    assert_eq!(answers(500), 0, "what a lost connection breaks is answered with 503");
    Ok(())
}
