//! Retention on a real Postgres: a run deletes exactly what the preview listed, whatever the data and the policy; a cut log
//! stays a chain; a legal hold stops both.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::AssertSqlSafe;
use store::retention::runs::{self, RunState};
use store::retention::{self, Bound, Cutoffs, End, Key, Kind, Policy, Table, holds};
use store::{Page, Read, TenantRef, Write, audit_chain};
use uuid::Uuid;

use crate::installation::Installation;

const DAY: Duration = Duration::from_hours(24);
/// Small, so that a run takes several batches.
const BOUND: Bound = Bound { rows: 37, bytes: 1 << 20 };

/// Rows of every age in every table of the tenant `acme`, of which some are what current state refers to. `$seed` makes
/// each call's rows others.
const ROWS: &[&str] = &[
    "INSERT INTO assets (asset_id, identity, kind, name) SELECT gen_random_uuid(), gen_random_uuid()::text, 'host', 'h' FROM generate_series(1, 4)",
    "INSERT INTO runs (run_id, asset_id, module, module_version, status, started_at, duration_ms, received_at)
     SELECT gen_random_uuid(), a.asset_id, 'm' || (g % 3), '1.0.0', 'succeeded', now(), 1, now() - random() * interval '80 days'
     FROM assets a, generate_series(1, 40) g",
    "INSERT INTO asset_modules (asset_id, module, module_version, last_run_id, last_status, last_run_at)
     SELECT DISTINCT ON (asset_id, module) asset_id, module, '1.0.0', run_id, 'succeeded', received_at FROM runs
     ORDER BY asset_id, module, random() ON CONFLICT (asset_id, module) DO NOTHING",
    "INSERT INTO fact_changes (change_id, asset_id, run_id, module, table_name, kind, row_key, after, changed_at)
     SELECT gen_random_uuid(), a.asset_id, gen_random_uuid(), 'm', 'users', 'added', 'k', '{\"a\": 1}', now() - random() * interval '80 days'
     FROM assets a, generate_series(1, 40) g",
    "INSERT INTO drifts (drift_id, asset_id, run_id, module, kind, change, subject, rarity, sentence, evidence, group_name, found_at)
     SELECT gen_random_uuid(), a.asset_id, gen_random_uuid(), 'm', 'port', 'appeared', '4444/tcp', 90, 'listens on 4444/tcp', '{}', 'hosts',
         now() - random() * interval '80 days'
     FROM assets a, generate_series(1, 40) g",
    "INSERT INTO facts (asset_id, module, table_name, row_hash, row_key, content, first_seen_at)
     SELECT a.asset_id, 'm', 'users', gen_random_uuid(), 'k', '{}', now() - interval '9 years' FROM assets a, generate_series(1, 3) g",
    "INSERT INTO check_states (asset_id, module, check_id, module_version, verdict, severity, weight, run_id, changed_at)
     SELECT a.asset_id, 'm', gen_random_uuid()::text, '1.0.0', 'fail', 'high', 5, gen_random_uuid(), now() - interval '9 years' FROM assets a",
    "INSERT INTO check_transitions (transition_id, asset_id, run_id, module, check_id, to_verdict, changed_at)
     SELECT gen_random_uuid(), a.asset_id, gen_random_uuid(), 'm', 'c', 'fail', now() - random() * interval '80 days'
     FROM assets a, generate_series(1, 30) g",
    "INSERT INTO findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status, evidence, content_hash, run_id, first_seen_at, opened_at, closed_at)
     SELECT gen_random_uuid(), a.asset_id, 'm', '1.0.0', 'c', 'r', 'high', CASE WHEN g % 3 = 0 THEN 'open' ELSE 'closed' END, '{}',
         gen_random_uuid(), gen_random_uuid(), now() - interval '9 years', now() - interval '9 years',
         CASE WHEN g % 3 = 0 THEN NULL ELSE now() - random() * interval '80 days' END
     FROM assets a, generate_series(1, 60) g",
    "INSERT INTO score_days (scope, scope_id, day, score, passed_weight, assessed_weight)
     SELECT s.scope, a.asset_id, (now() AT TIME ZONE 'UTC')::date - (random() * 80)::integer, 50, 1, 2
     FROM assets a, generate_series(1, 40) g, (VALUES ('asset'), ('tenant')) s(scope) ON CONFLICT DO NOTHING",
    "INSERT INTO audit_log (audit_id, actor, action, subject, details, created_at)
     SELECT gen_random_uuid(), 'user:ümläut', 'waiver.created', g::text, '{\"b\": [1, null], \"a\": 1.50}', now() - random() * interval '80 days'
     FROM generate_series(1, 60) g",
];

