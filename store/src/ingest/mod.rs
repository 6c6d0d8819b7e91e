//! A result on its way in: run, facts, verdicts, findings, score, events and audit in the caller's one transaction, with
//! a number of statements that does not grow with the result. `run_id` makes a repeat harmless; two results of one module
//! on one asset come one after the other, by the lock on their row of `asset_modules`.

mod facts;
mod plan;
mod write;

use std::collections::HashMap;

use analysis::score::Weights;
use catalog::Severity;
use catalog::envelope::{Envelope, RunStatus, Verdict};
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::tx::{TenantTx, Write};
use plan::{StoredFinding, StoredState};

/// Opened findings that an event names; whoever wants more asks for the run's.
const NAMED_IN_EVENT: usize = 100;

/// Whose result it is, as the credential says, never the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestContext {
    /// The agent that sent it.
    pub agent_id: Uuid,
    /// The asset it ran on.
    pub asset_id: Uuid,
    /// The job it answers; none for a run that the agent scheduled itself.
    pub job_id: Option<Uuid>,
    /// How much a check of each severity counts for this tenant.
    pub weights: Weights,
}

/// What a result came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IngestOutcome {
    /// Whether the run was stored before; then nothing was written.
    pub duplicate: bool,
    /// Findings that are new or came back.
    pub opened: u64,
    /// Findings that are over.
    pub closed: u64,
    /// Verdicts that changed.
    pub transitions: u64,
    /// Facts that are new.
    pub facts_added: u64,
    /// Facts that are gone.
    pub facts_removed: u64,
    /// The snapshot that is stored now: what the next result of this module builds on.
    pub snapshot: Option<String>,
}

/// Stores a result. The caller commits; on an error it rolls back, and nothing of the result is there.
///
/// A run with the status `failed` is recorded and changes nothing else: its verdicts and facts say nothing.
pub async fn apply(tx: &mut TenantTx<Write>, context: &IngestContext, envelope: &Envelope) -> Result<IngestOutcome> {
    let invalid = |reason: String| Error::InvalidResult { run_id: envelope.run_id, reason };
    if let Some(reason) = envelope.contradiction() {
        return Err(invalid(reason));
    }
    let severities = definitions(tx, envelope).await?;
    if let Some(check) = envelope.checks.iter().find(|check| !severities.contains_key(&check.id)) {
        return Err(invalid(format!("{} {} has no check `{}`", envelope.module, envelope.version, check.id)));
    }
    let begun = write::begin_run(tx.connection()?, context, envelope).await?;
    if begun.is_duplicate {
        return Ok(IngestOutcome { duplicate: true, snapshot: begun.snapshot, ..IngestOutcome::default() });
    }
    let mut outcome = IngestOutcome { snapshot: begun.snapshot.clone(), ..IngestOutcome::default() };
    let mut opened = Vec::new();
    if envelope.status != RunStatus::Failed {
        let place = facts::Place {
            run_id: envelope.run_id,
            asset_id: context.asset_id,
            module: &envelope.module,
            at: Utc::now(),
        };
        let changed = facts::apply(tx.connection()?, place, begun.snapshot.as_deref(), &envelope.facts).await?;
        let incoming = plan::incoming(context.asset_id, envelope, &severities);
        let states = states(tx, context.asset_id, &envelope.module).await?;
        let ids: Vec<Uuid> = incoming.by_id.keys().copied().collect();
        let findings = findings(tx, context.asset_id, &envelope.module, &ids).await?;
        let plan = plan::plan(envelope, incoming, &severities, context.weights, &states, &findings);
        write::states(tx.connection()?, place, &envelope.version, &plan).await?;
        write::findings(tx.connection()?, place, &envelope.version, &plan).await?;
        write::scores(tx.connection()?, place, &plan).await?;
        if begun.snapshot.as_deref() != Some(envelope.facts.snapshot.as_str()) {
            write::snapshot(tx.connection()?, place, &envelope.facts.snapshot).await?;
        }
        outcome = IngestOutcome {
            duplicate: false,
            opened: plan.opened.len() as u64,
            closed: plan.closed.len() as u64,
            transitions: plan.transitions() as u64,
            facts_added: changed.added,
            facts_removed: changed.removed,
            snapshot: Some(envelope.facts.snapshot.clone()),
        };
        opened = plan.opened;
    }
    let event = json!({
        "run_id": envelope.run_id, "asset_id": context.asset_id, "module": envelope.module, "version": envelope.version,
        "status": envelope.status.as_str(), "opened": outcome.opened, "closed": outcome.closed,
        "transitions": outcome.transitions, "facts_added": outcome.facts_added, "facts_removed": outcome.facts_removed,
        "opened_findings": &opened[..opened.len().min(NAMED_IN_EVENT)],
    });
    write::finish(tx.connection()?, context, envelope, &event).await?;
    Ok(outcome)
}

/// The severity of each check of the module version; [`Error::UnknownModule`] if the catalog does not have it.
async fn definitions(tx: &mut TenantTx<Write>, envelope: &Envelope) -> Result<HashMap<String, Severity>> {
    let rows: Vec<(Option<String>, Option<String>)> = sqlx::query_as(
        "SELECT c.check_id, c.severity FROM shared.module_versions v LEFT JOIN shared.checks c USING (module, version)
         WHERE v.module = $1 AND v.version = $2",
    )
    .bind(&envelope.module)
    .bind(&envelope.version)
    .fetch_all(tx.connection()?)
    .await?;
    if rows.is_empty() {
        return Err(Error::UnknownModule { module: envelope.module.clone(), version: envelope.version.clone() });
    }
    rows.into_iter()
        .filter_map(|(check, severity)| Some((check?, severity?)))
        .map(|(check, severity)| Ok((check, severity_of(&severity)?)))
        .collect()
}

async fn states(tx: &mut TenantTx<Write>, asset_id: Uuid, module: &str) -> Result<HashMap<String, StoredState>> {
    type Row = (String, String, String, String, i32, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT check_id, module_version, verdict, severity, weight, message FROM check_states
         WHERE asset_id = $1 AND module = $2",
    )
    .bind(asset_id)
    .bind(module)
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter()
        .map(|(check, version, verdict, severity, weight, message)| {
            let state = StoredState {
                version,
                verdict: verdict_of(&verdict)?,
                severity: severity_of(&severity)?,
                weight: weight.unsigned_abs(),
                message,
            };
            Ok((check, state))
        })
        .collect()
}

/// The open findings of the module on the asset, and those of `ids` that are closed.
async fn findings(
    tx: &mut TenantTx<Write>,
    asset_id: Uuid,
    module: &str,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, StoredFinding>> {
    type Row = (Uuid, String, String, bool, Uuid);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT finding_id, check_id, severity, true, content_hash FROM findings
             WHERE asset_id = $1 AND module = $2 AND status = 'open'
         UNION ALL
         SELECT finding_id, check_id, severity, false, content_hash FROM findings
             WHERE finding_id = ANY($3) AND asset_id = $1 AND status = 'closed'",
    )
    .bind(asset_id)
    .bind(module)
    .bind(ids)
    .fetch_all(tx.connection()?)
    .await?;
    rows.into_iter()
        .map(|(id, check, severity, is_open, content)| {
            Ok((id, StoredFinding { check, severity: severity_of(&severity)?, is_open, content }))
        })
        .collect()
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
