//! The statements of an ingest, each one batch over UNNEST for all its runs; new findings go by COPY.

use catalog::facts::Row;
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::plan::{FindingWrite, OpenCounts, StateWrite};
use super::{IngestContext, Place, Planned, Submission, copy, exposure};
use crate::drift;
use crate::error::{Error, Result};
use crate::notify::Channel;
use crate::risk;

/// Opened findings that an event names; whoever wants more asks for the run's.
const NAMED_IN_EVENT: usize = 100;

/// What storing a run found.
pub(super) struct Begun {
    pub(super) is_duplicate: bool,
    /// The snapshot of the module's facts on the asset as stored before.
    pub(super) snapshot: Option<String>,
    /// The module never reported on the asset.
    pub(super) is_first: bool,
}

/// Stores the runs and locks the modules' rows on the asset, in the modules' order. A run that is there already writes
/// nothing. What each found, in the order of the submissions.
pub(super) async fn begin(
    connection: &mut PgConnection,
    context: &IngestContext,
    submissions: &[Submission<'_>],
) -> Result<Vec<Begun>> {
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let runs = || submissions.iter().map(|one| one.envelope);
    // A row that was just inserted has no xmax; one that was updated has this transaction's.
    let rows: Vec<(Uuid, bool, Option<String>, bool)> = sqlx::query_as(
        "WITH said AS (
             SELECT * FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bigint[], $9::bigint[],
                 $10::bigint[], $11::integer[], $12::integer[], $13::integer[], $14::integer[], $15::smallint[], $16::jsonb[],
                 $17::jsonb[])
             AS u(run_id, module, version, status, started_at, duration_ms, cpu_ms, max_rss_kb, passed, failed, not_applicable,
                 error, score, log, artifacts)
         ), run AS (
             INSERT INTO runs (run_id, asset_id, agent_id, module, module_version, status, started_at, duration_ms, cpu_ms,
                 max_rss_kb, passed, failed, not_applicable, error, score, log, artifacts)
             SELECT run_id, $1, $2, module, version, status, started_at, duration_ms, cpu_ms, max_rss_kb, passed, failed,
                 not_applicable, error, score, log, artifacts FROM said ORDER BY run_id
             ON CONFLICT (run_id) DO NOTHING RETURNING run_id, module, module_version, status
         ), moved AS (
             INSERT INTO asset_modules AS m (asset_id, module, module_version, last_run_id, last_status, last_run_at)
             SELECT $1, module, module_version, run_id, status, now() FROM run WHERE status <> 'failed' ORDER BY module
             ON CONFLICT (asset_id, module) DO UPDATE SET module_version = excluded.module_version,
                 last_run_id = excluded.last_run_id, last_status = excluded.last_status, last_run_at = excluded.last_run_at
             RETURNING m.module, m.snapshot, m.xmax = 0 AS is_first
         ), scored AS (
             INSERT INTO asset_scores (asset_id, passed_weight, assessed_weight, passed, failed, not_applicable, error,
                 open_critical, open_high, open_medium, open_low, updated_at)
             SELECT $1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, now() WHERE EXISTS (SELECT FROM run WHERE status <> 'failed')
             ON CONFLICT (asset_id) DO NOTHING
         )
         SELECT s.run_id, r.run_id IS NULL, COALESCE(m.snapshot, (SELECT a.snapshot FROM asset_modules a
             WHERE a.asset_id = $1 AND a.module = s.module AND m.module IS NULL)), COALESCE(m.is_first, false)
         FROM said s LEFT JOIN run r USING (run_id) LEFT JOIN moved m ON m.module = s.module",
    )
    .bind(context.asset_id)
    .bind(context.agent_id)
    .bind(runs().map(|run| run.run_id).collect::<Vec<_>>())
    .bind(runs().map(|run| run.module.as_str()).collect::<Vec<_>>())
    .bind(runs().map(|run| run.version.as_str()).collect::<Vec<_>>())
    .bind(runs().map(|run| run.status.as_str()).collect::<Vec<_>>())
    .bind(runs().map(|run| run.started_at).collect::<Vec<_>>())
    .bind(runs().map(|run| number(run.duration_ms)).collect::<Vec<_>>())
    .bind(runs().map(|run| number(run.resource.cpu_ms)).collect::<Vec<_>>())
    .bind(runs().map(|run| number(run.resource.max_rss_kb)).collect::<Vec<_>>())
    .bind(runs().map(|run| count(run.summary.passed)).collect::<Vec<_>>())
    .bind(runs().map(|run| count(run.summary.failed)).collect::<Vec<_>>())
    .bind(runs().map(|run| count(run.summary.not_applicable)).collect::<Vec<_>>())
    .bind(runs().map(|run| count(run.summary.error)).collect::<Vec<_>>())
    .bind(runs().map(|run| run.summary.score.map(i16::from)).collect::<Vec<_>>())
    .bind(runs().map(|run| Json(&run.log)).collect::<Vec<_>>())
    .bind(runs().map(|run| Json(&run.artifacts)).collect::<Vec<_>>())
    .fetch_all(connection)
    .await
    .map_err(|error| if is_missing_asset(&error) { Error::NotFound("asset") } else { error.into() })?;
    let mut begun: std::collections::HashMap<Uuid, Begun> = rows
        .into_iter()
        .map(|(run_id, is_duplicate, snapshot, is_first)| (run_id, Begun { is_duplicate, snapshot, is_first }))
        .collect();
    let missing = || Error::Invalid("a run came to nothing".to_owned());
    runs().map(|run| begun.remove(&run.run_id).ok_or_else(missing)).collect()
}

