//! What an ingest reads: the checks of the modules, and what is stored of them on the asset. Each is one statement for all runs;
//! of a module that reports for the first time nothing is looked for.

use std::collections::{HashMap, HashSet};

use catalog::Severity;
use catalog::envelope::{Envelope, Verdict};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::plan::{Incoming, StoredFinding, StoredState};
use super::{Planned, Run, Submission, exposure};
use crate::error::{Error, Result};
use crate::waivers::{COVERS, IN_FORCE, NAMED};

/// The severity of each check, by module.
pub(super) struct Definitions(HashMap<String, HashMap<String, Severity>>);

impl Definitions {
    pub(super) fn of(&self, envelope: &Envelope) -> Result<&HashMap<String, Severity>> {
        let Envelope { module, version, .. } = envelope;
        self.0.get(module).ok_or_else(|| Error::UnknownModule { module: module.clone(), version: version.clone() })
    }
}

/// What is stored, by module and then by its own key.
pub(super) struct ByModule<K, T>(HashMap<String, HashMap<K, T>>);

impl<K, T> ByModule<K, T> {
    /// Nothing where nothing is stored.
    pub(super) fn of(&self, module: &str) -> Option<&HashMap<K, T>> {
        self.0.get(module)
    }
}

/// The checks of each module version; [`Error::UnknownModule`] if the catalog does not have one, and
/// [`Error::InvalidResult`] for a verdict about a check that is not there.
pub(super) async fn definitions(connection: &mut PgConnection, submissions: &[Submission<'_>]) -> Result<Definitions> {
    let modules: Vec<&str> = submissions.iter().map(|one| one.envelope.module.as_str()).collect();
    let versions: Vec<&str> = submissions.iter().map(|one| one.envelope.version.as_str()).collect();
    let rows: Vec<(String, Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT v.module, c.check_id, c.severity FROM unnest($1::text[], $2::text[]) AS u(module, version)
         JOIN shared.module_versions v USING (module, version) LEFT JOIN shared.checks c USING (module, version)",
    )
    .bind(modules)
    .bind(versions)
    .fetch_all(connection)
    .await?;
    let mut definitions: HashMap<String, HashMap<String, Severity>> = HashMap::new();
    for (module, check, severity) in rows {
        let checks = definitions.entry(module).or_default();
        if let (Some(check), Some(severity)) = (check, severity) {
            checks.insert(check, severity_of(&severity)?);
        }
    }
    let definitions = Definitions(definitions);
    for Submission { envelope, .. } in submissions {
        let checks = definitions.of(envelope)?;
        if let Some(check) = envelope.checks.iter().find(|check| !checks.contains_key(&check.id)) {
            let reason = format!("{} {} has no check `{}`", envelope.module, envelope.version, check.id);
            return Err(Error::InvalidResult { run_id: envelope.run_id, reason });
        }
    }
    Ok(definitions)
}

/// Slugs of the runs that can have something stored.
fn modules<'a>(runs: &[Run<'a>]) -> Vec<&'a str> {
    runs.iter().filter(|run| run.decides() && !run.is_first).map(|run| run.envelope.module.as_str()).collect()
}