/// The id of each row, and the day where that is needed to tell two apart.
fn names_of(table: Table) -> &'static str {
    match table {
        Table::Runs => "SELECT run_id::text FROM runs",
        Table::FactChanges => "SELECT change_id::text FROM fact_changes",
        Table::Drifts => "SELECT drift_id::text FROM drifts",
        Table::Findings => "SELECT finding_id::text FROM findings",
        Table::CheckTransitions => "SELECT transition_id::text FROM check_transitions",
        Table::ScoreDays => "SELECT scope_id::text || ' ' || day::text FROM score_days WHERE scope = 'asset'",
        Table::AuditLog => "SELECT audit_id::text FROM audit_log",
    }
}

fn name(table: Table, key: &Key) -> String {
    match table {
        Table::ScoreDays => format!("{} {}", key.id, key.at.date_naive()),
        _ => key.id.to_string(),
    }
}

async fn as_tenant(installation: &Installation, statement: &str) -> anyhow::Result<()> {
    let mut tx = installation.admin.begin().await?;
    sqlx::query("SET LOCAL search_path = tenant_acme").execute(&mut *tx).await?;
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    Ok(tx.commit().await?)
}

async fn names(installation: &Installation, table: Table) -> anyhow::Result<BTreeSet<String>> {
    let mut tx = installation.admin.begin().await?;
    sqlx::query("SET LOCAL search_path = tenant_acme").execute(&mut *tx).await?;
    let names: Vec<String> = sqlx::query_scalar(names_of(table)).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(names.into_iter().collect())
}

/// What never goes: current state, the tenant's own trend, rows that are in no chain yet.
async fn current_state(installation: &Installation) -> anyhow::Result<Vec<i64>> {
    let mut counts = Vec::new();
    for count in [
        "SELECT count(*) FROM tenant_acme.assets",
        "SELECT count(*) FROM tenant_acme.facts",
        "SELECT count(*) FROM tenant_acme.check_states",
        "SELECT count(*) FROM tenant_acme.findings WHERE status = 'open'",
        "SELECT count(*) FROM tenant_acme.score_days WHERE scope = 'tenant'",
        "SELECT count(*) FROM tenant_acme.audit_log WHERE sequence IS NULL",
        "SELECT count(*) FROM tenant_acme.asset_modules m JOIN tenant_acme.runs r ON r.run_id = m.last_run_id",
    ] {
        counts.push(installation.number(count).await?);
    }
    Ok(counts)
}

async fn chain(installation: &Installation, tenant: &TenantRef) -> anyhow::Result<()> {
    let mut tx = installation.api.platform().await?;
    audit_chain::chain(&mut tx, tenant.id, 10_000).await?;
    Ok(tx.commit().await?)
}

/// Every row that goes, as a reader sees it.
async fn listed(installation: &Installation, tenant: &TenantRef, table: Table, end: End) -> anyhow::Result<Vec<Key>> {
    let mut tx = installation.api.tenant::<Read>(tenant).await?;
    let mut keys: Vec<Key> = Vec::new();
    loop {
        let after = keys.last().copied().unwrap_or_else(Key::first);
        let batch = retention::pick(&mut tx, table, end, &after, BOUND, true).await?;
        if batch.keys.is_empty() {
            return Ok(keys);
        }
        assert_eq!(batch.lines.split(|byte| *byte == b'\n').count() - 1, batch.keys.len(), "a line each");
        keys.extend(batch.keys);
    }
}

/// Deletes batch by batch; the number of rows that went, none if a hold stopped it.
async fn delete(
    installation: &Installation,
    tenant: &TenantRef,
    table: Table,
    end: End,
) -> anyhow::Result<Option<u64>> {
    let (mut after, mut deleted) = (Key::first(), 0);
    loop {
        let mut tx = installation.api.tenant::<Write>(tenant).await?;
        let batch = retention::pick(&mut tx, table, end, &after, BOUND, false).await?;
        assert!(batch.lines.is_empty());
        let Some(last) = batch.keys.last().copied() else { return Ok(Some(deleted)) };
        let removed = if table == Table::AuditLog {
            tx.rollback().await?;
            let mut tx = installation.api.platform().await?;
            let up_to = last.sequence.unwrap();
            let removed = retention::cut_audit(&mut tx, tenant.id, end.before, up_to, BOUND.rows).await?;
            tx.commit().await?;
            removed
        } else {
            let removed = retention::remove(&mut tx, table, end.before, &batch.keys).await?;
            tx.commit().await?;
            removed
        };
        let Some(removed) = removed else { return Ok(None) };
        assert_eq!(removed, batch.keys.len() as u64, "{table:?}");
        deleted += removed;
        after = last;
    }
}

