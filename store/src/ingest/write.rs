//! The statements of an ingest, each a batch over UNNEST.

use catalog::envelope::{Envelope, RunStatus};
use catalog::facts::Row;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::IngestContext;
use super::facts::Place;
use super::plan::{FindingWrite, Plan, StateWrite};
use crate::error::{Error, Result};
use crate::notify::Channel;

/// What storing the run found.
pub(super) struct Begun {
    pub(super) is_duplicate: bool,
    /// The snapshot of the module's facts on the asset as stored before.
    pub(super) snapshot: Option<String>,
}

/// Stores the run and locks the module's row on the asset. A run that is there already writes nothing.
pub(super) async fn begin_run(
    connection: &mut PgConnection,
    context: &IngestContext,
    envelope: &Envelope,
) -> Result<Begun> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let (is_new, snapshot): (bool, Option<String>) = sqlx::query_as(
        "WITH run AS (
             INSERT INTO runs (run_id, asset_id, agent_id, module, module_version, status, started_at, duration_ms, cpu_ms,
                 max_rss_kb, passed, failed, not_applicable, error, score, log, artifacts)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
             ON CONFLICT (run_id) DO NOTHING RETURNING run_id
         ), moved AS (
             INSERT INTO asset_modules AS m (asset_id, module, module_version, last_run_id, last_status, last_run_at)
             SELECT $2, $4, $5, run_id, $6, now() FROM run WHERE $18
             ON CONFLICT (asset_id, module) DO UPDATE SET module_version = excluded.module_version,
                 last_run_id = excluded.last_run_id, last_status = excluded.last_status, last_run_at = excluded.last_run_at
             RETURNING m.snapshot
         ), scored AS (
             INSERT INTO asset_scores (asset_id, passed_weight, assessed_weight, passed, failed, not_applicable, error,
                 open_critical, open_high, open_medium, open_low, updated_at)
             SELECT $2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now() FROM run WHERE $18 ON CONFLICT (asset_id) DO NOTHING
         )
         SELECT EXISTS (SELECT FROM run), COALESCE((SELECT snapshot FROM moved),
             (SELECT snapshot FROM asset_modules WHERE asset_id = $2 AND module = $4 AND NOT EXISTS (SELECT FROM moved)))",
    )
    .bind(envelope.run_id)
    .bind(context.asset_id)
    .bind(context.agent_id)
    .bind(&envelope.module)
    .bind(&envelope.version)
    .bind(envelope.status.as_str())
    .bind(envelope.started_at)
    .bind(number(envelope.duration_ms))
    .bind(number(envelope.resource.cpu_ms))
    .bind(number(envelope.resource.max_rss_kb))
    .bind(count(envelope.summary.passed))
    .bind(count(envelope.summary.failed))
    .bind(count(envelope.summary.not_applicable))
    .bind(count(envelope.summary.error))
    .bind(envelope.summary.score.map(i16::from))
    .bind(Json(&envelope.log))
    .bind(Json(&envelope.artifacts))
    .bind(envelope.status != RunStatus::Failed)
    .fetch_one(connection)
    .await
    .map_err(|error| if is_missing_asset(&error) { Error::NotFound("asset") } else { error.into() })?;
    Ok(Begun { is_duplicate: !is_new, snapshot })
}

/// Foreign key violation: the asset is not in this tenant.
fn is_missing_asset(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("23503"))
}

