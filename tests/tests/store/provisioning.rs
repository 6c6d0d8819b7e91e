//! Schema, role and grants come and go as they should; what is not ours is left alone; a deposed leader writes nothing.

use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use futures::StreamExt as _;
use store::fencing::{self, Epoch};
use store::migrate::{self, Migration};
use store::provision::{self, DatabaseState};
use store::retention::holds;
use store::tenants::{Progress, TenantState};
use store::{Error, Slug, tenants};

use crate::installation::Installation;

#[tokio::test]
async fn a_tenant_is_provisioned_once_and_a_second_pass_writes_nothing() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme-corp").await?;
    let observed = provision::observe(&installation.owner, &tenant.slug).await?;
    assert!(matches!(observed.state(&tenant)?, DatabaseState::Absent));
    let first = provision::ensure(&installation.owner, &tenant, None).await?;
    assert!(first.has_changed);
    let transactions = installation.number("SELECT txid_current()").await?;
    let observed = provision::observe(&installation.owner, &tenant.slug).await?;
    assert!(observed.is_ready(&tenant)?, "{observed:?}");
    assert_eq!(observed.version(), Some(first.version.as_str()));
    let second = provision::ensure(&installation.owner, &tenant, None).await?;
    assert!(!second.has_changed);
    let since = installation.number("SELECT txid_current()").await? - transactions;
    assert_eq!(since, 1, "only the question itself took a transaction id");
    let tables = installation
        .number("SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant_acme_corp'::regnamespace AND relkind = 'r'")
        .await?;
    let indexes = installation
        .number("SELECT count(*) FROM pg_class WHERE relnamespace = 'tenant_acme_corp'::regnamespace AND relkind = 'i'")
        .await?;
    assert!(tables <= 24 && indexes <= 95, "{tables} tables, {indexes} indexes");
    Ok(())
}

#[tokio::test]
async fn what_is_changed_by_hand_is_repaired() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    installation.tenant("other").await?;
    for change in [
        "REVOKE SELECT ON tenant_acme.findings FROM tenant_acme",
        "REVOKE USAGE ON SCHEMA tenant_acme FROM tenant_acme",
        "GRANT SELECT ON tenant_acme.findings TO PUBLIC",
        "GRANT SELECT ON tenant_acme.findings TO tenant_other",
        "GRANT SELECT (evidence) ON tenant_acme.findings TO tenant_other",
        "GRANT USAGE ON SCHEMA tenant_acme TO tenant_other",
        "GRANT CREATE ON SCHEMA tenant_acme TO tenant_acme",
        "GRANT UPDATE, DELETE ON tenant_acme.audit_log TO tenant_acme",
        "GRANT tenant_other TO tenant_acme",
        "GRANT tenant_acme TO tenant_other",
        "REVOKE tenant_acme FROM tenantra_api",
        "REVOKE tenantra_tenant FROM tenant_acme",
        "ALTER ROLE tenant_acme LOGIN CREATEDB",
        "DROP OWNED BY tenant_acme",
    ] {
        installation.admin(change).await?;
        let observed = provision::observe(&installation.owner, &tenant.slug).await?;
        assert!(!observed.is_ready(&tenant)?, "{change} is not seen");
        let ensured = provision::ensure(&installation.owner, &tenant, None).await?;
        assert!(!ensured.repaired.is_empty(), "{change}");
        let observed = provision::observe(&installation.owner, &tenant.slug).await?;
        assert!(observed.is_ready(&tenant)?, "{change} is still there: {:?}", observed.repairs);
    }
    Ok(())
}