/// Where what is older goes from a table that is no chain.
const fn older(before: DateTime<Utc>) -> End {
    End { before, sequence: None }
}

/// Where each table ends for a run that keeps everything for so many days.
async fn ends(installation: &Installation, tenant: &TenantRef, days: u32) -> anyhow::Result<BTreeMap<Table, End>> {
    let kept = DAY * days;
    let policy =
        Policy { operational_logs: kept, security_events: kept, findings: kept, audit: kept, archive: BTreeSet::new() };
    let cutoffs = policy.cutoffs(Utc::now());
    let extents = preview(installation, tenant, &cutoffs).await?;
    let end = |table: Table, sequence| End { before: cutoffs.before(table.kind()), sequence };
    Ok(extents.into_iter().map(|(table, extent)| (table, end(table, extent.last_sequence))).collect())
}

fn policy(random: &mut StdRng) -> Policy {
    let mut days = || DAY * random.random_range(1..90_u32);
    Policy {
        operational_logs: days(),
        security_events: days(),
        findings: days(),
        audit: days(),
        archive: BTreeSet::new(),
    }
}

async fn preview(
    installation: &Installation,
    tenant: &TenantRef,
    cutoffs: &Cutoffs,
) -> anyhow::Result<BTreeMap<Table, retention::Extent>> {
    let mut tx = installation.api.tenant::<Read>(tenant).await?;
    let extents = retention::preview(&mut tx, cutoffs).await?;
    tx.rollback().await?;
    Ok(extents)
}

#[tokio::test]
async fn a_run_deletes_exactly_what_the_preview_listed() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let mut random = StdRng::seed_from_u64(11);
    for round in 0..6 {
        for statement in ROWS {
            as_tenant(&installation, statement).await?;
        }
        chain(&installation, &tenant).await?;
        // In no chain yet, and as old as can be.
        as_tenant(
            &installation,
            "INSERT INTO audit_log (audit_id, actor, action, created_at) VALUES (gen_random_uuid(), 'a', 'b', now() - interval '9 years')",
        )
        .await?;
        let cutoffs = policy(&mut random).cutoffs(Utc::now());
        let state = current_state(&installation).await?;
        let extents = preview(&installation, &tenant, &cutoffs).await?;
        assert_eq!(extents.keys().copied().collect::<Vec<_>>(), Table::ALL);
        for (table, extent) in extents {
            let before = cutoffs.before(table.kind());
            let end = End { before, sequence: extent.last_sequence };
            let there = names(&installation, table).await?;
            let keys = listed(&installation, &tenant, table, end).await?;
            let told: BTreeSet<String> = keys.iter().map(|key| name(table, key)).collect();
            assert_eq!((keys.len(), told.len()), (usize::try_from(extent.rows)?, keys.len()), "{round} {table:?}");
            assert_eq!(extent.oldest, keys.iter().map(|key| key.at).min(), "{round} {table:?}");
            assert_eq!(extent.newest, keys.iter().map(|key| key.at).max(), "{round} {table:?}");
            assert_eq!(extent.bytes > 0, extent.rows > 0);
            if table != Table::AuditLog {
                assert!(keys.iter().all(|key| key.at < before), "{round} {table:?}");
            }
            assert_eq!(delete(&installation, &tenant, table, end).await?, Some(extent.rows), "{round} {table:?}");
            let left = names(&installation, table).await?;
            assert_eq!(left, &there - &told, "{round} {table:?}");
        }
        assert_eq!(current_state(&installation).await?, state, "{round}: current state stays");
        let verified = audit_chain::verify(&installation.owner, &tenant).await?;
        assert_eq!(verified.broken, None, "{round}");
        // A second run finds nothing.
        let again = preview(&installation, &tenant, &cutoffs).await?;
        assert!(again.values().all(|extent| extent.rows == 0), "{again:?}");
    }
    Ok(())
}

