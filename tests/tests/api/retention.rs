//! Retention through the API: a policy is shown before it is saved and saved in the tenant's resource, the daily run deletes
//! what was shown once it is in the archive, and a legal hold stops it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};
use store::tenants::{self, Progress, TenantState};
use tests::harness::until;

use crate::fixture::{Fixture, Person};

const LONG: Duration = Duration::from_secs(30);

/// Rows of 40 days ago (40 of them) and of now (7) in `runs`, 3 old and 2 young closed findings, and an audit log of 60 days ago.
pub const ROWS: &[&str] = &[
    "INSERT INTO tenant_acme.assets (asset_id, identity, kind, name) VALUES (gen_random_uuid(), gen_random_uuid()::text, 'host', 'h')",
    "INSERT INTO tenant_acme.runs (run_id, asset_id, module, module_version, status, started_at, duration_ms, received_at)
     SELECT gen_random_uuid(), a.asset_id, 'm', '1.0.0', 'succeeded', now(), 1, now() - CASE WHEN g <= 40 THEN interval '40 days' ELSE interval '0' END
     FROM generate_series(1, 47) g, (SELECT asset_id FROM tenant_acme.assets LIMIT 1) a",
    "INSERT INTO tenant_acme.findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status, evidence, content_hash, run_id, first_seen_at, opened_at, closed_at)
     SELECT gen_random_uuid(), a.asset_id, 'm', '1.0.0', 'c', 'r', 'high', 'closed', '{}', gen_random_uuid(), gen_random_uuid(), now() - interval '1 year', now() - interval '1 year',
         now() - CASE WHEN g <= 3 THEN interval '40 days' ELSE interval '1 hour' END
     FROM generate_series(1, 5) g, (SELECT asset_id FROM tenant_acme.assets LIMIT 1) a",
    "INSERT INTO tenant_acme.audit_log (audit_id, actor, action, created_at)
     SELECT gen_random_uuid(), 'user:1', 'waiver.created', now() - interval '60 days' FROM generate_series(1, 9) g",
];

pub async fn send(db: &PgPool, statement: &str) -> Result<u64> {
    Ok(sqlx::query(AssertSqlSafe(statement)).execute(db).await.with_context(|| statement.to_owned())?.rows_affected())
}

pub async fn number(db: &PgPool, query: &str) -> Result<i64> {
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(db).await.with_context(|| query.to_owned())
}

/// Rows of a table in a preview or a run, by a field of it.
pub fn of(tables: &Value, table: &str, field: &str) -> Value {
    let all = tables["tables"].as_array().expect("tables");
    all.iter().find(|one| one["table"] == table).map(|one| one[field].clone()).unwrap_or_default()
}

/// Makes the last run one of the day before, and waits for the next one to end.
pub async fn next_run(db: &PgPool, person: &Person<'_>) -> Result<Value> {
    send(db, "UPDATE shared.retention_runs SET started_at = started_at - interval '2 days'").await?;
    let newest = async || -> Result<Value> {
        Ok(person.get("/v1/retention/runs").expect(StatusCode::OK).await?["items"][0].clone())
    };
    let before = newest().await?["id"].clone();
    until(LONG, "the next run ended", async || {
        let run = newest().await?;
        Ok(run["id"] != before && run["state"] != "running" && !run.is_null())
    })
    .await?;
    newest().await
}

