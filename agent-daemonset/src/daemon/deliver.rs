//! Sends finished results until the server acknowledged each. What is sent is the difference to what the server holds; a run
//! that found the same is told in the next poll. A result leaves the spool only after the record of what the server now holds
//! is on disk, so that a crash in between repeats a send, which is harmless. One result that the server cannot take must not
//! hold up the others: they are then sent one by one, and the one is set aside after some tries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::envelope::Envelope;
use catalog::wire::{ResultAck, ResultsRequest, SubmittedResult, UnchangedRun, codes};
use uuid::Uuid;

use crate::client::{self, Remedy, Session};
use crate::daemon::suspects::Suspects;
use crate::run::FinishedRun;
use crate::state;
use crate::state::acknowledged::{Acknowledged, Outgoing, Records, outgoing};
use crate::state::spool::{EntryId, Spool};

/// Results in one request. The server takes 32 MiB and stores each in a transaction of its own, within two minutes.
const BATCH: usize = 128;
/// Compressed bytes of results in one request, and so at most some twenty times that in memory; a larger one goes alone.
const BATCH_BYTES: u64 = 256 << 10;
/// Results in a row that the server fails on, each alone, before it is left in peace: it is the server then.
const FAILURES_IN_A_ROW: usize = 3;
/// Unchanged runs in one poll: those of every module.
const UNCHANGED: usize = 500;

/// Why results could not be delivered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server.
    #[error(transparent)]
    Server(#[from] client::Error),
    /// The state folder.
    #[error(transparent)]
    State(#[from] state::Error),
    /// The server answers, but takes no result.
    #[error("the server refused the result of {module}: {message} ({code})")]
    Refused {
        /// The module.
        module: String,
        /// The server's code.
        code: String,
        /// What it said.
        message: String,
    },
}

impl Error {
    /// Whether the server answers, knows this agent, and only takes no results now.
    pub fn is_about_results(&self) -> bool {
        match self {
            Error::Server(client::Error::Refused { status, .. }) => !matches!(status.as_u16(), 401 | 403),
            Error::Refused { .. } => true,
            Error::Server(_) | Error::State(_) => false,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Error::Server(error) => error.remedy(),
            Error::State(_) | Error::Refused { .. } => Remedy::TryAgain(None),
        }
    }

    /// When the server says to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.remedy() {
            Remedy::TryAgain(after) => after,
            Remedy::WaitLong | Remedy::EnrollAgain | Remedy::SendLess => None,
        }
    }

    /// A code for logs.
    pub fn log_code(&self) -> &str {
        match self {
            Error::Server(error) => error.log_code(),
            Error::State(_) => "state",
            Error::Refused { code, .. } => code,
        }
    }
}

/// The finished runs on their way.
#[derive(Debug)]
pub struct Outbox {
    /// The results.
    pub spool: Spool,
    records: Records,
    /// Runs that need no envelope, with the module each is of.
    unchanged: BTreeMap<EntryId, UnchangedRun>,
    suspects: Suspects,
}

/// Results that the server failed on in this delivery, with the module of each: a later result of it waits for the earlier.
type PutOff = BTreeMap<EntryId, String>;

struct Sending {
    id: EntryId,
    module: String,
    after: Acknowledged,
}

impl Outbox {
    /// An outbox over an opened spool.
    pub fn new(spool: Spool, records: Records) -> Self {
        Outbox { spool, records, unchanged: BTreeMap::new(), suspects: Suspects::default() }
    }