#[tokio::test]
async fn each_asset_keeps_the_score_that_holds_on_the_first_day_kept() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let (busy, idle) = (Uuid::now_v7(), Uuid::now_v7());
    for (asset, age, score) in [(busy, 50, 10), (busy, 20, 20), (busy, 2, 30), (idle, 60, 40), (idle, 50, 50)] {
        as_tenant(
            &installation,
            &format!(
                "INSERT INTO score_days VALUES ('asset', '{asset}', (now() AT TIME ZONE 'UTC')::date - {age}, {score}, 1, 2)"
            ),
        )
        .await?;
    }
    let ten = DAY * 10;
    let policy = Policy {
        operational_logs: ten,
        security_events: ten,
        findings: ten,
        audit: DAY * 30,
        archive: BTreeSet::new(),
    };
    let before = policy.cutoffs(Utc::now()).before(Kind::Findings);
    assert_eq!(delete(&installation, &tenant, Table::ScoreDays, older(before)).await?, Some(2));
    let kept: Vec<i16> = sqlx::query_scalar("SELECT score FROM tenant_acme.score_days ORDER BY score")
        .fetch_all(&installation.admin)
        .await?;
    assert_eq!(kept, [20, 30, 50]);
    Ok(())
}

#[tokio::test]
async fn a_finding_that_was_opened_again_meanwhile_stays() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    for statement in ROWS {
        as_tenant(&installation, statement).await?;
    }
    let before = Utc::now() - DAY * 20;
    let keys = listed(&installation, &tenant, Table::Findings, older(before)).await?;
    as_tenant(
        &installation,
        &format!("UPDATE findings SET status = 'open', closed_at = NULL WHERE finding_id = '{}'", keys[0].id),
    )
    .await?;
    let mut tx = installation.api.tenant::<Write>(&tenant).await?;
    let removed = retention::remove(&mut tx, Table::Findings, before, &keys).await?;
    tx.commit().await?;
    assert_eq!(removed, Some(keys.len() as u64 - 1));
    assert!(names(&installation, Table::Findings).await?.contains(&keys[0].id.to_string()));
    Ok(())
}

#[tokio::test]
async fn a_cut_log_goes_on_and_what_else_is_missing_is_found() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let insert = "INSERT INTO audit_log (audit_id, actor, action, created_at)
        SELECT gen_random_uuid(), 'a', 'b', now() - interval '60 days' FROM generate_series(1, 20)";
    as_tenant(&installation, insert).await?;
    chain(&installation, &tenant).await?;
    let before = Utc::now() - DAY * 40;
    let cut = async |before, up_to, most| -> anyhow::Result<Option<u64>> {
        let mut tx = installation.api.platform().await?;
        let removed = retention::cut_audit(&mut tx, tenant.id, before, up_to, most).await?;
        tx.commit().await?;
        Ok(removed)
    };
    assert_eq!(cut(before, 5, 100).await?, Some(5), "no further than was asked for");
    assert_eq!(cut(before, 100, 3).await?, Some(3), "no more than was asked for");
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((verified.rows, verified.last, verified.cut, verified.broken), (12, Some(20), Some(8), None));
    // Young rows, the database says itself.
    let refused = cut(Utc::now() - DAY * 28, 100, 100).await.unwrap_err();
    assert!(format!("{refused:#}").contains("at least 30 days"), "{refused:#}");
    // Cut to its end, a log goes on from there.
    assert_eq!(cut(before, 100, 100).await?, Some(12));
    as_tenant(&installation, insert).await?;
    chain(&installation, &tenant).await?;
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((verified.rows, verified.last, verified.cut, verified.broken), (20, Some(40), Some(20), None));
    // A chain that somebody broke is not cut, which would hide it.
    installation.admin("UPDATE tenant_acme.audit_log SET actor = 'c' WHERE sequence = 25").await?;
    let refused = cut(before, 100, 100).await.unwrap_err();
    assert!(format!("{refused:#}").contains("row 25"), "{refused:#}");
    installation.admin("UPDATE tenant_acme.audit_log SET actor = 'a' WHERE sequence = 25").await?;
    // What goes without a cut is missing.
    installation.admin("DELETE FROM tenant_acme.audit_log WHERE sequence <= 22").await?;
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!(verified.broken.map(|broken| broken.sequence), Some(23));
    Ok(())
}