/// Foreign key violation: the asset is not in this tenant.
fn is_missing_asset(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("23503"))
}

/// A verdict that changed: its run, its check, from what, to what.
type Transition<'p> = (&'p Planned<'p>, &'p str, Option<&'static str>, Option<&'static str>);

fn module_of<'p>(planned: &'p Planned<'_>) -> &'p str {
    &planned.run.envelope.module
}

/// Stores changed verdicts with their transitions, and forgets those of checks that are gone: one statement.
pub(super) async fn states(connection: &mut PgConnection, place: Place, planned: &[Planned<'_>]) -> Result<()> {
    let changed: Vec<(&Planned<'_>, &StateWrite<'_>)> =
        planned.iter().flat_map(|one| one.plan.states.iter().map(move |state| (one, state))).collect();
    let gone = || planned.iter().flat_map(|one| one.plan.gone.iter().map(move |(check, _)| (one, check.as_str())));
    if changed.is_empty() && gone().next().is_none() {
        return Ok(());
    }
    let moved = changed.iter().filter(|(_, state)| state.is_transition()).map(|&(one, state)| -> Transition<'_> {
        (one, state.check, state.from.map(catalog::envelope::Verdict::as_str), Some(state.verdict.as_str()))
    });
    let ended = planned.iter().flat_map(|one| {
        one.plan.ended().map(move |(check, verdict)| -> Transition<'_> { (one, check, Some(verdict.as_str()), None) })
    });
    let transitions: Vec<Transition<'_>> = moved.chain(ended).collect();
    sqlx::query(
        "WITH transitions AS (
             INSERT INTO check_transitions (transition_id, asset_id, run_id, module, check_id, from_verdict, to_verdict, changed_at)
             SELECT i, $1, r, m, c, f, t, $2
             FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[]) AS u(i, r, m, c, f, t)
         ), gone AS (
             DELETE FROM check_states s USING unnest($9::text[], $10::text[]) AS u(m, c)
             WHERE s.asset_id = $1 AND s.module = u.m AND s.check_id = u.c
         )
         INSERT INTO check_states AS s (asset_id, module, check_id, module_version, verdict, severity, weight, message, run_id, changed_at,
             is_waived)
         SELECT $1, m, c, ver, v, sev, w, message, r, $2, waived
         FROM unnest($11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::integer[], $17::text[], $18::uuid[],
             $19::boolean[]) AS u(m, c, ver, v, sev, w, message, r, waived)
         ON CONFLICT (asset_id, module, check_id) DO UPDATE SET module_version = excluded.module_version,
             verdict = excluded.verdict, severity = excluded.severity, weight = excluded.weight, message = excluded.message,
             run_id = excluded.run_id, is_waived = excluded.is_waived,
             changed_at = CASE WHEN s.verdict = excluded.verdict THEN s.changed_at ELSE excluded.changed_at END",
    )
    .bind(place.asset_id)
    .bind(place.at)
    .bind(transitions.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(transitions.iter().map(|(one, ..)| one.run.envelope.run_id).collect::<Vec<_>>())
    .bind(transitions.iter().map(|(one, ..)| module_of(one)).collect::<Vec<_>>())
    .bind(transitions.iter().map(|(_, check, ..)| *check).collect::<Vec<_>>())
    .bind(transitions.iter().map(|(_, _, from, _)| *from).collect::<Vec<_>>())
    .bind(transitions.iter().map(|(.., to)| *to).collect::<Vec<_>>())
    .bind(gone().map(|(one, _)| module_of(one)).collect::<Vec<_>>())
    .bind(gone().map(|(_, check)| check).collect::<Vec<_>>())
    .bind(changed.iter().map(|(one, _)| module_of(one)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, state)| state.check).collect::<Vec<_>>())
    .bind(changed.iter().map(|(one, _)| one.run.envelope.version.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, state)| state.verdict.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, state)| state.severity.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, state)| i32::try_from(state.weight).unwrap_or(i32::MAX)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, state)| state.message).collect::<Vec<_>>())
    .bind(changed.iter().map(|(one, _)| one.run.envelope.run_id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, state)| state.is_waived).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores new, changed and reopened findings, and closes those that are over: one statement each.
