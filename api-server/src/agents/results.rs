//! Results on their way in: unpacked within bounds, checked against the schema, each stored in one transaction of its
//! own, each acknowledged by itself. The agent keeps what was not accepted and sends it again.

use std::{sync::LazyLock, time::Duration};

use catalog::{
    envelope::{Envelope, validate_json},
    wire::{ResultAck, ResultError, ResultsResponse, codes},
};
use serde::Deserialize;
use serde_json::Value;
use store::{Write, ingest};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::{
    agents::call::AgentCall,
    error::{Error, Result},
    events::Event,
    state::App,
    tenants::plan,
};

/// Bodies that are unpacked, parsed and stored at one time: each may hold 32 MiB and its parsed form some times that.
const AT_ONCE: usize = 4;
/// Envelopes in one request.
const MAX_RESULTS: usize = 1_000;

static SLOTS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(AT_ONCE));

/// The request with its envelopes still unchecked: one that breaks the schema must not cost the others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    results: Vec<UncheckedResult>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedResult {
    #[serde(default)]
    job_id: Option<Uuid>,
    envelope: Value,
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
/// The body is not one, or the database does not answer: then everything may be sent again.
pub async fn store(app: &App, call: &AgentCall) -> Result<ResultsResponse> {
    // Held until the last result is stored: what was parsed is in memory until then.
    let _slot = SLOTS.acquire().await.map_err(Error::internal)?;
    let checked = call.clone();
    let results = tokio::task::spawn_blocking(move || check(&checked)).await.map_err(Error::internal)??;
    let mut acks = Vec::with_capacity(results.len());
    for result in results {
        let ack = match result.envelope {
            Ok(envelope) => one(app, call, result.job_id, &envelope).await?,
            Err(reason) => refused(result.run_id, codes::INVALID_ENVELOPE, reason),
        };
        let outcome = match &ack.error {
            Some(error) => error.code.as_str(),
            None if ack.duplicate => "duplicate",
            None => "accepted",
        };
        app.metrics.result(outcome);
        acks.push(ack);
    }
    Ok(ResultsResponse { results: acks })
}

fn check(call: &AgentCall) -> Result<Vec<Checked>> {
    let unchecked: Unchecked = call.json()?;
    if unchecked.results.len() > MAX_RESULTS {
        return Err(Error::field("results", format!("Send at most {MAX_RESULTS} results at once.")));
    }
    Ok(unchecked.results.into_iter().map(check_one).collect())
}

fn check_one(result: UncheckedResult) -> Checked {
    let run_id = result.envelope["run_id"].as_str().and_then(|id| Uuid::try_parse(id).ok()).unwrap_or_default();
    let envelope = validate_json(&result.envelope)
        .map_err(|violation| violation.to_string())
        .and_then(|()| serde_json::from_value::<Envelope>(result.envelope).map_err(|error| error.to_string()))
        .and_then(|envelope| match envelope.contradiction() {
            Some(reason) => Err(reason),
            None => Ok(Box::new(envelope)),
        });
    Checked { job_id: result.job_id, run_id, envelope }
}

async fn one(app: &App, call: &AgentCall, job_id: Option<Uuid>, envelope: &Envelope) -> Result<ResultAck> {
    let mut tx = app.db.tenant::<Write>(&call.tenant).await?;
    let context = ingest::IngestContext {
        agent_id: call.agent_id,
        asset_id: call.asset_id,
        job_id,
        weights: plan::weights(&call.resource.spec),
    };
    let outcome = match ingest::apply(&mut tx, &context, envelope).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let code = match &error {
                store::Error::SnapshotMismatch { .. } => codes::SNAPSHOT_MISMATCH,
                store::Error::UnknownModule { .. } => codes::UNKNOWN_MODULE,
                store::Error::InvalidResult { .. } => codes::INVALID_ENVELOPE,
                // Sent again it would be refused again, and with it all that waits behind it in the agent's spool.
                error if error.is_bad_value() => codes::INVALID_ENVELOPE,
                _ => return Err(error.into()),
            };
            let reason = error.to_string();
            tx.rollback().await?;
            return Ok(refused(envelope.run_id, code, reason));
        }
    };
    tx.commit().await?;
    // Acknowledged only after the commit; what comes now may be lost, the rollup worker reads the outbox as well.
    app.dirty.mark(&call.tenant);
    if !outcome.duplicate {
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
    Ok(ResultAck {
        run_id: envelope.run_id,
        duplicate: outcome.duplicate,
        accepted: true,
        snapshot: outcome.snapshot,
        error: None,
    })
}

fn refused(run_id: Uuid, code: &str, message: String) -> ResultAck {
    let error = Some(ResultError { code: code.to_owned(), message });
    ResultAck { run_id, duplicate: false, accepted: false, snapshot: None, error }
}
