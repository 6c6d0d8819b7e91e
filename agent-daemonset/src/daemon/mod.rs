//! The daemon's loop: run what is queued, deliver what is finished, ask for more; one thing at a time, because a quiet host
//! should notice nothing. One long poll carries heartbeat, unchanged runs and jobs. While it is held, nothing else wakes this
//! process: there is no other timer, and the kernel keeps the connection alive.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::wire::{AgentConfig, AgentJob, AgentState, LimitsInForce, MAX_JOBS, MAX_WAIT_SECONDS, PollRequest};
use ed25519_dalek::SigningKey;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::client::{Client, Remedy, Session};
use crate::config::ServerArgs;
use crate::oscap::Scanner;
use crate::run::FinishedRun;
use crate::sandbox::cgroup::WorkerGroup;
use crate::state::{self, StateDir, bundle, leased};
use crate::usage;
use crate::worker::{Supervisor, Target};

mod backoff;
pub mod deliver;
pub mod enroll;
mod start;
mod suspects;
mod work;

use backoff::{Backoff, jittered};
use deliver::Outbox;
pub use start::{Error, start};

/// While jobs run, finished results wait this long for company before they are sent.
const GATHER: Duration = Duration::from_secs(20);
/// Between two polls that brought nothing, so that agents started together drift apart.
const SPREAD: Duration = Duration::from_secs(2);
/// Between two attempts to write a result to a full disk.
const DISK_RETRY: Duration = Duration::from_secs(10);
/// What the last delivery may take when the agent is told to stop.
const LAST_DELIVERY: Duration = Duration::from_secs(3);
/// A bundle that was refused is asked for again after this: at each poll it would be a megabyte an hour.
const REFUSED_FOR: Duration = Duration::from_hours(1);

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
    scanner: Scanner,
    /// Where the kernel keeps the workers' share; made one with this process's own again at the end.
    group: Option<WorkerGroup>,
    are_limits_told: bool,
    /// Of the bundle in the state folder; empty if there is none.
    bundle_checksum: String,
    target: Target,
    with_landlock: bool,
    /// Empty where the server has to be asked.
    config_version: String,
    ask_again_at: Option<Instant>,
    poll_seconds: u32,
    /// What the flags say about it, before the server.
    poll_seconds_given: Option<u32>,
    queue: VecDeque<AgentJob>,
    renew_every: Duration,
    renew_at: Instant,
    /// Finished runs that a full disk keeps from the spool: at most one that a worker did and those that none could.
    unspooled: VecDeque<(AgentJob, FinishedRun)>,
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
        if self.can_run() && !self.queue.is_empty() {
            self.run_queue().await;
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
        self.unspooled.is_empty() && !self.outbox.spool.is_full()
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
        if self.ask_again_at.is_some_and(|at| at <= Instant::now()) {
            self.ask_again_at = None;
            self.config_version.clear();
        }
        // What the work before needed is not needed while nothing is to do.
        tables::give_memory_back();
        let request = PollRequest {
            wait_seconds: self.patience(takes_jobs),
            max_jobs: if takes_jobs { MAX_JOBS } else { 0 },
            state: self.agent_state(),
            config_version: self.known_config(),
            unchanged: self.outbox.unchanged(),
            running: self.leased(),
        };
        let response = self.session.poll(&request).await?;
        self.are_limits_told = true;
        self.outbox.told(&request.unchanged, &response.rejected_runs)?;
        // No checksum: it is that of the version.
        let has_bundle = response.bundle_checksum.is_empty() || response.bundle_checksum == self.bundle_checksum;
        if !has_bundle || response.config_version != self.config_version {
            self.fetch_config().await?;
        }
        let jobs: Vec<AgentJob> = response.jobs.into_iter().filter(|job| !self.is_finished(job.run_id)).collect();
        let is_idle = jobs.is_empty() && self.queue.is_empty() && self.outbox.spool.is_empty();
        self.take_jobs(jobs);
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
            || self.unspooled.iter().any(|(job, _)| job.run_id == run_id)
    }

    /// What the next poll says of the configuration.
    fn known_config(&self) -> Option<String> {
        Some(self.config_version.clone()).filter(|version| !version.is_empty())
    }

    async fn fetch_config(&mut self) -> Result<(), deliver::Error> {
        let have = Some(self.bundle_checksum.as_str()).filter(|checksum| !checksum.is_empty());
        let config = self.session.config(have).await?;
        self.adopt(config)?;
        Ok(())
    }

    /// Takes over a configuration. A bundle that does not verify is refused, and the one before stays.
    fn adopt(&mut self, config: AgentConfig) -> Result<(), state::Error> {
        self.poll_seconds = self.poll_seconds_given.unwrap_or(config.poll_seconds).min(MAX_WAIT_SECONDS);
        self.config_version = config.version;
        self.ask_again_at = None;
        let Some(signed) = config.bundle else { return Ok(()) };
        match bundle::accept(&signed, &self.session.registration().bundle_key) {
            Ok(bundle) => {
                bundle::save(&self.state, &signed)?;
                tracing::info!(checksum = signed.checksum, modules = bundle.modules.len(), "modules taken over");
                self.bundle_checksum = signed.checksum;
            }
            Err(error) => {
                self.ask_again_at = Some(Instant::now() + REFUSED_FOR);
                tracing::error!(error_code = "bundle_refused", %error, "the server's modules are refused; those before stay");
            }
        }
        Ok(())
    }

    fn agent_state(&self) -> AgentState {
        AgentState {
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            queue_depth: u32::try_from(self.queue.len()).unwrap_or(u32::MAX),
            spool_bytes: self.outbox.spool.bytes(),
            rss_kb: usage::memory_kb(),
            // The version of the configuration says it.
            bundle_checksum: Some(self.bundle_checksum.clone())
                .filter(|checksum| !checksum.is_empty() && self.config_version.is_empty()),
            limits: (!self.are_limits_told).then_some(match &self.group {
                Some(_) => LimitsInForce::Cgroup,
                None => LimitsInForce::Process,
            }),
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
            self.unspooled.clear();
            leased::save(&self.state, &self.queue)?;
        }
        self.session = Session::new(self.client.clone(), self.key.clone(), enrolled.registration, enrolled.sequence);
        self.load_bundle()?;
        self.adopt(enrolled.config)?;
        Ok(())
    }

    fn load_bundle(&mut self) -> Result<(), state::Error> {
        let key = self.session.registration().bundle_key;
        self.bundle_checksum = bundle::checksum(&self.state, &key)?.unwrap_or_default();
        self.config_version.clear();
        Ok(())
    }
}