pub(super) async fn findings(connection: &mut PgConnection, place: Place, planned: &[Planned<'_>]) -> Result<()> {
    let closed: Vec<(Uuid, Uuid)> =
        planned.iter().flat_map(|one| one.plan.closed.iter().map(move |id| (*id, one.run.envelope.run_id))).collect();
    if !closed.is_empty() {
        sqlx::query(
            "UPDATE findings f SET status = 'closed', closed_at = $1, run_id = u.r FROM unnest($2::uuid[], $3::uuid[]) AS u(i, r)
             WHERE f.finding_id = u.i",
        )
        .bind(place.at)
        .bind(closed.iter().map(|(id, _)| *id).collect::<Vec<_>>())
        .bind(closed.iter().map(|(_, run)| *run).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    }
    copy::new_findings(connection, place, planned).await?;
    changed_findings(connection, place, planned).await
}

/// Stores what findings say now that are stored already. A closed one may have been deleted by retention since it was read:
/// then it is as new, so that what is counted as open is there.
async fn changed_findings(connection: &mut PgConnection, place: Place, planned: &[Planned<'_>]) -> Result<()> {
    let changed: Vec<(&Planned<'_>, &FindingWrite<'_>)> =
        planned.iter().flat_map(|one| one.plan.changed.iter().map(move |finding| (one, finding))).collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO findings AS f (finding_id, asset_id, module, module_version, check_id, resource, severity, status, evidence,
             content_hash, run_id, first_seen_at, opened_at, exposure)
         SELECT i, $9, m, v, c, res, s, 'open', e, h, r, $1, $1, x
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::uuid[], $7::uuid[], $8::smallint[], $10::text[],
             $11::text[], $12::text[]) AS u(i, v, s, e, h, r, x, m, c, res)
         ON CONFLICT (finding_id) DO UPDATE SET module_version = excluded.module_version, severity = excluded.severity,
             evidence = excluded.evidence, content_hash = excluded.content_hash, run_id = excluded.run_id,
             exposure = excluded.exposure, status = 'open', closed_at = NULL,
             opened_at = CASE WHEN f.status = 'open' THEN f.opened_at ELSE excluded.opened_at END,
             times_reopened = f.times_reopened + CASE WHEN f.status = 'open' THEN 0 ELSE 1 END",
    )
    .bind(place.at)
    .bind(changed.iter().map(|(_, finding)| finding.finding_id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(one, _)| one.run.envelope.version.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, finding)| finding.severity.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, finding)| Json(finding.evidence.as_ref())).collect::<Vec<Json<&Row>>>())
    .bind(changed.iter().map(|(_, finding)| finding.content).collect::<Vec<_>>())
    .bind(changed.iter().map(|(one, _)| one.run.envelope.run_id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, finding)| exposure::code(finding.exposure)).collect::<Vec<_>>())
    .bind(place.asset_id)
    .bind(changed.iter().map(|(one, _)| module_of(one)).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, finding)| finding.check).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, finding)| finding.resource).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds what changed to the asset's kept sums, judges its risk by them, and sets today's row of its trend: one statement, none
