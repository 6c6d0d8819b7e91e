//! No role, search path or row outlives its transaction on a pooled connection, however the transaction ends.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use store::{Db, Page, Read, Slug, TenantRef, Write, agents, assets, tenants};
use uuid::Uuid;

use crate::installation::Installation;

fn enrollment(name: &str) -> agents::Enrollment {
    agents::Enrollment {
        identity: format!("state:{name}"),
        hostname: name.to_owned(),
        os: catalog::wire::OsInfo::default(),
        agent_version: "0.1.0".to_owned(),
        labels: std::collections::BTreeMap::new(),
        source: agents::Source::Admin,
    }
}

async fn names(db: &Db, tenant: &TenantRef) -> anyhow::Result<Vec<String>> {
    let mut tx = db.tenant::<Read>(tenant).await?;
    let page = assets::list(&mut tx, None, assets::Sort::Name, &Page::default().into()).await?;
    tx.commit().await?;
    Ok(page.items.into_iter().map(|asset| asset.name).collect())
}

async fn enrol_and(db: &Db, tenant: &TenantRef, name: &str, is_kept: bool) -> anyhow::Result<()> {
    let mut tx = db.tenant::<Write>(tenant).await?;
    agents::enroll(&mut tx, &enrollment(name)).await?;
    if is_kept {
        tx.commit().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_cancelled_and_panicked_transactions_leak_nothing() -> anyhow::Result<()> {
    let installation = Installation::with_pool(2).await?;
    let tenants = [installation.tenant("alpha").await?, installation.tenant("bravo").await?];
    let db = installation.api.clone();
    for tenant in &tenants {
        enrol_and(&db, tenant, tenant.slug.as_str(), true).await?;
    }
    let ghost = TenantRef { slug: Slug::parse("ghost")?, id: Uuid::now_v7() };
    let mut random = StdRng::seed_from_u64(7);
    for round in 0..400 {
        let tenant = tenants[usize::from(random.random_bool(0.5))].clone();
        match random.random_range(0..6) {
            // Dropped with its writes.
            0 => enrol_and(&db, &tenant, "dropped", false).await?,
            // Panicked in the middle.
            1 => {
                let db = db.clone();
                let panicked = tokio::spawn(async move {
                    let mut tx = db.tenant::<Write>(&tenant).await.unwrap();
                    agents::enroll(&mut tx, &enrollment("panicked")).await.unwrap();
                    panic!("on purpose");
                });
                assert!(panicked.await.is_err());
            }
            // Cancelled at any moment: while it opens, in a statement, in between.
            2 | 3 => {
                let limit = Duration::from_micros(random.random_range(0..2500));
                let work = enrol_and(&db, &tenant, "cancelled", false);
                let _ = tokio::time::timeout(limit, work).await;
            }
            // A role that does not exist: the opening itself is refused after BEGIN.
            4 => assert!(db.tenant::<Read>(&ghost).await.is_err()),
            // A write in a transaction that only reads, and no end.
            _ => {
                let mut tx = db.platform().await?;
                tenants::list(&mut tx).await?;
            }
        }
        // Whoever comes next on these connections is who they say.
        for tenant in &tenants {
            assert_eq!(names(&db, tenant).await?, [tenant.slug.as_str()], "round {round}");
        }
        let mut tx = db.platform().await?;
        assert_eq!(tenants::list(&mut tx).await?.len(), 2, "round {round}: the platform reads as itself");
        tx.commit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reading_transaction_cannot_write() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    installation.tenant("alpha").await?;
    let options: sqlx::postgres::PgConnectOptions = installation.url_of("tenantra_api")?.parse()?;
    let pool = sqlx::PgPool::connect_with(options).await?;
    let mut tx = pool
        .begin_with("BEGIN READ ONLY; SET LOCAL ROLE tenant_alpha; SET LOCAL search_path = tenant_alpha, pg_temp")
        .await?;
    let refused = sqlx::query("DELETE FROM assets").execute(&mut *tx).await.unwrap_err();
    assert!(refused.to_string().contains("read-only transaction"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn an_unreachable_database_is_an_error_that_says_so() -> anyhow::Result<()> {
    let options = store::PoolOptions { acquire_timeout: Duration::from_millis(300), ..store::PoolOptions::default() };
    let db = Db::connect("postgres://nobody@127.0.0.1:1/nothing", &options)?;
    let error = db.ping().await.unwrap_err();
    assert!(matches!(error, store::Error::Unavailable(_)), "{error:?}");
    assert!(error.is_transient());
    assert!(matches!(Db::connect("nonsense", &options), Err(store::Error::Url(_))));
    Ok(())
}
