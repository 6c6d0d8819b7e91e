//! The API's connections: how many tenants one serves, and who gets the next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use store::principal::{self, SignIn};
use store::{Db, PoolOptions, Read, TenantRef};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::installation::Installation;

async fn tenants(installation: &Installation, count: usize) -> anyhow::Result<Vec<TenantRef>> {
    let mut tenants = Vec::new();
    for number in 0..count {
        tenants.push(installation.tenant(&format!("tenant-{number}")).await?);
    }
    Ok(tenants)
}

/// The backends of this pool, as Postgres shows them.
async fn backends(installation: &Installation) -> anyhow::Result<BTreeSet<i32>> {
    let asked = sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE application_name = 'counted'");
    Ok(asked.fetch_all(&installation.admin).await?.into_iter().collect())
}

#[tokio::test]
async fn a_connection_serves_so_many_tenants_and_is_then_replaced() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenants = tenants(&installation, 9).await?;
    let options = PoolOptions { max_connections: 1, max_tenants: 3, ..PoolOptions::named("counted") };
    let db = Db::connect(&installation.url_of("tenantra_api")?, &options)?;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        for tenant in &tenants[..2] {
            db.tenant::<Read>(tenant).await?.rollback().await?;
        }
        seen.append(&mut backends(&installation).await?);
    }
    assert_eq!(seen.len(), 1, "two tenants wear no connection out");
    for tenant in &tenants {
        db.tenant::<Read>(tenant).await?.rollback().await?;
        seen.append(&mut backends(&installation).await?);
    }
    // Three for each connection: the first had two already.
    assert!((3..=4).contains(&seen.len()), "{} backends for nine tenants, three each", seen.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_with_many_requests_does_not_stand_before_another() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenants = tenants(&installation, 2).await?;
    let options = PoolOptions { max_connections: 9, ..PoolOptions::named("counted") };
    let db = Db::connect(&installation.url_of("tenantra_api")?, &options)?;
    let served = Arc::new(AtomicUsize::new(0));
    let mut busy = JoinSet::new();
    for _ in 0..60 {
        let (db, tenant, served) = (db.clone(), tenants[0].clone(), Arc::clone(&served));
        busy.spawn(async move {
            for _ in 0..10 {
                let tx = db.tenant::<Read>(&tenant).await.unwrap();
                served.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
                tx.rollback().await.unwrap();
            }
        });
    }
    let mut overtaken = 0;
    for _ in 0..20 {
        let before = served.load(Ordering::Relaxed);
        let tx = db.tenant::<Read>(&tenants[1]).await?;
        overtaken += served.load(Ordering::Relaxed) - before;
        tx.rollback().await?;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(busy.join_all().await.len(), 60);
    // In the order in which they came it would be sixty each time.
    assert!(overtaken < 20 * 6, "{overtaken} of the busy tenant's requests were served before twenty of the other's");
    Ok(())
}

#[tokio::test]
async fn connections_that_were_lost_while_they_rested_fail_nobody() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let options = PoolOptions { max_connections: 6, ..PoolOptions::named("counted") };
    let db = Db::connect(&installation.url_of("tenantra_api")?, &options)?;
    let nobody = SignIn { user_id: Uuid::now_v7(), family_id: Uuid::now_v7() };
    for round in 0..10 {
        for tx in try_join_all((0..4).map(|_| db.platform())).await? {
            tx.rollback().await?;
        }
        let end = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'counted'";
        sqlx::query(end).execute(&installation.admin).await?;
        // They have rested too short to be asked whether they live.
        if round % 2 == 0 {
            db.tenant::<Read>(&tenant).await?.rollback().await?;
        } else {
            assert!(principal::of_sign_ins(&db, &[nobody]).await?[0].as_ref().is_ok_and(Option::is_none));
        }
    }
    Ok(())
}