/// Stores changed verdicts with their transitions, and forgets those of checks that are gone: one statement.
pub(super) async fn states(connection: &mut PgConnection, place: Place<'_>, version: &str, plan: &Plan) -> Result<()> {
    if plan.states.is_empty() && plan.gone.is_empty() {
        return Ok(());
    }
    let moved: Vec<&StateWrite> = plan.states.iter().filter(|state| state.is_transition()).collect();
    let went = plan.ended();
    let transition_ids: Vec<Uuid> = (0..plan.transitions()).map(|_| Uuid::now_v7()).collect();
    let transition_checks: Vec<&str> =
        moved.iter().map(|state| state.check.as_str()).chain(went.clone().map(|(check, _)| check.as_str())).collect();
    let from: Vec<Option<&str>> = moved
        .iter()
        .map(|state| state.from.map(catalog::envelope::Verdict::as_str))
        .chain(went.clone().map(|(_, verdict)| Some(verdict.as_str())))
        .collect();
    let to: Vec<Option<&str>> =
        moved.iter().map(|state| Some(state.verdict.as_str())).chain(went.map(|_| None)).collect();
    let gone: Vec<&str> = plan.gone.iter().map(|(check, _)| check.as_str()).collect();
    sqlx::query(
        "WITH transitions AS (
             INSERT INTO check_transitions (transition_id, asset_id, run_id, module, check_id, from_verdict, to_verdict, changed_at)
             SELECT i, $1, $3, $2, c, f, t, $4 FROM unnest($5::uuid[], $6::text[], $7::text[], $8::text[]) AS u(i, c, f, t)
         ), gone AS (
             DELETE FROM check_states WHERE asset_id = $1 AND module = $2 AND check_id = ANY($9)
         )
         INSERT INTO check_states AS s (asset_id, module, check_id, module_version, verdict, severity, weight, message, run_id, changed_at)
         SELECT $1, $2, c, $10, v, sev, w, m, $3, $4
         FROM unnest($11::text[], $12::text[], $13::text[], $14::integer[], $15::text[]) AS u(c, v, sev, w, m)
         ON CONFLICT (asset_id, module, check_id) DO UPDATE SET module_version = excluded.module_version,
             verdict = excluded.verdict, severity = excluded.severity, weight = excluded.weight, message = excluded.message,
             run_id = excluded.run_id,
             changed_at = CASE WHEN s.verdict = excluded.verdict THEN s.changed_at ELSE excluded.changed_at END",
    )
    .bind(place.asset_id)
    .bind(place.module)
    .bind(place.run_id)
    .bind(place.at)
    .bind(transition_ids)
    .bind(transition_checks)
    .bind(from)
    .bind(to)
    .bind(gone)
    .bind(version)
    .bind(plan.states.iter().map(|state| state.check.as_str()).collect::<Vec<_>>())
    .bind(plan.states.iter().map(|state| state.verdict.as_str()).collect::<Vec<_>>())
    .bind(plan.states.iter().map(|state| state.severity.as_str()).collect::<Vec<_>>())
    .bind(plan.states.iter().map(|state| i32::try_from(state.weight).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(plan.states.iter().map(|state| state.message.as_deref()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores new, changed and reopened findings, and closes those that are over: one statement each.
pub(super) async fn findings(
    connection: &mut PgConnection,
    place: Place<'_>,
    version: &str,
    plan: &Plan,
) -> Result<()> {
    if !plan.closed.is_empty() {
        sqlx::query("UPDATE findings SET status = 'closed', closed_at = $2, run_id = $3 WHERE finding_id = ANY($1)")
            .bind(&plan.closed)
            .bind(place.at)
            .bind(place.run_id)
            .execute(&mut *connection)
            .await?;
    }
    if plan.findings.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO findings AS f (finding_id, asset_id, module, module_version, check_id, resource, severity, status, evidence,
             content_hash, run_id, first_seen_at, opened_at)
         SELECT i, $1, $2, $3, c, r, s, 'open', e, h, $4, $5, $5
         FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::jsonb[], $11::uuid[]) AS u(i, c, r, s, e, h)
         ON CONFLICT (finding_id) DO UPDATE SET module_version = excluded.module_version, severity = excluded.severity,
             evidence = excluded.evidence, content_hash = excluded.content_hash, run_id = excluded.run_id, status = 'open',
             closed_at = NULL, opened_at = CASE WHEN f.status = 'open' THEN f.opened_at ELSE excluded.opened_at END,
             times_reopened = f.times_reopened + CASE WHEN f.status = 'open' THEN 0 ELSE 1 END",
    )
    .bind(place.asset_id)
    .bind(place.module)
    .bind(version)
    .bind(place.run_id)
    .bind(place.at)
    .bind(each(plan, |finding| finding.finding_id))
    .bind(each(plan, |finding| finding.check.as_str()))
    .bind(each(plan, |finding| finding.resource.as_str()))
    .bind(each(plan, |finding| finding.severity.as_str()))
    .bind(each::<Json<&Row>>(plan, |finding| Json(&finding.evidence)))
    .bind(each(plan, |finding| finding.content))
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds what changed to the asset's kept sums, and sets today's row of its trend: one statement, none if nothing changed.
pub(super) async fn scores(connection: &mut PgConnection, place: Place<'_>, plan: &Plan) -> Result<()> {
    if !plan.changes_score() {
        return Ok(());
    }
    let (sums, open) = (&plan.sums, &plan.open);
    // Rounded half up, as analysis::score::of_weights does; the property test compares the two.
    sqlx::query(
        "WITH scored AS (
             UPDATE asset_scores SET updated_at = $2, passed_weight = passed_weight + $3, assessed_weight = assessed_weight + $4,
                 passed = passed + $5, failed = failed + $6, not_applicable = not_applicable + $7, error = error + $8,
                 open_critical = open_critical + $9, open_high = open_high + $10, open_medium = open_medium + $11,
                 open_low = open_low + $12,
                 score = CASE WHEN assessed_weight + $4 > 0 THEN (((passed_weight + $3) * 200 + assessed_weight + $4)
                     / ((assessed_weight + $4) * 2))::smallint END
             WHERE asset_id = $1 RETURNING asset_id, score, passed_weight, assessed_weight
         )
         INSERT INTO score_days AS d (scope, scope_id, day, score, passed_weight, assessed_weight)
         SELECT 'asset', asset_id, ($2 AT TIME ZONE 'UTC')::date, score, passed_weight, assessed_weight FROM scored
         ON CONFLICT (scope, scope_id, day) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight
         WHERE (d.passed_weight, d.assessed_weight) IS DISTINCT FROM (excluded.passed_weight, excluded.assessed_weight)",
    )
    .bind(place.asset_id)
    .bind(place.at)
    .bind(sums.passed_weight)
    .bind(sums.assessed_weight)
    .bind(sums.passed)
    .bind(sums.failed)
    .bind(sums.not_applicable)
    .bind(sums.error)
    .bind(open.critical)
    .bind(open.high)
    .bind(open.medium)
    .bind(open.low)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records the snapshot that the facts have now.
pub(super) async fn snapshot(connection: &mut PgConnection, place: Place<'_>, snapshot: &str) -> Result<()> {
    sqlx::query("UPDATE asset_modules SET snapshot = $3 WHERE asset_id = $1 AND module = $2")
        .bind(place.asset_id)
        .bind(place.module)
        .bind(snapshot)
        .execute(connection)
        .await?;
    Ok(())
}

/// Leaves the event, writes the audit row and marks the job done: one statement.
pub(super) async fn finish(
    connection: &mut PgConnection,
    context: &IngestContext,
    envelope: &Envelope,
    event: &Value,
) -> Result<()> {
    sqlx::query(
        "WITH done AS (
             UPDATE shared.jobs SET state = 'done', finished_at = now(), leased_until = NULL
             WHERE (run_id = $1 OR job_id = $2) AND agent_id = $3 AND state <> 'done'
         ), left_event AS (
             INSERT INTO shared.outbox (event_id, kind, subject_id, payload) VALUES ($4, 'run.ingested', $1, $5)
         ), audited AS (
             INSERT INTO audit_log (audit_id, actor, action, subject, details) VALUES ($6, $7, 'run.ingested', $8, $9)
         )
         SELECT pg_notify($10, '')",
    )
    .bind(envelope.run_id)
    .bind(context.job_id)
    .bind(context.agent_id)
    .bind(Uuid::now_v7())
    .bind(Json(event))
    .bind(Uuid::now_v7())
    .bind(format!("agent:{}", context.agent_id))
    .bind(format!("run:{}", envelope.run_id))
    .bind(Json(json!({ "module": envelope.module, "version": envelope.version, "opened": event["opened"], "closed": event["closed"] })))
    .bind(Channel::Outbox.name())
    .execute(connection)
    .await?;
    Ok(())
}

/// One column of the findings to write.
fn each<'a, T>(plan: &'a Plan, field: impl Fn(&'a FindingWrite) -> T) -> Vec<T> {
    plan.findings.iter().map(field).collect()
}