#[tokio::test]
async fn a_foreign_schema_or_role_is_neither_adopted_nor_dropped() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    installation.admin("CREATE SCHEMA tenant_acme").await?;
    installation.admin("CREATE TABLE tenant_acme.theirs ()").await?;
    let tenant = installation.row("acme").await?;
    let refused = provision::ensure(&installation.owner, &tenant, None).await.unwrap_err();
    assert!(matches!(&refused, Error::SchemaTaken { schema, mark: None } if schema == "tenant_acme"), "{refused}");
    assert!(!refused.is_transient());
    assert!(!provision::remove(&installation.owner, &tenant, None).await?);
    assert_eq!(installation.number("SELECT count(*) FROM tenant_acme.theirs").await?, 0);

    installation.admin("CREATE ROLE tenant_bravo").await?;
    let bravo = installation.row("bravo").await?;
    let refused = provision::ensure(&installation.owner, &bravo, None).await.unwrap_err();
    assert!(matches!(refused, Error::RoleTaken { .. }), "{refused}");
    assert_eq!(installation.number("SELECT count(*) FROM pg_namespace WHERE nspname = 'tenant_bravo'").await?, 0);

    // Another tenant's UUID on our own mark is foreign too.
    let charlie = installation.tenant("charlie").await?;
    let impostor = store::TenantRef { id: uuid::Uuid::now_v7(), ..charlie.clone() };
    assert!(matches!(provision::ensure(&installation.owner, &impostor, None).await, Err(Error::SchemaTaken { .. })));
    assert!(!provision::remove(&installation.owner, &impostor, None).await?);
    assert!(provision::observe(&installation.owner, &charlie.slug).await?.is_ready(&charlie)?);
    Ok(())
}

#[tokio::test]
async fn a_removed_tenant_leaves_nothing_and_its_slug_is_free_after_the_purge() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    assert!(provision::remove(&installation.owner, &tenant, None).await?);
    assert!(!provision::remove(&installation.owner, &tenant, None).await?, "removing twice is harmless");
    let left = "SELECT count(*) FROM (SELECT nspname FROM pg_namespace UNION ALL SELECT rolname FROM pg_roles) n(name) WHERE name = 'tenant_acme'";
    assert_eq!(installation.number(left).await?, 0);
    let mut tx = installation.owner.begin().await?;
    let done = tenants::Progress { state: tenants::TenantState::Retained, step: "done".to_owned(), purge_after: None };
    assert!(tenants::set_progress(&mut tx, tenant.id, &done).await?);
    assert!(!tenants::set_progress(&mut tx, tenant.id, &done).await?, "the same again writes nothing");
    let row = tenants::ensure(&mut tx, &tenant.slug).await?;
    assert!(matches!(row.adoptable(None), Err(Error::SlugRetained { .. })));
    assert!(row.adoptable(Some(tenant.id)).is_ok());
    assert!(tenants::approve(&mut tx, tenant.id, "ciso", "ada").await?);
    assert!(!tenants::approve(&mut tx, tenant.id, "ciso", "mallory").await?, "the first approval stays");
    tenants::purge(&mut tx, tenant.id).await?;
    let again = tenants::ensure(&mut tx, &tenant.slug).await?;
    assert_ne!(again.tenant.id, tenant.id);
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_tenant_that_came_back_is_not_purged_on_old_approvals() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    let mut tx = installation.owner.begin().await?;
    let ago = Utc::now() - TimeDelta::minutes(1);
    let offboarded =
        Progress { state: TenantState::Offboarded, step: "workloads_removed".to_owned(), purge_after: Some(ago) };
    let active = Progress { state: TenantState::Active, step: String::new(), purge_after: None };
    tenants::set_progress(&mut tx, tenant.id, &offboarded).await?;
    for (role, by) in [("ciso", "ada"), ("compliance", "bob")] {
        tenants::approve(&mut tx, tenant.id, role, by).await?;
    }
    assert_eq!(tenants::due_for_purge(&mut tx).await?.len(), 1);

    // Adopted between the list and the removal: nothing is begun, and the approvals are gone.
    tenants::set_progress(&mut tx, tenant.id, &active).await?;
    assert_eq!(tenants::begin_purge(&mut tx, tenant.id).await?, None);
    tenants::set_progress(&mut tx, tenant.id, &offboarded).await?;
    assert!(tenants::by_id(&mut tx, tenant.id).await?.unwrap().approvals.is_empty());
    let later = Progress { purge_after: Some(Utc::now() + TimeDelta::hours(1)), ..offboarded.clone() };
    tenants::set_progress(&mut tx, tenant.id, &later).await?;
    assert_eq!(tenants::begin_purge(&mut tx, tenant.id).await?, None, "it is not due");

    // Held, it is not due, whatever was approved.
    tenants::set_progress(&mut tx, tenant.id, &offboarded).await?;
    tx.commit().await?;
    let mut platform = installation.api.platform().await?;
    let hold = holds::place(&mut platform, &tenant, "a lawsuit", "user:1").await?;
    platform.commit().await?;
    let mut tx = installation.owner.begin().await?;
    assert_eq!(tenants::due_for_purge(&mut tx).await?, []);
    assert_eq!(tenants::begin_purge(&mut tx, tenant.id).await?, None);
    tx.commit().await?;
    let mut platform = installation.api.platform().await?;
    assert!(holds::lift(&mut platform, tenant.id, hold.hold_id, "user:2").await?.is_some());
    platform.commit().await?;

    // Once it has begun, nobody takes the tenant up or holds it any more, and a purge that broke off goes on.
    let mut tx = installation.owner.begin().await?;
    assert_eq!(tenants::due_for_purge(&mut tx).await?.len(), 1);
    tenants::set_progress(&mut tx, tenant.id, &offboarded).await?;
    assert!(tenants::begin_purge(&mut tx, tenant.id).await?.is_some());
    assert!(matches!(tenants::set_progress(&mut tx, tenant.id, &active).await, Err(Error::BeingPurged)));
    let row = tenants::by_id(&mut tx, tenant.id).await?.unwrap();
    assert!(matches!(row.adoptable(Some(tenant.id)), Err(Error::BeingPurged)));
    tx.commit().await?;
    let mut platform = installation.api.platform().await?;
    let refused = holds::place(&mut platform, &tenant, "too late", "user:1").await;
    assert!(matches!(refused, Err(Error::BeingPurged)), "{refused:?}");
    platform.rollback().await?;
    let mut tx = installation.owner.begin().await?;
    assert!(tenants::begin_purge(&mut tx, tenant.id).await?.is_some());
    tenants::purge(&mut tx, tenant.id).await?;
    assert_eq!(tenants::begin_purge(&mut tx, tenant.id).await?, None);
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_hundred_tenants_are_provisioned_side_by_side() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let start = Instant::now();
    let done: Vec<anyhow::Result<bool>> = futures::stream::iter(0..100)
        .map(|number| {
            let installation = &installation;
            async move {
                let tenant = installation.row(&format!("t-{number}")).await?;
                Ok(provision::ensure(&installation.owner, &tenant, Some(Epoch(1))).await?.has_changed)
            }
        })
        .buffer_unordered(6)
        .collect()
        .await;
    println!("100 tenants in {:?}", start.elapsed());
    for one in done {
        assert!(one?);
    }
    let start = Instant::now();
    let outcomes = migrate::all_tenants(&installation.owner, 4, |_| {}).await?;
    println!("a pass over them in {:?}", start.elapsed());
    assert_eq!(outcomes.len(), 100);
    assert!(outcomes.iter().all(|outcome| matches!(outcome.result, Ok(false))));
    let size = installation.number("SELECT pg_database_size(current_database())").await?;
    let one = installation.row("one-more").await?;
    provision::ensure(&installation.owner, &one, None).await?;
    let grown = installation.number("SELECT pg_database_size(current_database())").await? - size;
    println!("one more tenant takes {} KiB", grown / 1024);
    Ok(())
}

