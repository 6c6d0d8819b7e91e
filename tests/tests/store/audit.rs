//! The audit chain on a real Postgres: rows get their place once, whoever chains; nobody but the owner can change one, and
//! what the owner changes is found.

use serde_json::json;
use store::{Db, TenantRef, Write, audit, audit_chain};

use crate::installation::Installation;

async fn write(db: &Db, tenant: &TenantRef, count: usize) -> anyhow::Result<()> {
    for number in 0..count {
        let mut tx = db.tenant::<Write>(tenant).await?;
        let entry = audit::Entry {
            actor: "user:ümläut".to_owned(),
            action: "waiver.created".to_owned(),
            subject: format!("waiver:{number}"),
            details: json!({ "reason": "a \"quoted\"\n reason", "number": 1.5, "nested": { "b": [1, null], "a": true } }),
        };
        audit::write(&mut tx, &entry).await?;
        tx.commit().await?;
    }
    Ok(())
}

async fn chain(db: &Db, tenant: &TenantRef) -> anyhow::Result<audit_chain::Chained> {
    let mut tx = db.platform().await?;
    let chained = audit_chain::chain(&mut tx, tenant.id, 1_000).await?;
    tx.commit().await?;
    Ok(chained)
}

#[tokio::test]
async fn rows_get_their_place_once_and_the_chain_can_be_checked_without_the_database_that_made_it() -> anyhow::Result<()>
{
    let installation = Installation::start().await?;
    let (tenant, other) = (installation.tenant("acme").await?, installation.tenant("other").await?);
    let db = &installation.api;
    write(db, &tenant, 5).await?;
    write(db, &other, 2).await?;
    let before = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((before.rows, before.waiting, before.broken), (0, 5, None));
    assert_eq!(chain(db, &tenant).await?, audit_chain::Chained { rows: 5, late: 0 });
    assert_eq!(chain(db, &tenant).await?.rows, 0);
    write(db, &tenant, 3).await?;
    assert_eq!(chain(db, &tenant).await?.rows, 3);
    let after = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((after.rows, after.last, after.waiting, after.checkpoints, after.broken), (8, Some(8), 0, 1, None));
    let untouched = audit_chain::verify(&installation.owner, &other).await?;
    assert_eq!((untouched.rows, untouched.waiting), (0, 2));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_chainers_and_many_writers_make_one_chain() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let mut work = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (db, tenant) = (installation.api.clone(), tenant.clone());
        work.spawn(async move { write(&db, &tenant, 40).await.unwrap() });
    }
    for _ in 0..2 {
        let (db, tenant) = (installation.api.clone(), tenant.clone());
        work.spawn(async move {
            for _ in 0..40 {
                chain(&db, &tenant).await.unwrap();
            }
        });
    }
    work.join_all().await;
    while chain(&installation.api, &tenant).await?.rows > 0 {}
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((verified.rows, verified.last, verified.waiting, verified.broken), (120, Some(120), 0, None));
    Ok(())
}

#[tokio::test]
async fn a_row_that_was_committed_while_another_chainer_worked_is_not_left_behind() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    write(&installation.api, &tenant, 1).await?;
    let mut first = installation.api.platform().await?;
    audit_chain::chain(&mut first, tenant.id, 1_000).await?;
    // The first has read and not committed yet.
    write(&installation.api, &tenant, 1).await?;
    let (db, its) = (installation.api.clone(), tenant.clone());
    let second = tokio::spawn(async move { chain(&db, &its).await.unwrap() });
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while installation.number(waits).await? == 0 {
        assert!(!second.is_finished(), "it does not pass by what another is at");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    first.commit().await?;
    assert_eq!(second.await?, audit_chain::Chained { rows: 1, late: 0 });
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((verified.rows, verified.waiting, verified.broken), (2, 0, None));
    Ok(())
}

#[tokio::test]
async fn what_the_owner_of_the_schema_changes_is_found_and_the_first_row_is_named() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    write(&installation.api, &tenant, 6).await?;
    chain(&installation.api, &tenant).await?;
    for (change, back, sequence) in [
        (
            "UPDATE tenant_acme.audit_log SET details = details || '{\"number\": 2}' WHERE sequence = 3",
            "UPDATE tenant_acme.audit_log SET details = details || '{\"number\": 1.5}' WHERE sequence = 3",
            3,
        ),
        (
            "UPDATE tenant_acme.audit_log SET created_at = created_at + interval '1 hour' WHERE sequence = 4",
            "UPDATE tenant_acme.audit_log SET created_at = created_at - interval '1 hour' WHERE sequence = 4",
            4,
        ),
        (
            "UPDATE tenant_acme.audit_log SET sequence = 60 WHERE sequence = 6",
            "UPDATE tenant_acme.audit_log SET sequence = 6 WHERE sequence = 60",
            60,
        ),
        ("DELETE FROM tenant_acme.audit_log WHERE sequence = 6", "SELECT 1", 6),
        ("TRUNCATE tenant_acme.audit_log", "SELECT 1", 1),
    ] {
        installation.admin(change).await?;
        let verified = audit_chain::verify(&installation.owner, &tenant).await?;
        assert_eq!(verified.broken.map(|broken| broken.sequence), Some(sequence), "{change}");
        installation.admin(back).await?;
    }
    // The gap stays to be seen when new rows follow.
    write(&installation.api, &tenant, 1).await?;
    chain(&installation.api, &tenant).await?;
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((verified.rows, verified.broken.map(|broken| broken.sequence)), (1, Some(7)));
    Ok(())
}
