//! Results on their way in: runs, facts, verdicts, findings, score, events and audit in the caller's one transaction, with a
//! number of statements that grows neither with a result nor with how many come together. `run_id` makes a repeat harmless;
//! two results of one module on one asset come one after the other, by the lock on their row of `asset_modules`.

mod copy;
pub(crate) mod exposure;
mod facts;
mod plan;
mod read;
mod write;

use std::collections::HashSet;

use analysis::score::Weights;
use catalog::envelope::{Envelope, RunStatus};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::tx::{TenantTx, Write};
use facts::FactOutcome;
use plan::Plan;

/// Whose result it is, as the credential says, never the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestContext {
    /// The agent that sent it.
    pub agent_id: Uuid,
    /// The asset it ran on.
    pub asset_id: Uuid,
    /// The job that a result answers which is stored by itself; none for a run that the agent scheduled itself.
    pub job_id: Option<Uuid>,
    /// How much a check of each severity counts for this tenant.
    pub weights: Weights,
}

/// One of several results.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The job it answers; none for a run that the agent scheduled itself.
    pub job_id: Option<Uuid>,
    /// The result.
    pub envelope: &'a Envelope,
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

/// Where and when rows are written.
#[derive(Debug, Clone, Copy)]
struct Place {
    asset_id: Uuid,
    at: DateTime<Utc>,
}

/// A run that was not stored before, with what its module had on the asset until now.
#[derive(Debug)]
struct Run<'a> {
    job_id: Option<Uuid>,
    envelope: &'a Envelope,
    /// The snapshot of the module's facts.
    stored: Option<String>,
    /// The module never reported here: nothing of it can be stored.
    is_first: bool,
}

impl Run<'_> {
    /// Whether its verdicts and facts say anything.
    fn decides(&self) -> bool {
        self.envelope.status != RunStatus::Failed
    }
}

/// A run with what it changes.
#[derive(Debug)]
struct Planned<'a> {
    run: Run<'a>,
    facts: FactOutcome,
    plan: Plan<'a>,
}

impl Planned<'_> {
    /// The snapshot that is stored after it.
    fn snapshot(&self) -> Option<String> {
        if self.run.decides() { Some(self.run.envelope.facts.snapshot.clone()) } else { self.run.stored.clone() }
    }
}

/// Stores a result. The caller commits; on an error it rolls back, and nothing of the result is there.
///
/// A run with the status `failed` is recorded and changes nothing else: its verdicts and facts say nothing.
pub async fn apply(tx: &mut TenantTx<Write>, context: &IngestContext, envelope: &Envelope) -> Result<IngestOutcome> {
    let outcomes = apply_all(tx, context, &[Submission { job_id: context.job_id, envelope }]).await?;
    outcomes.into_iter().next().ok_or_else(|| Error::Invalid("a result came to nothing".to_owned()))
}

/// Stores results of one agent together, as [`apply`] does each: of different modules and runs, or it is
/// [`Error::Invalid`]. One that is refused refuses all; the caller then stores each by itself.
pub async fn apply_all(
    tx: &mut TenantTx<Write>,
    context: &IngestContext,
    submissions: &[Submission<'_>],
) -> Result<Vec<IngestOutcome>> {
    are_apart(submissions)?;
    for Submission { envelope, .. } in submissions {
        if let Some(reason) = envelope.contradiction() {
            return Err(Error::InvalidResult { run_id: envelope.run_id, reason });
        }
    }
    let connection = tx.connection()?;
    let definitions = read::definitions(connection, submissions).await?;
    let begun = write::begin(connection, context, submissions).await?;
    let place = Place { asset_id: context.asset_id, at: Utc::now() };
    let mut outcomes = Vec::with_capacity(submissions.len());
    let mut runs = Vec::new();
    for (submission, begun) in submissions.iter().zip(begun) {
        outcomes.push(IngestOutcome { duplicate: true, snapshot: begun.snapshot.clone(), ..IngestOutcome::default() });
        if !begun.is_duplicate {
            let Submission { job_id, envelope } = *submission;
            runs.push(Run { job_id, envelope, stored: begun.snapshot, is_first: begun.is_first });
        }
    }
    if runs.is_empty() {
        return Ok(outcomes);
    }
    let facts = facts::apply(connection, place, &runs).await?;
    let stored = read::states(connection, place.asset_id, &runs).await?;
    let mut incoming = Vec::with_capacity(runs.len());
    for run in &runs {
        incoming.push(plan::incoming(place.asset_id, run.envelope, definitions.of(run.envelope)?));
    }
    let known = read::findings(connection, place.asset_id, &runs, &incoming).await?;
    let mut planned = Vec::with_capacity(runs.len());
    for ((run, incoming), facts) in runs.into_iter().zip(incoming).zip(facts) {
        let envelope = run.envelope;
        let (states, findings) = (stored.of(&envelope.module), known.of(&envelope.module));
        let plan = if run.decides() {
            plan::plan(envelope, incoming, definitions.of(envelope)?, context.weights, states, findings)
        } else {
            Plan::default()
        };
        planned.push(Planned { run, facts, plan });
    }
    let waived = read::waived(connection, place.asset_id, &planned).await?;
    for Planned { run, plan, .. } in &mut planned {
        plan.waive(|check| waived.has(&run.envelope.module, check));
    }
    write::states(connection, place, &planned).await?;
    write::findings(connection, place, &planned).await?;
    write::scores(connection, context, place, &planned).await?;
    write::finish(connection, context, place, &planned).await?;
    for planned in &planned {
        let outcome = submissions.iter().position(|one| one.envelope.run_id == planned.run.envelope.run_id);
        if let Some(outcome) = outcome.and_then(|position| outcomes.get_mut(position)) {
            *outcome = outcome_of(planned);
        }
    }
    Ok(outcomes)
}

fn outcome_of(planned: &Planned<'_>) -> IngestOutcome {
    let Planned { run: _, facts, plan } = planned;
    IngestOutcome {
        duplicate: false,
        opened: plan.opened.len() as u64,
        closed: plan.closed.len() as u64,
        transitions: plan.transitions() as u64,
        facts_added: facts.added,
        facts_removed: facts.removed,
        snapshot: planned.snapshot(),
    }
}

/// What is stored together may not depend on each other: the second result of a module builds on the first.
fn are_apart(submissions: &[Submission<'_>]) -> Result<()> {
    let (mut modules, mut runs) = (HashSet::new(), HashSet::new());
    for Submission { envelope, .. } in submissions {
        if !modules.insert(envelope.module.as_str()) || !runs.insert(envelope.run_id) {
            return Err(Error::Invalid(format!("two results of {} cannot be stored together", envelope.module)));
        }
    }
    Ok(())
}