/// if nothing changed. The revision says that the asset's standings are behind.
pub(super) async fn scores(
    connection: &mut PgConnection,
    context: &IngestContext,
    place: Place,
    planned: &[Planned<'_>],
) -> Result<()> {
    let moves_standing = planned.iter().any(|one| one.plan.moves_standing);
    if !moves_standing && !planned.iter().any(|one| one.plan.changes_score()) {
        return Ok(());
    }
    let sums = planned.iter().fold(analysis::score::Sums::default(), |sums, one| sums.plus(one.plan.sums));
    let open = planned.iter().fold(OpenCounts::default(), |open, one| open.plus(one.plan.open));
    let extra = planned.iter().fold(OpenCounts::default(), |extra, one| extra.plus(one.plan.extra));
    let [critical, high, medium, low] = risk::weights_of(context.weights);
    // Rounded half up, as analysis::score::of_weights does; the property test compares the two.
    sqlx::query(concat!(
        "WITH scored AS (
             UPDATE asset_scores s SET updated_at = $2, passed_weight = passed_weight + $3, assessed_weight = assessed_weight + $4,
                 passed = passed + $5, failed = failed + $6, not_applicable = not_applicable + $7, error = error + $8,
                 open_critical = open_critical + $9, open_high = open_high + $10, open_medium = open_medium + $11,
                 open_low = open_low + $12, waived = waived + $13, waived_weight = waived_weight + $14,
                 revision = revision + $15, extra_critical = extra_critical + $16, extra_high = extra_high + $17,
                 extra_medium = extra_medium + $18, extra_low = extra_low + $19,
                 (load, risk) = (",
        risk::judged!(
            weights "$20", "$21", "$22", "$23";
            counts "s.open_critical + $9", "s.open_high + $10", "s.open_medium + $11", "s.open_low + $12";
            extras "s.extra_critical + $16", "s.extra_high + $17", "s.extra_medium + $18", "s.extra_low + $19"
        ),
        "),
                 score = CASE WHEN assessed_weight + $4 > 0 THEN (((passed_weight + $3) * 200 + assessed_weight + $4)
                     / ((assessed_weight + $4) * 2))::smallint END
             WHERE asset_id = $1 RETURNING asset_id, score, passed_weight, assessed_weight, risk
         )
         INSERT INTO score_days AS d (scope, scope_id, day, score, passed_weight, assessed_weight, risk)
         SELECT 'asset', asset_id, ($2 AT TIME ZONE 'UTC')::date, score, passed_weight, assessed_weight, risk FROM scored
         ON CONFLICT (scope, scope_id, day) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, risk = excluded.risk
         WHERE (d.passed_weight, d.assessed_weight, d.risk)
             IS DISTINCT FROM (excluded.passed_weight, excluded.assessed_weight, excluded.risk)",
    ))
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
    .bind(sums.waived)
    .bind(sums.waived_weight)
    .bind(i64::from(moves_standing))
    .bind(extra.critical)
    .bind(extra.high)
    .bind(extra.medium)
    .bind(extra.low)
    .bind(critical)
    .bind(high)
    .bind(medium)
    .bind(low)
    .execute(connection)
    .await?;
    Ok(())
}

/// Records the snapshots that the facts have now, leaves the runs whose drift has to be followed and the events, writes the
/// audit rows and marks the jobs done: one statement.
pub(super) async fn finish(
    connection: &mut PgConnection,
    context: &IngestContext,
    place: Place,
    planned: &[Planned<'_>],
) -> Result<()> {
    let has_moved = |one: &&Planned<'_>| one.snapshot() != one.run.stored;
    let drifting = || planned.iter().filter(move |one| has_moved(one) && drift::concerns(&one.run.envelope.facts));
    sqlx::query(
        "WITH done AS (
             UPDATE shared.jobs SET state = 'done', finished_at = now(), leased_until = NULL
             WHERE (run_id = ANY($1) OR job_id = ANY($2)) AND agent_id = $3 AND state <> 'done'
         ), kept AS (
             UPDATE asset_modules m SET snapshot = u.s FROM unnest($4::text[], $5::text[]) AS u(m, s)
             WHERE m.asset_id = $6 AND m.module = u.m
         ), to_follow AS (
             INSERT INTO drift_runs (run_id, asset_id, module, module_version, found_at, is_inventory)
             SELECT r, $6, m, v, $17, i FROM unnest($13::uuid[], $14::text[], $15::text[], $16::boolean[]) AS u(r, m, v, i)
         ), left_events AS (
             INSERT INTO shared.outbox (event_id, kind, aggregate_id, subject_id, payload)
             SELECT i, 'run.ingested', $6, r, p FROM unnest($7::uuid[], $1::uuid[], $8::jsonb[]) AS u(i, r, p)
         ), audited AS (
             INSERT INTO audit_log (audit_id, actor, action, subject, details)
             SELECT i, $9, 'run.ingested', 'run:' || r, d FROM unnest($10::uuid[], $1::uuid[], $11::jsonb[]) AS u(i, r, d)
         )
         SELECT pg_notify($12, '')",
    )
    .bind(planned.iter().map(|one| one.run.envelope.run_id).collect::<Vec<_>>())
    .bind(planned.iter().filter_map(|one| one.run.job_id).collect::<Vec<_>>())
    .bind(context.agent_id)
    .bind(planned.iter().filter(has_moved).map(|one| module_of(one)).collect::<Vec<_>>())
    .bind(planned.iter().filter(has_moved).map(Planned::snapshot).collect::<Vec<_>>())
    .bind(context.asset_id)
    .bind(planned.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(planned.iter().map(|one| Json(event(context, one))).collect::<Vec<_>>())
    .bind(format!("agent:{}", context.agent_id))
    .bind(planned.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(planned.iter().map(|one| Json(audited(one))).collect::<Vec<_>>())
    .bind(Channel::Outbox.name())
    .bind(drifting().map(|one| one.run.envelope.run_id).collect::<Vec<_>>())
    .bind(drifting().map(|one| module_of(one)).collect::<Vec<_>>())
    .bind(drifting().map(|one| one.run.envelope.version.as_str()).collect::<Vec<_>>())
    .bind(drifting().map(|one| one.run.stored.is_none()).collect::<Vec<_>>())
    .bind(place.at)
    .execute(connection)
    .await?;
    Ok(())
}

fn event(context: &IngestContext, planned: &Planned<'_>) -> Value {
    let Planned { run, facts, plan } = planned;
    json!({
        "run_id": run.envelope.run_id, "asset_id": context.asset_id, "module": run.envelope.module,
        "version": run.envelope.version, "status": run.envelope.status.as_str(), "opened": plan.opened.len(),
        "closed": plan.closed.len(), "transitions": plan.transitions(), "facts_added": facts.added,
        "facts_removed": facts.removed, "opened_findings": &plan.opened[..plan.opened.len().min(NAMED_IN_EVENT)],
    })
}

fn audited(planned: &Planned<'_>) -> Value {
    let Planned { run, plan, .. } = planned;
    json!({
        "module": run.envelope.module, "version": run.envelope.version, "opened": plan.opened.len(),
        "closed": plan.closed.len(),
    })
}