/// What the archive holds of a table of the tenant: objects, and lines in all.
fn archived(folder: &Path, table: &str) -> Result<(usize, usize)> {
    let tenant = folder.join("acme").read_dir()?.next().context("no folder of a tenant")??.path();
    let (mut objects, mut lines) = (0, 0);
    for entry in tenant.join(table).read_dir()? {
        let path = entry?.path();
        let Some(object) = path.to_str().and_then(|path| path.strip_suffix(".manifest.json")) else { continue };
        let manifest: Value = serde_json::from_slice(&std::fs::read(&path)?)?;
        let content = zstd::stream::decode_all(std::fs::read(object)?.as_slice())?;
        let count = content.split(|byte| *byte == b'\n').count() - 1;
        assert_eq!(manifest["rows"], count, "{object}");
        for line in content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            serde_json::from_slice::<Value>(line)?;
        }
        (objects, lines) = (objects + 1, lines + count);
    }
    Ok((objects, lines))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daily_run_archives_and_deletes_what_the_preview_showed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let address = format!("file://{}", folder.path().display());
    let fixture = Fixture::start_with(&[("TENA_RETENTION_LOOK_SECONDS", "1"), ("TENA_ARCHIVE_URL", &address)]).await?;
    let retention =
        json!({ "operationalLogs": "30d", "findings": "30d", "audit": "30d", "archive": ["operationalLogs", "audit"] });
    let tenant = fixture.tenant("acme", json!({ "plan": "Pro", "retention": retention })).await?;
    let admin = fixture.person("acme", "admin").await?;
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    until(LONG, "the first run ended", async || {
        let runs = admin.get("/v1/retention/runs").expect(StatusCode::OK).await?;
        Ok(runs["items"][0]["state"] == "done")
    })
    .await?;

    for statement in ROWS {
        send(&db, statement).await?;
    }
    let waiting = "SELECT count(*) FROM tenant_acme.audit_log WHERE sequence IS NULL";
    // Nobody told the chainer of rows that came from elsewhere: a sign of life does.
    admin.post("/v1/retention/legal-holds", &json!({ "reason": "a lawsuit" })).expect(StatusCode::CREATED).await?;
    until(LONG, "the log is a chain", async || Ok(number(&db, waiting).await? == 0)).await?;

    let held = next_run(&db, &admin).await?;
    assert_eq!((&held["state"], &held["deleted_rows"]), (&json!("held"), &json!(0)), "{held}");
    let placed = admin.get("/v1/retention/legal-holds").expect(StatusCode::OK).await?["items"][0]["id"].clone();
    let path = format!("/v1/retention/legal-holds/{}", placed.as_str().context("no id")?);
    admin.delete(&path).expect(StatusCode::FORBIDDEN).await?;
    let platform = fixture.admin().await?;
    platform.delete(&path).tenant("acme").expect(StatusCode::NO_CONTENT).await?;
    platform.delete(&path).tenant("acme").expect(StatusCode::NOT_FOUND).await?;
    let of_any = format!("/v1/tenants/{}/legal-holds", tenant.id);
    admin.get(&of_any).expect(StatusCode::FORBIDDEN).await?;
    assert_eq!(platform.get(&of_any).expect(StatusCode::OK).await?["total"], 1);

    let shown = admin.post("/v1/retention/preview", &json!({})).expect(StatusCode::OK).await?;
    for (table, rows) in [("runs", 40), ("findings", 3), ("audit_log", 9), ("fact_changes", 0)] {
        assert_eq!(of(&shown, table, "rows"), rows, "{table}: {shown}");
    }
    assert_eq!((&shown["rows"], &shown["held"]), (&json!(52), &json!(false)));
    let run = next_run(&db, &admin).await?;
    assert_eq!((&run["state"], &run["deleted_rows"]), (&json!("done"), &json!(52)), "{run}");
    for (table, objects) in [("runs", 1), ("findings", 0), ("audit_log", 1)] {
        assert_eq!(of(&run, table, "deleted_rows"), of(&shown, table, "rows"), "{table}: {run}");
        assert_eq!(of(&run, table, "planned_rows"), of(&shown, table, "rows"), "{table}: {run}");
        assert_eq!(of(&run, table, "archived_objects"), objects, "{table}: {run}");
    }
    assert_eq!(number(&db, "SELECT count(*) FROM tenant_acme.runs").await?, 7);
    assert_eq!(number(&db, "SELECT count(*) FROM tenant_acme.findings").await?, 2);
    assert_eq!(archived(folder.path(), "runs")?, (1, 40));
    assert_eq!(archived(folder.path(), "audit_log")?, (1, 9));
    assert!(
        !folder.path().join("acme").join(tenant.id.to_string()).join("findings").exists(),
        "the policy does not archive them"
    );
    let told = "SELECT count(*) FROM tenant_acme.audit_log WHERE actor = 'retention' AND action IN ('retention.started', 'retention.finished')";
    assert_eq!(number(&db, told).await?, 2);
    until(LONG, "the log is a chain again", async || Ok(number(&db, waiting).await? == 0)).await?;
    let verified = store::audit_chain::verify(&fixture.owner, &tenant).await?;
    assert_eq!((verified.cut, verified.broken), (Some(9), None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_archive_nothing_goes_that_is_to_be_archived() -> Result<()> {
    let fixture = Fixture::start_with(&[("TENA_RETENTION_LOOK_SECONDS", "1")]).await?;
    let retention = json!({ "operationalLogs": "30d", "findings": "30d", "archive": ["operationalLogs"] });
    fixture.tenant("acme", json!({ "plan": "Pro", "retention": retention })).await?;
    let admin = fixture.person("acme", "admin").await?;
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    for statement in ROWS {
        send(&db, statement).await?;
    }
    let mut run = next_run(&db, &admin).await?;
    // The first one may have begun before the rows were there.
    if of(&run, "findings", "deleted_rows") == 0 {
        run = next_run(&db, &admin).await?;
    }
    assert_eq!(run["state"], "failed", "{run}");
    let problem = of(&run, "runs", "problem");
    assert!(problem.as_str().is_some_and(|said| said.contains("TENA_ARCHIVE_URL")), "{run}");
    assert_eq!((of(&run, "runs", "deleted_rows"), of(&run, "findings", "deleted_rows")), (json!(0), json!(3)));
    assert_eq!(number(&db, "SELECT count(*) FROM tenant_acme.runs").await?, 47);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_shown_before_it_is_saved_and_saved_in_the_resource() -> Result<()> {
    let fixture = Fixture::start_with(&[("TENA_RETENTION", "dry-run"), ("TENA_RETENTION_LOOK_SECONDS", "1")]).await?;
    fixture.tenant("acme", json!({ "plan": "Pro" })).await?;
    let admin = fixture.person("acme", "admin").await?;
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    for statement in ROWS {
        send(&db, statement).await?;
    }
    let has = admin.get("/v1/retention").expect(StatusCode::OK).await?;
    assert_eq!((&has["findings"], &has["audit"], &has["daily"]), (&json!("365d"), &json!("7y"), &json!("dry_run")));
    let preview = |body: Value| admin.post("/v1/retention/preview", &body);
    let as_it_is = preview(json!({})).expect(StatusCode::OK).await?;
    assert_eq!((of(&as_it_is, "findings", "rows"), of(&as_it_is, "runs", "rows")), (json!(0), json!(40)));
    let other = preview(json!({ "findings": "30d", "operational_logs": "50d" })).expect(StatusCode::OK).await?;
    assert_eq!((of(&other, "findings", "rows"), of(&other, "runs", "rows")), (json!(3), json!(0)));
    assert_eq!(of(&other, "findings", "type"), "findings");
    for (body, field) in [
        (json!({ "findings": "soon" }), "findings"),
        (json!({ "audit": "29d" }), "audit"),
        (json!({ "colour": "30d" }), "colour"),
    ] {
        let refused = preview(body.clone()).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
        assert_eq!(refused["details"]["field"], field, "{refused}");
        let refused = admin.call(Method::PUT, "/v1/retention").0.json(&body).send().await?;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }
    preview(json!({ "archive": ["runs"] })).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;

    let put = |person: &Person<'_>, body: Value| {
        let call = person.call(Method::PUT, "/v1/retention");
        crate::fixture::Call(call.0.json(&body))
    };
    let reader = fixture.person("acme", "readonly").await?;
    reader.get("/v1/retention").expect(StatusCode::OK).await?;
    put(&reader, json!({ "findings": "30d" })).expect(StatusCode::FORBIDDEN).await?;
    reader.post("/v1/retention/legal-holds", &json!({ "reason": "x" })).expect(StatusCode::FORBIDDEN).await?;
    let saved = put(&admin, json!({ "findings": "30d", "archive": ["findings"] })).expect(StatusCode::OK).await?;
    assert_eq!((&saved["findings"], &saved["archive"]), (&json!("30d"), &json!(["findings"])));
    let api: kube::Api<crds::tenant::Tenant> = kube::Api::all(fixture.cluster.client.clone());
    let spec = api.get("acme").await?.spec.retention;
    assert_eq!((spec.findings.to_string(), spec.audit.to_string()), ("30d".to_owned(), "7y".to_owned()));
    let saved = put(&admin, json!({ "archive": [] })).expect(StatusCode::OK).await?;
    assert_eq!((&saved["findings"], &saved["archive"]), (&json!("30d"), &json!([])));
    let told = "SELECT count(*) FROM tenant_acme.audit_log WHERE action = 'retention.changed'";
    assert_eq!(number(&db, told).await?, 2);

    // A dry run writes down what it would delete.
    let run = next_run(&db, &admin).await?;
    assert_eq!((&run["dry_run"], &run["state"], &run["deleted_rows"]), (&json!(true), &json!("done"), &json!(0)));
    assert_eq!((of(&run, "findings", "planned_rows"), of(&run, "runs", "planned_rows")), (json!(3), json!(40)));
    assert_eq!(number(&db, "SELECT count(*) FROM tenant_acme.runs").await?, 47);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stops_the_purge_of_a_tenant_that_nobody_can_act_in() -> Result<()> {
    let fixture = Fixture::start().await?;
    let tenant = fixture.tenant("acme", json!({ "plan": "Pro" })).await?;
    let ada = fixture.person("acme", "admin").await?;
    let of_any = format!("/v1/tenants/{}/legal-holds", tenant.id);
    let reason = json!({ "reason": "a lawsuit" });
    ada.post(&of_any, &reason).expect(StatusCode::FORBIDDEN).await?;

    let mut tx = fixture.owner.begin().await?;
    let progress = Progress {
        state: TenantState::Offboarded,
        step: "workloads_removed".to_owned(),
        purge_after: Some(Utc::now() - TimeDelta::minutes(1)),
    };
    tenants::set_progress(&mut tx, tenant.id, &progress).await?;
    tx.commit().await?;
    let due = async || -> Result<usize> {
        let mut tx = fixture.owner.begin().await?;
        let due = tenants::due_for_purge(&mut tx).await?.len();
        tx.rollback().await?;
        Ok(due)
    };
    assert_eq!(due().await?, 1);
    let platform = fixture.admin().await?;
    platform.post("/v1/retention/legal-holds", &reason).tenant("acme").expect(StatusCode::FORBIDDEN).await?;
    platform.post(&of_any, &json!({ "reason": " " })).expect(StatusCode::UNPROCESSABLE_ENTITY).await?;
    let hold = platform.post(&of_any, &reason).expect(StatusCode::CREATED).await?;
    assert_eq!(due().await?, 0);
    let listed = platform.get("/v1/tenants/acme/legal-holds").expect(StatusCode::OK).await?;
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &hold["id"]));
    let path = format!("{of_any}/{}", hold["id"].as_str().context("no id")?);
    platform.delete(&path).expect(StatusCode::NO_CONTENT).await?;
    platform.delete(&path).expect(StatusCode::NOT_FOUND).await?;
    assert_eq!(due().await?, 1);
    let db = PgPool::connect(&fixture.superuser_url()?).await?;
    let told = "SELECT count(*) FROM tenant_acme.audit_log WHERE action LIKE 'legal_hold.%'";
    assert_eq!(number(&db, told).await?, 2);

    // Once a purge has begun, it is too late.
    let mut tx = fixture.owner.begin().await?;
    assert!(tenants::begin_purge(&mut tx, tenant.id).await?.is_some());
    tx.commit().await?;
    platform.post(&of_any, &reason).expect(StatusCode::CONFLICT).await?;
    platform.get("/v1/tenants/nobody/legal-holds").expect(StatusCode::NOT_FOUND).await?;
    Ok(())
}
