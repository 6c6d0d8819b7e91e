//! Results on their way in: unpacked within bounds, checked against the schema, stored together where none is refused, each
//! acknowledged by itself. The agent keeps what was not accepted and sends it again.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use catalog::{
    envelope::{self, Envelope},
    wire::{ResultAck, ResultError, ResultsResponse, codes},
};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{
    Write,
    ingest::{self, IngestOutcome, Submission},
};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    agents::call::AgentCall,
    error::{Error, Result},
    events::Event,
    http::body,
    state::App,
    tenants::plan,
};

/// Bodies that are unpacked, parsed and stored at one time: each may hold 32 MiB and its parsed form some times that.
const AT_ONCE: usize = 4;
/// Envelopes in one request.
const MAX_RESULTS: usize = 1_000;
/// Findings and facts that are stored in one transaction, if they are not of one result: it holds the asset's rows until
/// its end.
const BATCH_ROWS: usize = 50_000;

static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(AT_ONCE));

/// The request with its envelopes still unread: one that breaks the schema must not cost the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked<'a> {
    #[serde(borrow)]
    results: Vec<UncheckedResult<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedResult<'a> {
    #[serde(default)]
    job_id: Option<Uuid>,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

/// As much of an envelope that was refused as says which it is.
#[derive(Deserialize)]
struct Named {
    run_id: Uuid,
}

/// One result after the schema, or why it is refused.
struct Checked {
    job_id: Option<Uuid>,
    run_id: Uuid,
    envelope: Result<Box<Envelope>, String>,
}

/// Stores what the agent brings.
///
/// # Errors
/// The body is not one, the database does not answer, or too much of the tenant waits: then everything may be sent again.
pub async fn store(app: &App, call: &AgentCall) -> Result<ResultsResponse> {
    app.backlog.check(call.tenant.id)?;
    // Held until the last result is stored: what was parsed is in memory until then.
    let _slot = SLOTS.acquire().await.map_err(Error::internal)?;
    let checked = call.clone();
    let results = tokio::task::spawn_blocking(move || check(&checked)).await.map_err(Error::internal)??;
    let mut acks = Vec::with_capacity(results.len());
    let mut left = results.as_slice();
    while !left.is_empty() {
        let (together, rest) = left.split_at(batch(left));
        left = rest;
        acks.extend(store_batch(app, call, together).await?);
    }
    for ack in &acks {
        let outcome = match &ack.error {
            Some(error) => error.code.as_str(),
            None if ack.duplicate => "duplicate",
            None => "accepted",
        };
        app.metrics.result(outcome);
    }
    Ok(ResultsResponse { results: acks })
}

/// How many of the first results are stored in one transaction: at least one, no module and no run twice.
fn batch(results: &[Checked]) -> usize {
    let (mut modules, mut runs, mut rows) = (HashSet::new(), HashSet::new(), 0);
    for (position, result) in results.iter().enumerate() {
        let Ok(envelope) = &result.envelope else { continue };
        rows += envelope.findings.len() + envelope.facts.added.len() + envelope.facts.removed.len();
        let is_apart = modules.insert(envelope.module.as_str()) && runs.insert(envelope.run_id);
        if position > 0 && (!is_apart || rows > BATCH_ROWS) {
            return position;
        }
    }
    results.len()
}

fn check(call: &AgentCall) -> Result<Vec<Checked>> {
    let body = call.bytes()?;
    let unchecked: Unchecked<'_> = body::parse(&body)?;
    if unchecked.results.len() > MAX_RESULTS {
        return Err(Error::field("results", format!("Send at most {MAX_RESULTS} results at once.")));
    }
    Ok(unchecked.results.iter().map(check_one).collect())
}

fn check_one(result: &UncheckedResult<'_>) -> Checked {
    let UncheckedResult { job_id, envelope: text } = *result;
    let envelope = envelope::parse(text.get()).map(Box::new);
    let run_id = match &envelope {
        Ok(envelope) => envelope.run_id,
        Err(_) => serde_json::from_str(text.get()).map_or(Uuid::nil(), |Named { run_id }| run_id),
    };
    Checked { job_id, run_id, envelope }
}