    /// Sends every result that needs an envelope.
    pub async fn deliver(&mut self, session: &mut Session) -> Result<(), Error> {
        let mut batch_limit = BATCH;
        let mut put_off = PutOff::new();
        let mut failures_in_a_row = 0;
        let mut failure: Option<Error> = None;
        loop {
            let (sending, request) = self.next_batch(batch_limit, &put_off)?;
            if sending.is_empty() {
                return failure.map_or(Ok(()), Err);
            }
            match session.results(&request).await {
                Ok(response) => {
                    failures_in_a_row = 0;
                    if let Some(refused) = self.settle(sending, &response.results, &mut put_off)? {
                        failure = Some(refused);
                    }
                }
                Err(error) if error.is_servers_failure() && sending.len() > 1 => batch_limit = 1,
                Err(error) if error.is_servers_failure() && failures_in_a_row + 1 < FAILURES_IN_A_ROW => {
                    failures_in_a_row += 1;
                    for one in sending {
                        self.put_off(one, &error.to_string(), &mut put_off)?;
                    }
                    failure = Some(error.into());
                }
                Err(error) if error.remedy() == Remedy::SendLess && sending.len() > 1 => batch_limit = 1,
                Err(error) if error.remedy() == Remedy::SendLess => {
                    for one in &sending {
                        self.give_up(one, &error.to_string())?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The unchanged runs that the next poll tells.
    pub fn unchanged(&self) -> Vec<UnchangedRun> {
        self.unchanged.values().take(UNCHANGED).cloned().collect()
    }

    /// A poll that told these unchanged runs was answered.
    pub fn told(&mut self, told: &[UnchangedRun], rejected: &[Uuid]) -> Result<(), state::Error> {
        for run in told {
            let Some(id) = self.unchanged.keys().find(|id| id.run_id == run.run_id).copied() else { continue };
            self.unchanged.remove(&id);
            if rejected.contains(&run.run_id) {
                // It stays in the spool and goes whole with the next delivery.
                self.records.forget(&run.module)?;
            } else {
                self.spool.remove(id)?;
            }
        }
        Ok(())
    }

    /// Forgets every result.
    pub fn clear(&mut self) -> Result<(), state::Error> {
        self.unchanged.clear();
        self.suspects = Suspects::default();
        for (id, _) in self.spool.entries() {
            self.spool.remove(id)?;
        }
        Ok(())
    }

    /// Results of one request: the oldest first, one of each module, because the second's difference is to the first.
    fn next_batch(&mut self, limit: usize, put_off: &PutOff) -> Result<(Vec<Sending>, ResultsRequest), Error> {
        let mut sending = Vec::new();
        let mut results = Vec::new();
        let mut bytes = 0;
        let mut modules: BTreeSet<String> = self.unchanged.values().map(|run| run.module.clone()).collect();
        modules.extend(put_off.values().cloned());
        for (id, size) in self.spool.entries() {
            if self.unchanged.contains_key(&id) || put_off.contains_key(&id) {
                continue;
            }
            if sending.len() >= limit || (bytes + size > BATCH_BYTES && !sending.is_empty()) {
                break;
            }
            let run: FinishedRun = match self.spool.read(id) {
                Ok(run) => run,
                Err(error @ state::Error::Damaged { .. }) => {
                    tracing::error!(error_code = "spool_damaged", run_id = %id.run_id, %error, "a result cannot be read");
                    self.spool.set_aside(id)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let module = run.envelope.module.clone();
            if !modules.insert(module.clone()) {
                continue;
            }
            let base = self.records.load(&module)?;
            let Outgoing { envelope, after, is_unchanged } = outgoing(run, base.as_ref());
            if is_unchanged {
                self.unchanged.insert(id, unchanged(id, &envelope, &after));
                continue;
            }
            bytes += size;
            results.push(SubmittedResult { job_id: id.job_id, envelope });
            sending.push(Sending { id, module, after });
        }
        Ok((sending, ResultsRequest { results }))
    }

    /// Takes each answer for what it is; the last refusal that is not for good, if there is one.
    fn settle(
        &mut self,
        sending: Vec<Sending>,
        acks: &[ResultAck],
        put_off: &mut PutOff,
    ) -> Result<Option<Error>, Error> {
        let mut refused = None;
        for one in sending {
            let ack = acks.iter().find(|ack| ack.run_id == one.id.run_id);
            let error = ack.and_then(|ack| ack.error.as_ref());
            match (ack, error.map(|error| error.code.as_str())) {
                (Some(ack), None) if ack.accepted || ack.duplicate => {
                    if ack.snapshot.as_ref().is_some_and(|snapshot| *snapshot != one.after.snapshot) {
                        // It was a repeat, and later results changed what the server holds.
                        self.records.forget(&one.module)?;
                    } else {
                        self.records.save(&one.module, &one.after)?;
                    }
                    self.spool.remove(one.id)?;
                    self.suspects.another_was_taken(one.id);
                }
                (_, Some(codes::SNAPSHOT_MISMATCH)) => {
                    tracing::info!(module = one.module, "the server holds other facts; the result is sent whole");
                    let had_base = self.records.load(&one.module)?.is_some();
                    self.records.forget(&one.module)?;
                    if !had_base {
                        // Whole results have no base that could differ.
                        refused = Some(self.refuse(one, codes::SNAPSHOT_MISMATCH, "for a whole result", put_off)?);
                    }
                }
                (_, Some(codes::INVALID_ENVELOPE | codes::UNKNOWN_MODULE)) => {
                    self.give_up(&one, &error.map(|error| error.message.clone()).unwrap_or_default())?;
                }
                (_, code) => {
                    let message = error.map_or("without saying why", |error| error.message.as_str());
                    refused = Some(self.refuse(one, code.unwrap_or("not_accepted"), message, put_off)?);
                }
            }
        }
        Ok(refused)
    }

    fn refuse(&mut self, one: Sending, code: &str, message: &str, put_off: &mut PutOff) -> Result<Error, state::Error> {
        let refused = Error::Refused { module: one.module.clone(), code: code.to_owned(), message: message.to_owned() };
        self.put_off(one, &refused.to_string(), put_off)?;
        Ok(refused)
    }

    /// Leaves a result for the next delivery, or aside if it was tried often enough.
    fn put_off(&mut self, one: Sending, reason: &str, put_off: &mut PutOff) -> Result<(), state::Error> {
        if self.suspects.is_hopeless(one.id) {
            return self.give_up(&one, reason);
        }
        tracing::warn!(
            error_code = "result_put_off",
            module = one.module,
            run_id = %one.id.run_id,
            reason,
            "the server fails on this result; the others are sent without it"
        );
        put_off.insert(one.id, one.module);
        Ok(())
    }

    /// Sending it again cannot help.
    fn give_up(&mut self, one: &Sending, reason: &str) -> Result<(), state::Error> {
        tracing::error!(
            error_code = "result_refused",
            module = one.module,
            run_id = %one.id.run_id,
            reason,
            "the server refuses this result for good; it is set aside"
        );
        self.spool.set_aside(one.id)
    }
}

fn unchanged(id: EntryId, envelope: &Envelope, after: &Acknowledged) -> UnchangedRun {
    UnchangedRun {
        job_id: id.job_id,
        run_id: id.run_id,
        module: envelope.module.clone(),
        version: envelope.version.clone(),
        base: after.snapshot.clone(),
        started_at: envelope.started_at,
        duration_ms: envelope.duration_ms,
    }
}
