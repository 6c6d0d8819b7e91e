//! The daemon's loop: run what is queued, deliver what is finished, ask for more; one thing at a time, because a quiet host
//! should notice nothing. One long poll carries heartbeat, unchanged runs and jobs.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::envelope::RunStatus;
use catalog::wire::{AgentConfig, AgentJob, AgentState, MAX_WAIT_SECONDS, PollRequest};
use ed25519_dalek::SigningKey;
use tables::integrity::BaselineFile;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::client::{Client, Remedy, Session};
use crate::config::ServerArgs;
use crate::run::{FinishedRun, Task, without_module};
use crate::state::baselines::{self, Lent};
use crate::state::bundle::{self, Verified};
use crate::state::{self, StateDir};
use crate::usage;
use crate::worker::{Supervisor, Target};

mod backoff;
pub mod deliver;
pub mod enroll;
mod start;
mod suspects;

use backoff::{Backoff, jittered};
use deliver::Outbox;
pub use start::{Error, start};

/// Jobs of one poll: the modules of a first enrolment in two or three.
const MAX_JOBS: u32 = 8;
/// While jobs run, finished results wait this long for company before they are sent.
const GATHER: Duration = Duration::from_secs(20);
/// Between two polls that brought nothing, so that agents started together drift apart.
const SPREAD: Duration = Duration::from_secs(2);
/// Between two attempts to write a result to a full disk.
const DISK_RETRY: Duration = Duration::from_secs(10);
/// What the last delivery may take when the agent is told to stop.
const LAST_DELIVERY: Duration = Duration::from_secs(3);

/// The agent at work.
#[derive(Debug)]
pub struct Daemon {
    args: ServerArgs,
    client: Client,
    key: SigningKey,
    state: Arc<StateDir>,
    session: Session,
    outbox: Outbox,
    supervisor: Supervisor,
    bundle: Verified,
    target: Target,
    with_landlock: bool,
    config_version: String,
    poll_seconds: u32,
    /// What the flags say about it, before the server.
    poll_seconds_given: Option<u32>,
    queue: VecDeque<AgentJob>,
    /// A finished run that a full disk keeps from the spool.
    unspooled: Option<(AgentJob, FinishedRun)>,
    backoff: Backoff,
    contact_at: Instant,
    delivery_backoff: Backoff,
    deliver_at: Instant,
    delivered_at: Instant,
    stops_when_idle: bool,
}

/// How the loop ended, other than by being told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing was left to do, and that was asked for.
    Idle,
    /// It was told to stop.
    Told,
}

enum Step {
    Continue,
    Ended(Ended),
}

impl Daemon {
    /// Works until `told` completes.
    pub async fn run(&mut self, told: impl Future<Output = ()>) -> Ended {
        let mut told = pin!(told);
        loop {
            // Dropping a step in the middle is safe: what is sent twice is taken once, a worker dies with its parent.
            let step = tokio::select! {
                biased;
                () = &mut told => Step::Ended(Ended::Told),
                step = self.step() => step,
            };
            if let Step::Ended(ended) = step {
                if ended == Ended::Told {
                    let last = tokio::time::timeout(LAST_DELIVERY, self.outbox.deliver(&mut self.session)).await;
                    tracing::info!(
                        delivered = matches!(last, Ok(Ok(()))),
                        waiting = self.outbox.spool.len(),
                        "stopping"
                    );
                }
                return ended;
            }
        }
    }

    async fn step(&mut self) -> Step {
        self.spool_what_waits();
        if self.can_run()
            && let Some(job) = self.queue.pop_front()
        {
            self.run_job(job).await;
            if !self.queue.is_empty() && self.delivered_at.elapsed() < GATHER {
                return Step::Continue;
            }
        }
        if Instant::now() < self.contact_at {
            if !self.can_run() || self.queue.is_empty() {
                sleep_until(self.contact_at.min(Instant::now() + DISK_RETRY)).await;
            }
            return Step::Continue;
        }
        match self.exchange().await {
            Ok(is_idle) => {
                self.backoff.reset();
                if is_idle && self.stops_when_idle {
                    return Step::Ended(Ended::Idle);
                }
                Step::Continue
            }
            Err(error) => {
                self.failed(&error).await;
                Step::Continue
            }
        }
    }

    fn can_run(&self) -> bool {
        self.unspooled.is_none() && !self.outbox.spool.is_full()
    }