#[tokio::test]
async fn migrations_are_idempotent_and_a_changed_or_unknown_one_is_refused() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    assert_eq!(migrate::platform(&installation.owner).await?, 0);
    let status = migrate::status(&installation.owner).await?;
    assert!(status.iter().all(|schema| schema.pending == 0 && schema.problem.is_none()), "{status:?}");
    assert_eq!(status.len(), 2);
    installation.admin("UPDATE tenant_acme.schema_migrations SET checksum = 'other'").await?;
    let refused = provision::ensure(&installation.owner, &tenant, None).await.unwrap_err();
    assert!(matches!(refused, Error::ChangedMigration { .. }), "{refused}");
    installation.tenant("bravo").await?;
    let outcomes = migrate::all_tenants(&installation.owner, 2, |_| {}).await?;
    let failed: Vec<&str> = outcomes.iter().filter(|o| o.result.is_err()).map(|o| o.tenant.slug.as_str()).collect();
    assert_eq!(failed, ["acme"], "one that fails does not stop the others");
    installation.admin("INSERT INTO tenant_bravo.schema_migrations VALUES ('99990101000000', 'x')").await?;
    let bravo = installation.row("bravo").await?;
    assert!(matches!(provision::ensure(&installation.owner, &bravo, None).await, Err(Error::UnknownMigration { .. })));
    Ok(())
}

