//! An operator killed in the middle of its work, and two of them: the standby takes over, the deposed one writes nothing.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tests::harness::until;

use crate::stage::{LONG, Stage};

const TENANTS: usize = 20;
const KILLS: u64 = 20;

#[tokio::test]
async fn killed_at_random_moments_it_finishes_and_doubles_nothing() {
    let stage = Stage::new().await;
    let mut operator = stage.operator("one", &[]);
    operator.tells("this replica leads").await;
    for kill in 0..KILLS {
        if kill < TENANTS as u64 {
            stage.apply(&format!("t{kill}"), json!({ "isolation": { "networkPolicy": "Strict" } })).await;
        }
        // Spread over the whole of a start and of a tenant's creation.
        tokio::time::sleep(Duration::from_millis(rand::random_range(20..900))).await;
        operator.kill();
        operator = stage.operator("one", &[]);
    }
    for number in 0..TENANTS {
        stage.ready(&format!("t{number}")).await;
    }
    assert_eq!(stage.ask("SELECT count(*) FROM shared.tenants").await, TENANTS.to_string());
    assert_eq!(stage.ask("SELECT count(DISTINCT tenant_id) FROM shared.tenants").await, TENANTS.to_string());
    assert_eq!(
        stage.ask("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'tenant\\_t%'").await,
        TENANTS.to_string()
    );
    for number in 0..TENANTS {
        let slug = format!("t{number}");
        let tenant = stage.tenants.get(&slug).await.unwrap();
        let id = tenant.status.unwrap().tenant_id.unwrap();
        assert_eq!(stage.ask(&format!("SELECT tenant_id FROM shared.tenants WHERE slug = '{slug}'")).await, id);
        let mark = stage.bao("GET", &format!("sys/policies/acl/tenant_{slug}_policy"), None).await.unwrap();
        assert!(mark["data"]["policy"].as_str().unwrap().contains(&id));
    }
}

#[tokio::test]
async fn a_standby_takes_over_and_the_deposed_leader_writes_nothing() {
    let stage = Stage::new().await;
    let mut first = stage.operator("one", &[]);
    first.tells("this replica leads").await;
    let second = stage.operator("two", &[]);
    stage.apply("early", json!({})).await;
    stage.ready("early").await;
    assert!(!second.log().contains("this replica leads"));

    let killed = Instant::now();
    first.kill();
    second.tells("this replica leads").await;
    let took = killed.elapsed();
    assert!(took <= Duration::from_secs(20), "the standby took over after {took:?}");
    stage.apply("late", json!({})).await;
    stage.ready("late").await;

    // A leader that is frozen does not know that it was deposed. Its epoch does.
    let third = stage.operator("three", &[]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    second.signal(Signal::STOP);
    third.tells("this replica leads").await;
    stage.apply("later", json!({})).await;
    stage.ready("later").await;
    let stored: i64 = stage.ask("SELECT epoch FROM shared.fencing").await.parse().unwrap();
    let db = store::OwnerDb::connect(&stage.owner_url(), &store::PoolOptions::default()).unwrap();
    let refused = db.begin_fenced(store::fencing::Epoch(stored - 1)).await.unwrap_err();
    assert!(matches!(refused, store::Error::Deposed { .. }), "{refused}");
    second.signal(Signal::CONT);
    let mut second = second;
    second.ended().await;
    until(LONG, "the third one still leads and works", async || {
        stage.apply("last", json!({})).await;
        Ok(true)
    })
    .await
    .unwrap();
    stage.ready("last").await;
    assert_eq!(stage.ask("SELECT epoch FROM shared.fencing").await, stored.to_string());
}
