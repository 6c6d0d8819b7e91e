//! Audit checkpoints are signed with the tenant's key in OpenBao, once, and what a superuser of the database changes is
//! found with the public keys.

use serde_json::json;
use store::audit_chain::{self, Trust, Verified};
use store::audit_sign::{self, Keys};
use store::{Db, PoolOptions, TenantRef, Write, audit, tenants};
use tests::harness::until;

use crate::stage::{LONG, Stage};

async fn tenant_of(stage: &Stage, slug: &str) -> TenantRef {
    let db = stage.owner();
    let mut tx = db.begin().await.unwrap();
    let rows = tenants::list(&mut tx).await.unwrap();
    tx.rollback().await.unwrap();
    db.close().await;
    rows.into_iter().find(|row| row.tenant.slug.as_str() == slug).unwrap().tenant
}

/// Rows in the tenant's log, and a checkpoint behind them.
async fn checkpoint(stage: &Stage, tenant: &TenantRef, rows: usize) {
    let db = Db::connect(&stage.api_url(), &PoolOptions::named("tests")).unwrap();
    let mut tx = db.tenant::<Write>(tenant).await.unwrap();
    for number in 0..rows {
        let (actor, action) = ("user:1".to_owned(), "waiver.created".to_owned());
        let entry = audit::Entry { actor, action, subject: format!("waiver:{number}"), details: json!({}) };
        audit::write(&mut tx, &entry).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = db.platform().await.unwrap();
    audit_chain::chain(&mut tx, tenant.id, 1_000).await.unwrap();
    tx.commit().await.unwrap();
    // As the chainer does, which would wait for an hour before the next one.
    let (schema, id) = (tenant.schema(), tenant.id);
    stage
        .sql(&format!(
            "INSERT INTO shared.audit_checkpoints (tenant_id, sequence, head, kept_rows)
             SELECT '{id}', l.sequence, l.hash, l.sequence FROM {schema}.audit_log l ORDER BY l.sequence DESC LIMIT 1
             ON CONFLICT DO NOTHING"
        ))
        .await;
    db.close().await;
}

async fn signed(stage: &Stage, count: usize) {
    until(LONG, &format!("{count} checkpoints are signed"), async || {
        let query = "SELECT count(*) FROM shared.audit_checkpoints WHERE signature IS NOT NULL";
        Ok(stage.ask(query).await == count.to_string())
    })
    .await
    .unwrap();
}

async fn keys_of(stage: &Stage, tenant: &TenantRef) -> Keys {
    let db = stage.owner();
    let mut tx = db.begin().await.unwrap();
    let keys = audit_sign::keys(&mut tx, tenant.id).await.unwrap();
    tx.rollback().await.unwrap();
    db.close().await;
    keys
}

async fn verify(stage: &Stage, tenant: &TenantRef, trust: Trust<'_>) -> Verified {
    let db = stage.owner();
    let verified = audit_chain::verify_with(&db, tenant, trust).await.unwrap();
    db.close().await;
    verified
}

async fn broken_at(stage: &Stage, tenant: &TenantRef, keys: &Keys) -> Option<i64> {
    verify(stage, tenant, Trust::Keys(keys)).await.broken.map(|broken| broken.sequence)
}

#[tokio::test]
async fn checkpoints_are_signed_and_one_that_a_superuser_changed_is_found() {
    let stage = Stage::new().await;
    let operator = stage.operator("one", &[]);
    for slug in ["acme", "other"] {
        stage.apply(slug, json!({})).await;
    }
    for slug in ["acme", "other"] {
        stage.ready(slug).await;
    }
    let (acme, other) = (tenant_of(&stage, "acme").await, tenant_of(&stage, "other").await);
    for _ in 0..3 {
        checkpoint(&stage, &acme, 2).await;
    }
    signed(&stage, 3).await;
    let keys = keys_of(&stage, &acme).await;
    assert_eq!(keys.keys().copied().collect::<Vec<_>>(), [1]);
    let whole = verify(&stage, &acme, Trust::Keys(&keys)).await;
    assert_eq!((whole.rows, whole.checkpoints, whole.signed, whole.unsigned, whole.broken), (6, 3, 3, 0, None));

    // The key turns: new checkpoints have the new version, old ones hold.
    assert!(stage.bao("POST", "transit/keys/audit-acme/rotate", Some(json!({}))).await.is_some());
    checkpoint(&stage, &acme, 1).await;
    checkpoint(&stage, &other, 1).await;
    signed(&stage, 5).await;
    assert_eq!(broken_at(&stage, &acme, &keys).await, Some(7), "the second version is not among the keys yet");
    let keys = keys_of(&stage, &acme).await;
    assert_eq!(keys.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(verify(&stage, &acme, Trust::Keys(&keys)).await.signed, 4);
    assert!(keys_of(&stage, &other).await[&1] != keys[&1], "each tenant has a key of its own");

    // What a superuser does to the checkpoints, each taken back.
    let acme_only = format!("tenant_id = '{}'", acme.id);
    for (change, sequence) in [
        ("head = sha256('x')", 4),
        ("kept_rows = 3", 4),
        ("is_cut = true", 4),
        ("signature = NULL, key_version = NULL, signed_at = NULL", 4),
        ("signed_at = signed_at - interval '1 second'", 4),
        ("created_at = created_at - interval '1 hour'", 4),
    ] {
        stage.sql("CREATE TABLE public.kept AS SELECT * FROM shared.audit_checkpoints").await;
        stage
            .sql(&format!("UPDATE shared.audit_checkpoints SET {change} WHERE {acme_only} AND sequence = {sequence}"))
            .await;
        assert_eq!(broken_at(&stage, &acme, &keys).await, Some(sequence), "{change}");
        assert_eq!(verify(&stage, &acme, Trust::Stored).await.broken.map(|broken| broken.sequence), Some(sequence));
        stage
            .sql(
                "UPDATE shared.audit_checkpoints c SET head = k.head, is_cut = k.is_cut, kept_rows = k.kept_rows, created_at = k.created_at,
                     signature = k.signature, key_version = k.key_version, signed_at = k.signed_at
                 FROM public.kept k WHERE k.tenant_id = c.tenant_id AND k.sequence = c.sequence",
            )
            .await;
        stage.sql("DROP TABLE public.kept").await;
        assert_eq!(broken_at(&stage, &acme, &keys).await, None, "{change}, taken back");
    }

    // A signature that was taken away to get another one: this leader signs nothing twice.
    stage
        .sql(&format!(
            "UPDATE shared.audit_checkpoints SET signature = NULL, key_version = NULL, signed_at = NULL,
                 head = sha256('y') WHERE {acme_only} AND sequence = 4"
        ))
        .await;
    operator.tells("lost its signature and is not signed again").await;
    assert_eq!(broken_at(&stage, &acme, &keys).await, Some(4));
    // With the database's keys replaced as well, only those that were kept elsewhere tell.
    stage.sql("UPDATE shared.audit_keys SET public_key = sha256('z')").await;
    assert_eq!(broken_at(&stage, &acme, &keys).await, Some(4));
    assert_eq!(verify(&stage, &acme, Trust::Stored).await.broken.map(|broken| broken.sequence), Some(2));
}