#[tokio::test]
async fn what_was_chained_since_the_preview_stays_for_the_next_run() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let insert = "INSERT INTO audit_log (audit_id, actor, action, created_at)
        SELECT gen_random_uuid(), 'a', 'b', now() - interval '60 days' FROM generate_series(1, 50)";
    as_tenant(&installation, insert).await?;
    chain(&installation, &tenant).await?;
    let end = ends(&installation, &tenant, 40).await?[&Table::AuditLog];
    assert_eq!(end.sequence, Some(50));
    as_tenant(&installation, insert).await?;
    chain(&installation, &tenant).await?;
    assert_eq!(delete(&installation, &tenant, Table::AuditLog, end).await?, Some(50));
    assert_eq!(installation.number("SELECT count(*) FROM tenant_acme.audit_log").await?, 50);
    let end = ends(&installation, &tenant, 40).await?[&Table::AuditLog];
    assert_eq!((end.sequence, delete(&installation, &tenant, Table::AuditLog, end).await?), (Some(100), Some(50)));
    let verified = audit_chain::verify(&installation.owner, &tenant).await?;
    assert_eq!((verified.rows, verified.cut, verified.broken), (0, Some(100), None));
    Ok(())
}

#[tokio::test]
async fn a_batch_of_a_log_reads_its_own_rows_however_many_are_to_go() -> anyhow::Result<()> {
    const OLD: u64 = 10_000;
    let bound = Bound { rows: 250, bytes: usize::MAX };
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    for (age, rows) in [(60, OLD), (1, 500)] {
        let insert = format!(
            "INSERT INTO audit_log (audit_id, actor, action, created_at)
             SELECT gen_random_uuid(), 'a', 'b', now() - interval '{age} days' FROM generate_series(1, {rows})"
        );
        as_tenant(&installation, &insert).await?;
        chain(&installation, &tenant).await?;
    }
    installation.admin("VACUUM (ANALYZE) tenant_acme.audit_log").await?;
    installation.admin("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").await?;
    let pages = installation.number("SELECT pg_relation_size('tenant_acme.audit_log') / 8192").await?;
    let end = ends(&installation, &tenant, 40).await?[&Table::AuditLog];
    let (mut after, mut deleted, mut batches) = (Key::first(), 0, 0);
    loop {
        installation.admin("SELECT pg_stat_statements_reset()").await?;
        let mut tx = installation.api.tenant::<Read>(&tenant).await?;
        let batch = retention::pick(&mut tx, Table::AuditLog, end, &after, bound, false).await?;
        tx.rollback().await?;
        let buffers = "SELECT sum(shared_blks_hit + shared_blks_read)::bigint FROM pg_stat_statements
             WHERE query LIKE '%FROM audit_log t%'";
        let picked = installation.number(buffers).await?;
        assert!(picked * 5 < pages, "batch {batches} was picked from {picked} of {pages} pages");
        let Some(last) = batch.keys.last().copied() else { break };
        let mut tx = installation.admin.begin().await?;
        let rows_read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
             WHERE relid = 'tenant_acme.audit_log'::regclass";
        let before: i64 = sqlx::query_scalar(rows_read).fetch_one(&mut *tx).await?;
        let removed: i64 = sqlx::query_scalar("SELECT removed FROM shared.cut_audit($1, $2, $3, $4)")
            .bind(tenant.id)
            .bind(end.before)
            .bind(last.sequence)
            .bind(i32::try_from(bound.rows)?)
            .fetch_one(&mut *tx)
            .await?;
        let read = sqlx::query_scalar::<_, i64>(rows_read).fetch_one(&mut *tx).await? - before;
        tx.commit().await?;
        // Looked at for young ones, checked, deleted.
        assert!(read <= 6 * i64::from(bound.rows), "batch {batches} was cut by reading {read} rows");
        deleted += removed.unsigned_abs();
        batches += 1;
        after = last;
    }
    assert_eq!((deleted, batches), (OLD, OLD / u64::from(bound.rows)));
    assert_eq!(installation.number("SELECT count(*) FROM tenant_acme.audit_log").await?, 500);
    Ok(())
}