/// Stores results together; if one of them is refused, each by itself.
async fn store_batch(app: &App, call: &AgentCall, batch: &[Checked]) -> Result<Vec<ResultAck>> {
    let submissions: Vec<Submission<'_>> = batch
        .iter()
        .filter_map(|one| Some(Submission { job_id: one.job_id, envelope: one.envelope.as_deref().ok()? }))
        .collect();
    let mut outcomes = Vec::with_capacity(submissions.len());
    match attempt(app, call, &submissions).await? {
        Ok(stored) => outcomes.extend(stored.into_iter().map(Ok)),
        Err(refusal) if submissions.len() == 1 => outcomes.push(Err(refusal)),
        Err(_) => {
            for one in &submissions {
                let stored = attempt(app, call, std::slice::from_ref(one)).await?;
                outcomes
                    .extend(stored.map_or_else(|refusal| vec![Err(refusal)], |one| one.into_iter().map(Ok).collect()));
            }
        }
    }
    let mut outcomes = outcomes.into_iter();
    let mut acks = Vec::with_capacity(batch.len());
    for one in batch {
        let refused =
            |error| ResultAck { run_id: one.run_id, duplicate: false, accepted: false, snapshot: None, error };
        acks.push(match &one.envelope {
            Err(reason) => {
                let (code, message) = (codes::INVALID_ENVELOPE.to_owned(), reason.clone());
                refused(Some(ResultError { code, message }))
            }
            Ok(envelope) => match outcomes.next() {
                Some(Ok(outcome)) => {
                    tell(app, call, envelope, &outcome);
                    let IngestOutcome { duplicate, snapshot, .. } = outcome;
                    ResultAck { run_id: one.run_id, duplicate, accepted: true, snapshot, error: None }
                }
                Some(Err(refusal)) => refused(Some(refusal)),
                None => return Err(Error::Internal("a result came to nothing".to_owned())),
            },
        });
    }
    Ok(acks)
}

/// Stores results in one transaction. The inner error is the refusal of one of them: nothing is stored then.
async fn attempt(
    app: &App,
    call: &AgentCall,
    submissions: &[Submission<'_>],
) -> Result<Result<Vec<IngestOutcome>, ResultError>> {
    if submissions.is_empty() {
        return Ok(Ok(Vec::new()));
    }
    let mut tx = app.db.tenant::<Write>(&call.tenant).await?;
    let context = ingest::IngestContext {
        agent_id: call.agent_id,
        asset_id: call.asset_id,
        job_id: None,
        weights: plan::weights(&call.resource.spec),
    };
    match ingest::apply_all(&mut tx, &context, submissions).await {
        Ok(outcomes) => {
            tx.commit().await?;
            // Acknowledged only after the commit; the mark may be lost, the rollup worker reads the outbox as well.
            app.has_changed(&call.tenant);
            Ok(Ok(outcomes))
        }
        Err(error) => {
            let code = match &error {
                store::Error::SnapshotMismatch { .. } => codes::SNAPSHOT_MISMATCH,
                store::Error::UnknownModule { .. } => codes::UNKNOWN_MODULE,
                store::Error::InvalidResult { .. } => codes::INVALID_ENVELOPE,
                // Sent again it would be refused again, and with it all that waits behind it in the agent's spool.
                error if error.is_bad_value() => codes::INVALID_ENVELOPE,
                _ => return Err(error.into()),
            };
            let message = error.to_string();
            tx.rollback().await?;
            Ok(Err(ResultError { code: code.to_owned(), message }))
        }
    }
}

/// Tells metrics, listeners and the log of a result that was stored.
fn tell(app: &App, call: &AgentCall, envelope: &Envelope, outcome: &IngestOutcome) {
    if outcome.duplicate {
        return;
    }
    let status = envelope.status.as_str();
    app.metrics.findings(outcome.opened, outcome.closed);
    app.metrics.run(&envelope.module, &envelope.version, status, Duration::from_millis(envelope.duration_ms));
    let event = Event::run(call.tenant.slug.as_str(), call.asset_id, envelope.run_id, &envelope.module, status);
    // No listener is not a failure.
    let _ = app.events.send(event);
    tracing::info!(
        module = envelope.module,
        version = envelope.version,
        status,
        duration_ms = envelope.duration_ms,
        opened = outcome.opened,
        closed = outcome.closed,
        "run stored"
    );
}