    /// Delivers, then asks for jobs if none is left. True if there was nothing to do at all.
    async fn exchange(&mut self) -> Result<bool, deliver::Error> {
        if Instant::now() >= self.deliver_at {
            self.deliver().await?;
        }
        if !self.queue.is_empty() && self.can_run() {
            return Ok(false);
        }
        let takes_jobs = self.can_run() && self.queue.is_empty();
        let request = PollRequest {
            wait_seconds: self.patience(takes_jobs),
            max_jobs: if takes_jobs { MAX_JOBS } else { 0 },
            state: self.agent_state(),
            unchanged: self.outbox.unchanged(),
            running: self.leased(None),
        };
        let response = self.session.poll(&request).await?;
        self.outbox.told(&request.unchanged, &response.rejected_runs)?;
        if response.bundle_checksum != self.bundle.checksum || response.config_version != self.config_version {
            self.fetch_config().await?;
        }
        let jobs: Vec<AgentJob> = response.jobs.into_iter().filter(|job| !self.is_finished(job.run_id)).collect();
        let is_idle = jobs.is_empty() && self.queue.is_empty() && self.outbox.spool.is_empty();
        self.queue.extend(jobs);
        if !takes_jobs {
            self.contact_at =
                Instant::now() + DISK_RETRY.min(self.deliver_at.saturating_duration_since(Instant::now()));
        } else if is_idle && !self.stops_when_idle {
            sleep(jittered(SPREAD)).await;
        }
        Ok(is_idle)
    }