#[tokio::test]
async fn a_legal_hold_stops_every_batch_until_the_last_one_is_lifted() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let (tenant, other) = (installation.tenant("acme").await?, installation.tenant("other").await?);
    for statement in ROWS {
        as_tenant(&installation, statement).await?;
    }
    chain(&installation, &tenant).await?;
    let ends = ends(&installation, &tenant, 40).await?;
    let mut placed = Vec::new();
    for reason in ["a lawsuit", "another"] {
        let mut tx = installation.api.platform().await?;
        placed.push(holds::place(&mut tx, &tenant, reason, "user:1").await?);
        tx.commit().await?;
    }
    for hold in &placed {
        for table in Table::ALL {
            assert_eq!(delete(&installation, &tenant, table, ends[&table]).await?, None, "{table:?}");
        }
        let mut tx = installation.api.platform().await?;
        assert!(holds::is_held(&mut tx, tenant.id).await?);
        assert!(!holds::is_held(&mut tx, other.id).await?);
        assert_eq!(holds::lift(&mut tx, other.id, hold.hold_id, "user:2").await?, None, "it is another tenant's");
        assert!(holds::lift(&mut tx, tenant.id, hold.hold_id, "user:2").await?.is_some());
        assert_eq!(holds::lift(&mut tx, tenant.id, hold.hold_id, "user:2").await?, None, "it is lifted once");
        tx.commit().await?;
    }
    for table in Table::ALL {
        assert!(delete(&installation, &tenant, table, ends[&table]).await?.is_some_and(|rows| rows > 0), "{table:?}");
    }
    let mut tx = installation.api.platform().await?;
    let all = holds::list(&mut tx, tenant.id, Page::default()).await?;
    assert_eq!((all.total, all.items.iter().all(|hold| hold.lifted_by.as_deref() == Some("user:2"))), (2, true));
    Ok(())
}

#[tokio::test]
async fn a_hold_waits_for_the_batch_that_is_under_way() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    for statement in ROWS {
        as_tenant(&installation, statement).await?;
    }
    let before = Utc::now() - DAY * 40;
    let keys = listed(&installation, &tenant, Table::Runs, older(before)).await?;
    let mut batch = installation.api.tenant::<Write>(&tenant).await?;
    retention::remove(&mut batch, Table::Runs, before, &keys).await?;
    let (api, its) = (installation.api.clone(), tenant.clone());
    let placing = tokio::spawn(async move {
        let mut tx = api.platform().await.unwrap();
        holds::place(&mut tx, &its, "a lawsuit", "user:1").await.unwrap();
        tx.commit().await.unwrap();
    });
    while installation.number("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").await? == 0 {
        assert!(!placing.is_finished(), "a hold that is placed has nothing deleted behind it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    batch.commit().await?;
    placing.await?;
    assert_eq!(delete(&installation, &tenant, Table::FactChanges, older(before)).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_tenant_is_due_once_a_day_and_one_replica_takes_it() -> anyhow::Result<()> {
    let installation = Installation::start().await?;
    let tenant = installation.tenant("acme").await?;
    let due = async || -> anyhow::Result<usize> {
        let mut tx = installation.api.platform().await?;
        let due = runs::due(&mut tx, 10).await?.len();
        tx.rollback().await?;
        Ok(due)
    };
    let begin = async || -> anyhow::Result<Option<Uuid>> {
        let mut tx = installation.api.platform().await?;
        let run_id = runs::begin(&mut tx, tenant.id, false).await?;
        tx.commit().await?;
        Ok(run_id)
    };
    assert_eq!(due().await?, 1);
    let run_id = begin().await?.unwrap();
    assert_eq!((due().await?, begin().await?), (0, None));
    // Its program ended: found after a while, and tried again within the hour.
    installation.admin("UPDATE shared.retention_runs SET renewed_at = now() - interval '1 hour'").await?;
    assert_eq!((due().await?, begin().await?), (1, None));
    let mut tx = installation.api.platform().await?;
    assert!(!runs::renew(&mut tx, run_id, &[]).await?, "whoever took it has to end");
    let page = runs::list(&mut tx, tenant.id, Page::default()).await?;
    assert_eq!((page.total, page.items[0].state), (1, RunState::Failed));
    tx.rollback().await?;
    installation.admin("UPDATE shared.retention_runs SET started_at = now() - interval '2 hours'").await?;
    let run_id = begin().await?.unwrap();
    let mut tx = installation.api.platform().await?;
    runs::finish(&mut tx, run_id, RunState::Done, &[], None).await?;
    tx.commit().await?;
    installation.admin("UPDATE shared.retention_runs SET started_at = now() - interval '23 hours'").await?;
    assert_eq!(due().await?, 0);
    installation.admin("UPDATE shared.retention_runs SET started_at = now() - interval '25 hours'").await?;
    assert_eq!(due().await?, 1);
    Ok(())
}