#[tokio::test]
async fn an_index_is_built_beside_writers_and_a_broken_one_is_built_again() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let build = Migration {
        name: "20991231000000_tenant.sql",
        sql: "-- no-transaction\nCREATE INDEX assets_kind ON assets (kind);\n",
    };
    // A writer that is still at work makes the build wait longer than its lock time-out.
    let mut writer = installation.admin.begin().await?;
    sqlx::query(
        "INSERT INTO tenant_acme.assets (asset_id, identity, kind, name) VALUES (gen_random_uuid(), 'i', 'host', 'h')",
    )
    .execute(&mut *writer)
    .await?;
    let owner = installation.owner.clone();
    let place = tenant.clone();
    let building = tokio::spawn(async move { migrate::build_tenant_indexes(&owner, &place, &build).await });
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!building.is_finished(), "it waits for the writer");
    writer.commit().await?;
    building.await??;
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = 'tenant_acme.assets_kind'::regclass AND indisvalid";
    assert_eq!(installation.number(valid).await?, 1);
    // What an interrupted build leaves.
    installation
        .admin("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tenant_acme.assets_kind'::regclass")
        .await?;
    installation.admin("DELETE FROM tenant_acme.schema_migrations WHERE version = '20991231000000'").await?;
    migrate::build_tenant_indexes(&installation.owner, &tenant, &build).await?;
    assert_eq!(installation.number(valid).await?, 1);
    Ok(())
}

#[tokio::test]
async fn an_index_of_shared_is_built_beside_writers_too() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    installation.admin("DROP INDEX shared.jobs_finished").await?;
    installation.admin("DELETE FROM shared.schema_migrations WHERE version = '20261122070100'").await?;
    let mut writer = installation.admin.begin().await?;
    sqlx::query("LOCK TABLE shared.jobs IN ROW EXCLUSIVE MODE").execute(&mut *writer).await?;
    let owner = installation.owner.clone();
    let building = tokio::spawn(async move { migrate::platform(&owner).await });
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert!(!building.is_finished(), "it waits for the writer");
    writer.commit().await?;
    assert_eq!(building.await??, 1);
    let valid = "SELECT count(*) FROM pg_index WHERE indexrelid = 'shared.jobs_finished'::regclass AND indisvalid";
    assert_eq!(installation.number(valid).await?, 1);
    Ok(())
}

#[tokio::test]
async fn a_deposed_leader_writes_nothing() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.row("acme").await?;
    assert_eq!(fencing::stored(&installation.owner).await?, None);
    fencing::raise(&installation.owner, Epoch(5)).await?;
    let old = installation.owner.begin_fenced(Epoch(5)).await?;
    // A new leader waits for what the old one was let in with.
    let owner = installation.owner.clone();
    let raising = tokio::spawn(async move { fencing::raise(&owner, Epoch(6)).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!raising.is_finished());
    old.commit().await?;
    raising.await??;
    let refused = provision::ensure(&installation.owner, &tenant, Some(Epoch(5))).await.unwrap_err();
    assert!(matches!(refused, Error::Deposed { mine: 5, stored: 6 }), "{refused}");
    assert!(matches!(
        provision::remove(&installation.owner, &tenant, Some(Epoch(5))).await,
        Err(Error::Deposed { .. })
    ));
    assert!(matches!(installation.owner.begin_fenced(Epoch(5)).await, Err(Error::Deposed { .. })));
    assert!(matches!(fencing::raise(&installation.owner, Epoch(5)).await, Err(Error::Deposed { .. })));
    assert!(!provision::observe(&installation.owner, &tenant.slug).await?.has_schema());
    // The first write of a greater epoch raises the row by itself.
    assert!(provision::ensure(&installation.owner, &tenant, Some(Epoch(9))).await?.has_changed);
    assert_eq!(fencing::stored(&installation.owner).await?, Some(Epoch(9)));
    Ok(())
}

#[tokio::test]
async fn a_slug_has_one_row_whoever_asks_first() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let slug = Slug::parse("acme")?;
    let asked: Vec<anyhow::Result<uuid::Uuid>> = futures::stream::iter(0..20)
        .map(|_| {
            let (installation, slug) = (&installation, &slug);
            async move {
                let mut tx = installation.api.platform().await?;
                let row = tenants::ensure(&mut tx, slug).await?;
                tx.commit().await?;
                Ok(row.tenant.id)
            }
        })
        .buffer_unordered(10)
        .collect()
        .await;
    let ids: Vec<uuid::Uuid> = asked.into_iter().collect::<anyhow::Result<_>>()?;
    assert!(ids.iter().all(|id| *id == ids[0]));
    Ok(())
}