    /// Sends what is finished. A server that answers and takes no results is still asked for jobs, until the spool is full.
    async fn deliver(&mut self) -> Result<(), deliver::Error> {
        match self.outbox.deliver(&mut self.session).await {
            Ok(()) => {
                self.delivery_backoff.reset();
                self.delivered_at = Instant::now();
                Ok(())
            }
            Err(error) if error.is_about_results() => {
                let wait = self.delivery_backoff.next(error.retry_after());
                self.deliver_at = Instant::now() + wait;
                tracing::warn!(
                    error_code = error.log_code(),
                    retry_seconds = wait.as_secs(),
                    waiting = self.outbox.spool.len(),
                    %error,
                    "results were not taken"
                );
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// How long the next poll may be held, in seconds.
    fn patience(&self, takes_jobs: bool) -> u32 {
        let until_delivery = self.deliver_at.saturating_duration_since(Instant::now()).as_secs();
        if !takes_jobs || self.stops_when_idle {
            0
        } else if until_delivery > 0 {
            self.poll_seconds.min(u32::try_from(until_delivery).unwrap_or(u32::MAX))
        } else {
            self.poll_seconds
        }
    }

    /// A lease that ran out while a result waited for the server brings its job again.
    fn is_finished(&self, run_id: Uuid) -> bool {
        self.outbox.spool.entries().iter().any(|(id, _)| id.run_id == run_id)
            || self.queue.iter().any(|job| job.run_id == run_id)
            || self.unspooled.as_ref().is_some_and(|(job, _)| job.run_id == run_id)
    }

    async fn fetch_config(&mut self) -> Result<(), deliver::Error> {
        let have = Some(self.bundle.checksum.as_str()).filter(|checksum| !checksum.is_empty());
        let config = self.session.config(have).await?;
        self.adopt(config)?;
        Ok(())
    }

    /// Takes over a configuration. A bundle that does not verify is refused, and the one before stays.
    fn adopt(&mut self, config: AgentConfig) -> Result<(), state::Error> {
        self.poll_seconds = self.poll_seconds_given.unwrap_or(config.poll_seconds).min(MAX_WAIT_SECONDS);
        self.config_version = config.version;
        let Some(signed) = config.bundle else { return Ok(()) };
        match bundle::accept(&signed, &self.session.registration().bundle_key) {
            Ok(verified) => {
                bundle::save(&self.state, &signed)?;
                tracing::info!(
                    checksum = verified.checksum,
                    modules = verified.bundle.modules.len(),
                    "modules taken over"
                );
                self.bundle = verified;
            }
            Err(error) => {
                tracing::error!(error_code = "bundle_refused", %error, "the server's modules are refused; those before stay");
            }
        }
        Ok(())
    }

    async fn run_job(&mut self, job: AgentJob) {
        let Some(module) = self.bundle.bundle.module(&job.module, &job.version) else {
            let reason = "this agent has no bundle with a valid signature that holds the module";
            let finished = without_module(job.run_id, &job.module, &job.version, reason);
            return self.keep(job, finished);
        };
        let task = Task {
            run_id: job.run_id,
            module: module.clone(),
            parameters: job.parameters.clone(),
            clock_offset_ms: self.session.clock_offset_ms(),
        };
        let renew_every = Duration::from_secs((u64::from(job.lease_seconds) / 3).max(5));
        let (baseline, lent) = match self.lend_baseline(&task) {
            Ok(Some((baseline, lent))) => (Some(baseline), Some(lent)),
            Ok(None) => (None, None),
            Err(error) => {
                let finished =
                    task.failed(RunStatus::Failed, task.now(), Duration::ZERO, &format!("no baseline: {error}"));
                return self.keep(job, finished);
            }
        };
        let finished = {
            let mut work = pin!(self.supervisor.run(self.target.clone(), self.with_landlock, task, baseline));
            let mut renewal = tokio::time::interval_at(Instant::now() + renew_every, renew_every);
            let leased = self.leased(Some(job.job_id));
            let state = self.agent_state();
            loop {
                tokio::select! {
                    finished = &mut work => break finished,
                    _ = renewal.tick() => {
                        let request = PollRequest { state: state.clone(), running: leased.clone(), ..PollRequest::default() };
                        if let Err(error) = self.session.poll(&request).await {
                            tracing::warn!(error_code = error.log_code(), %error, "the lease of a running job was not renewed");
                        }
                    }
                }
            }
        };
        if let Some(Err(error)) = lent.map(|lent| lent.take_back(&self.state)) {
            tracing::error!(error_code = "baseline", %error, "the baseline was not kept; the next run makes one");
        }
        self.keep(job, finished);
    }

    /// The baseline of a module that keeps one.
    fn lend_baseline(&self, task: &Task) -> Result<Option<(BaselineFile, Lent)>, state::Error> {
        let module = &task.module;
        if !module.requires.tables.iter().any(|table| table == baselines::TABLE) {
            return Ok(None);
        }
        let mut parameters = module.default_parameters();
        parameters.extend(task.parameters.clone());
        baselines::lend(&self.state, &module.slug, &parameters).map(Some)
    }

    /// Logs a finished run and spools it.
    fn keep(&mut self, job: AgentJob, finished: FinishedRun) {
        let envelope = &finished.envelope;
        let registration = self.session.registration();
        let error_code = match envelope.status {
            RunStatus::Succeeded => "",
            status => status.as_str(),
        };
        tracing::info!(
            trace_id = %envelope.run_id.simple(),
            module = envelope.module,
            version = envelope.version,
            tenant_id = %registration.tenant_id,
            agent_id = %registration.agent_id,
            status = envelope.status.as_str(),
            duration_ms = envelope.duration_ms,
            error_code,
            "run"
        );
        self.unspooled = Some((job, finished));
        self.spool_what_waits();
    }

    fn spool_what_waits(&mut self) {
        let Some((job, finished)) = self.unspooled.take() else { return };
        if let Err(error) = self.outbox.spool.push(job.run_id, Some(job.job_id), &finished) {
            tracing::error!(error_code = "spool", %error, "a result waits in memory for room on the disk; no new job is run");
            self.unspooled = Some((job, finished));
        }
    }

    /// Jobs that are this agent's: queued, running, or finished and not yet acknowledged.
    fn leased(&self, running: Option<Uuid>) -> Vec<Uuid> {
        let spooled = self.outbox.spool.entries().into_iter().filter_map(|(id, _)| id.job_id);
        let unspooled = self.unspooled.as_ref().map(|(job, _)| job.job_id);
        running
            .into_iter()
            .chain(self.queue.iter().map(|job| job.job_id))
            .chain(unspooled)
            .chain(spooled)
            .take(256)
            .collect()
    }

    fn agent_state(&self) -> AgentState {
        AgentState {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            queue_depth: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            spool_bytes: self.outbox.spool.bytes(),
            rss_kb: usage::memory_kb(),
            bundle_checksum: Some(self.bundle.checksum.clone()).filter(|checksum| !checksum.is_empty()),
        }
    }

    /// Decides when to try again.
    async fn failed(&mut self, error: &deliver::Error) {
        let wait = match error.remedy() {
            Remedy::EnrollAgain if self.args.can_enroll_again() => match self.enroll_again().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error_code = "enrolment", %error, "the server does not know this agent, and enrolling again failed");
                    self.backoff.next(None)
                }
            },
            Remedy::WaitLong | Remedy::EnrollAgain => self.backoff.long(),
            Remedy::TryAgain(at_least) => self.backoff.next(at_least),
            Remedy::SendLess => self.backoff.next(None),
        };
        self.contact_at = Instant::now() + wait;
        tracing::warn!(
            error_code = error.log_code(),
            retry_seconds = wait.as_secs(),
            waiting = self.outbox.spool.len(),
            %error,
            "the server was not reached or refused"
        );
    }

    async fn enroll_again(&mut self) -> Result<(), enroll::Error> {
        let tenant = self.session.registration().tenant_id;
        let enrolled = enroll::enroll(&self.args, &self.client, &self.state, &self.key).await?;
        if enrolled.registration.tenant_id != tenant {
            // What one tenant's jobs found is not another tenant's business.
            self.outbox.clear()?;
            self.queue.clear();
            self.unspooled = None;
        }
        self.session = Session::new(self.client.clone(), self.key.clone(), enrolled.registration, enrolled.sequence);
        self.load_bundle()?;
        self.adopt(enrolled.config)?;
        Ok(())
    }

    fn load_bundle(&mut self) -> Result<(), state::Error> {
        if let Some(verified) = bundle::load(&self.state, &self.session.registration().bundle_key)? {
            self.bundle = verified;
        }
        Ok(())
    }
}