/// The verdicts of the runs' modules on the asset.
pub(super) async fn states(
    connection: &mut PgConnection,
    asset_id: Uuid,
    runs: &[Run<'_>],
) -> Result<ByModule<String, StoredState>> {
    type Row = (String, String, String, String, String, i32, Option<String>, bool);
    let modules = modules(runs);
    let mut stored = ByModule(HashMap::new());
    if modules.is_empty() {
        return Ok(stored);
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT module, check_id, module_version, verdict, severity, weight, message, is_waived FROM check_states
         WHERE asset_id = $1 AND module = ANY($2)",
    )
    .bind(asset_id)
    .bind(modules)
    .fetch_all(connection)
    .await?;
    for (module, check, version, verdict, severity, weight, message, is_waived) in rows {
        let state = StoredState {
            version,
            verdict: verdict_of(&verdict)?,
            severity: severity_of(&severity)?,
            weight: weight.unsigned_abs(),
            message,
            is_waived,
        };
        stored.0.entry(module).or_default().insert(check, state);
    }
    Ok(stored)
}

/// The open findings of the runs' modules on the asset, and those that came in and are closed.
pub(super) async fn findings(
    connection: &mut PgConnection,
    asset_id: Uuid,
    runs: &[Run<'_>],
    incoming: &[Incoming<'_>],
) -> Result<ByModule<Uuid, StoredFinding>> {
    type Row = (String, Uuid, String, String, bool, Uuid, i16);
    let modules = modules(runs);
    let mut stored = ByModule(HashMap::new());
    if modules.is_empty() {
        return Ok(stored);
    }
    let ids: Vec<Uuid> = runs
        .iter()
        .zip(incoming)
        .filter(|(run, _)| run.decides() && !run.is_first)
        .flat_map(|(_, incoming)| incoming.by_id.keys().copied())
        .collect();
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT module, finding_id, check_id, severity, true, content_hash, exposure FROM findings
             WHERE asset_id = $1 AND module = ANY($2) AND status = 'open'
         UNION ALL
         SELECT module, finding_id, check_id, severity, false, content_hash, exposure FROM findings
             WHERE finding_id = ANY($3) AND asset_id = $1 AND status = 'closed'",
    )
    .bind(asset_id)
    .bind(modules)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    for (module, id, check, severity, is_open, content, exposure) in rows {
        let exposure = exposure::decode(exposure);
        let finding = StoredFinding { check, severity: severity_of(&severity)?, is_open, content, exposure };
        stored.0.entry(module).or_default().insert(id, finding);
    }
    Ok(stored)
}

/// Checks that a waiver in force covers, by module.
pub(super) struct Waived(HashMap<String, HashSet<String>>);

impl Waived {
    pub(super) fn has(&self, module: &str, check: &str) -> bool {
        self.0.get(module).is_some_and(|checks| checks.contains(check))
    }
}

/// Of the checks that begin to fail on the asset those that are waived; asks nothing if none does. One that fails already
/// keeps what it is: what begins and ends with a waiver is counted by [`crate::compliance::keep()`].
pub(super) async fn waived(connection: &mut PgConnection, asset_id: Uuid, planned: &[Planned<'_>]) -> Result<Waived> {
    let mut waived = Waived(HashMap::new());
    let failing: Vec<(&str, &str, &str)> = planned
        .iter()
        .flat_map(|one| {
            let envelope = one.run.envelope;
            one.plan.begin_to_fail().map(move |check| (envelope.module.as_str(), envelope.version.as_str(), check))
        })
        .collect();
    if failing.is_empty() {
        return Ok(waived);
    }
    let statement = format!(
        "WITH {IN_FORCE}, {NAMED}
         SELECT DISTINCT s.module, s.check_id
         FROM unnest($2::text[], $3::text[], $4::text[]) AS s(module, module_version, check_id)
         JOIN assets a ON a.asset_id = $1 JOIN named n ON {COVERS}"
    );
    let rows: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(asset_id)
        .bind(failing.iter().map(|(module, ..)| *module).collect::<Vec<_>>())
        .bind(failing.iter().map(|(_, version, _)| *version).collect::<Vec<_>>())
        .bind(failing.iter().map(|(.., check)| *check).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    for (module, check) in rows {
        waived.0.entry(module).or_default().insert(check);
    }
    Ok(waived)
}

fn severity_of(text: &str) -> Result<Severity> {
    text.parse().map_err(|_| Error::Invalid(format!("'{text}' is no severity")))
}

fn verdict_of(text: &str) -> Result<Verdict> {
    [Verdict::Pass, Verdict::Fail, Verdict::NotApplicable, Verdict::Error]
        .into_iter()
        .find(|verdict| verdict.as_str() == text)
        .ok_or_else(|| Error::Invalid(format!("'{text}' is no verdict")))
}
