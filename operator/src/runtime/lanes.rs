//! Where provisioners run. Each (tenant, condition) has a lane: at most one piece of work at a time, what it last came to,
//! and when it is due again. A pass starts what is due and waits a moment; what takes longer goes on beside it and asks for
//! another pass when it is done, so that a slow system holds up neither the other provisioners nor the controller.
//!
//! The memory of lanes is what makes a pass cheap: outside systems are read again only when their time has come.

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use rand::RngExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::provision::{Class, Entry, Error, LIST, Note, Report, Systems};
use crate::runtime::gate::{Gate, System};
use crate::runtime::metrics::Metrics;
use crate::runtime::trigger::Triggers;
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;

/// How long a pass waits for its provisioners: longer than they take on a quiet machine, short enough that workers come
/// round to every tenant while one system is slow.
const PATIENCE: Duration = Duration::from_secs(2);
/// Back-off of one tenant's work on one system.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_mins(1);
/// What a person must change is looked at again that often.
const STALLED_RETRY: Duration = Duration::from_secs(20);
/// How often a system whose breaker is open is asked whether it is back.
const PROBE_PERIOD: Duration = Duration::from_secs(1);

/// What a provisioner came to in this pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Done(Note),
    /// It failed, just now or within its back-off.
    Failed(Report),
    /// It is still at work.
    Underway,
    /// It needs another condition first.
    Waiting(ConditionType),
}

/// What a pass came to, in the order of the list of provisioners.
#[derive(Debug, Clone, Default)]
pub struct Pass {
    /// Each condition's outcome.
    pub outcomes: Vec<(ConditionType, Outcome)>,
    /// When the tenant is due again.
    pub due: Option<Instant>,
}

#[derive(Debug, Default)]
struct Lane {
    is_running: bool,
    digest: String,
    attempts: u32,
    settled: Option<Settled>,
}

#[derive(Debug, Clone)]
struct Settled {
    result: Result<Note, Report>,
    until: Instant,
}

type Key = (String, ConditionType);

/// All lanes, and the gates of the systems.
#[derive(Clone)]
pub struct Lanes {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Mutex<HashMap<Key, Lane>>,
    gates: BTreeMap<System, Gate>,
    tasks: TaskTracker,
    triggers: Triggers,
    resync: Duration,
    metrics: Metrics,
}

enum Start {
    Settled(Result<Note, Report>),
    Underway,
    Started(oneshot::Receiver<Result<Note, Report>>),
}

impl Lanes {
    /// Lanes that ask for passes through `triggers`. `postgres` is how many schemas are worked on at once.
    pub fn new(triggers: Triggers, resync: Duration, postgres: usize, metrics: Metrics) -> Self {
        // Sized by what the systems serve at once on two cores; more would only queue over there.
        let gates = [(System::Kubernetes, 24), (System::Postgres, postgres.max(1)), (System::OpenBao, 8)];
        let gates = gates.into_iter().map(|(system, slots)| (system, Gate::new(slots))).collect();
        let lanes = Mutex::new(HashMap::new());
        Self { inner: Arc::new(Inner { lanes, gates, tasks: TaskTracker::new(), triggers, resync, metrics }) }
    }

    /// The gate of a system.
    pub fn gate(&self, system: System) -> &Gate {
        // Every system has its gate from `new`.
        &self.inner.gates[&system]
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Key, Lane>> {
        self.inner.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what is known of a tenant, so that the next pass looks at everything.
    pub fn forget(&self, slug: &str) {
        let mut lanes = self.lanes();
        lanes.retain(|(tenant, _), lane| tenant != slug || lane.is_running);
        lanes.iter_mut().filter(|((tenant, _), _)| tenant == slug).for_each(|(_, lane)| lane.settled = None);
    }

    /// Lets every tenant whose work on `system` failed try again now.
    fn retry(&self, system: System) {
        let conditions: Vec<ConditionType> = LIST.iter().filter(|e| e.system == system).map(|e| e.condition).collect();
        for ((slug, condition), lane) in self.lanes().iter_mut() {
            if conditions.contains(condition) && lane.settled.as_ref().is_some_and(|settled| settled.result.is_err()) {
                lane.settled = None;
                lane.attempts = 0;
                self.inner.triggers.push(slug);
            }
        }
    }

    /// Runs every provisioner that is due, side by side as their needs allow.
    pub async fn pass(&self, systems: &Systems, tenant: &Arc<ValidTenant>, skip: impl Fn(&Entry) -> bool) -> Pass {
        let deadline = Instant::now() + PATIENCE;
        let entries: Vec<&'static Entry> = LIST.iter().filter(|entry| !skip(entry)).collect();
        let mut results: HashMap<ConditionType, Result<Note, Report>> = HashMap::new();
        let mut started: Vec<ConditionType> = Vec::new();
        let mut running = FuturesUnordered::new();
        loop {
            // What an entry needs stands before it in the list, so one walk starts all that is free.
            for entry in &entries {
                let is_free = entry.needs.iter().all(|need| matches!(results.get(need), Some(Ok(_))));
                if !is_free || started.contains(&entry.condition) {
                    continue;
                }
                started.push(entry.condition);
                match self.start(entry, systems, tenant) {
                    Start::Settled(result) => {
                        results.insert(entry.condition, result);
                    }
                    Start::Underway => {}
                    Start::Started(receiver) => running.push(async move { (entry.condition, receiver.await) }),
                }
            }
            if running.is_empty() {
                break;
            }
            match timeout_at(deadline, running.next()).await {
                Ok(Some((condition, Ok(result)))) => {
                    results.insert(condition, result);
                }
                Ok(Some((_, Err(_)))) => {}
                Ok(None) | Err(_) => break,
            }
        }
        drop(running);
        self.conclude(tenant, &entries, &results, &started)
    }

    fn conclude(
        &self,
        tenant: &ValidTenant,
        entries: &[&'static Entry],
        results: &HashMap<ConditionType, Result<Note, Report>>,
        started: &[ConditionType],
    ) -> Pass {
        let lanes = self.lanes();
        let mut pass = Pass::default();
        for entry in entries {
            let condition = entry.condition;
            let known = lanes.get(&(tenant.reference.slug.to_string(), condition));
            // Finished between the end of the wait and now: its trigger may already be on the way, which is harmless.
            let late = known
                .filter(|lane| !lane.is_running && started.contains(&condition))
                .and_then(|lane| lane.settled.clone());
            let result = results.get(&condition).cloned().or_else(|| late.map(|settled| settled.result));
            let outcome = match result {
                Some(Ok(note)) => Outcome::Done(note),
                Some(Err(report)) => Outcome::Failed(report),
                None if started.contains(&condition) => Outcome::Underway,
                None => entry.needs.first().map_or(Outcome::Underway, |need| Outcome::Waiting(*need)),
            };
            pass.outcomes.push((condition, outcome));
            if let Some(until) = known.and_then(|lane| lane.settled.as_ref()).map(|settled| settled.until) {
                pass.due = Some(pass.due.map_or(until, |due| due.min(until)));
            }
        }
        pass
    }

    fn start(&self, entry: &'static Entry, systems: &Systems, tenant: &Arc<ValidTenant>) -> Start {
        let key = (tenant.reference.slug.to_string(), entry.condition);
        let digest = (entry.digest)(tenant);
        let mut lanes = self.lanes();
        let lane = lanes.entry(key.clone()).or_default();
        if lane.is_running {
            return Start::Underway;
        }
        if lane.digest != digest {
            lane.settled = None;
            lane.attempts = 0;
        }
        if let Some(settled) = lane.settled.as_ref().filter(|settled| settled.until > Instant::now()) {
            // Kubernetes is looked at in each pass: the watches have it all, and a deleted child must come back at once.
            if settled.result.is_err() || entry.system != System::Kubernetes {
                return Start::Settled(settled.result.clone());
            }
        }
        lane.is_running = true;
        lane.digest = digest;
        let (sender, receiver) = oneshot::channel();
        let (this, systems, tenant) = (self.clone(), systems.clone(), tenant.clone());
        self.inner.tasks.spawn(async move {
            // A lane whose work panicked must not stay taken for ever.
            let result =
                AssertUnwindSafe(this.work(entry, systems, tenant)).catch_unwind().await.unwrap_or_else(|_| {
                    let message = "a bug in the operator ended this work; its log says where".to_owned();
                    Err(Report { reason: "InternalError".to_owned(), message, class: Class::Transient })
                });
            this.settle(&key, &result);
            if sender.send(result).is_err() {
                this.inner.triggers.push(&key.0);
            }
        });
        Start::Started(receiver)
    }

    async fn work(&self, entry: &'static Entry, systems: Systems, tenant: Arc<ValidTenant>) -> Result<Note, Report> {
        let (system, gate) = (entry.system, self.gate(entry.system));
        let Some(_slot) = gate.enter().await else { return Err(Error::Resting { system }.report()) };
        let started = Instant::now();
        let limit = system.limit();
        let slug = tenant.reference.slug.clone();
        let done = match systems.lead.permit(limit) {
            Ok(_) => timeout(limit, (entry.ensure)(systems, tenant)).await.unwrap_or(Err(Error::TimedOut { system })),
            Err(error) => Err(error.into()),
        };
        let report = done.map_err(|error| error.report());
        match &report {
            Err(report) if report.class == Class::Silent => gate.unanswered(),
            _ => gate.answered(),
        }
        if let Err(report) = &report {
            tracing::warn!(tenant = %slug, condition = %entry.condition, reason = report.reason, message = report.message, "a provisioner failed");
        }
        self.inner.metrics.provisioned(entry.condition, report.is_ok(), started.elapsed());
        report
    }

    fn settle(&self, key: &Key, result: &Result<Note, Report>) {
        let mut lanes = self.lanes();
        let Some(lane) = lanes.get_mut(key) else { return };
        lane.is_running = false;
        let wait = match result {
            Ok(_) => {
                lane.attempts = 0;
                spread(self.inner.resync)
            }
            Err(report) => {
                lane.attempts = lane.attempts.saturating_add(1);
                retry_after(report, lane.attempts)
            }
        };
        lane.settled = Some(Settled { result: result.clone(), until: Instant::now() + wait });
    }

    /// Asks a system whose breaker is open whether it is back, and lets the tenants try again when it is.
    pub async fn probe<F: Future<Output = bool>>(&self, system: System, ping: impl Fn() -> F) {
        loop {
            self.gate(system).opened().await;
            tracing::warn!(system = system.name(), "the system does not answer; its breaker is open");
            self.inner.metrics.breaker(system, true);
            while !timeout(PROBE_PERIOD * 2, ping()).await.unwrap_or(false) {
                sleep(spread(PROBE_PERIOD)).await;
            }
            self.gate(system).answered();
            self.inner.metrics.breaker(system, false);
            tracing::info!(system = system.name(), "the system answers again");
            self.retry(system);
        }
    }

    /// Waits for the work that is under way.
    pub async fn drain(&self, limit: Duration) {
        self.inner.tasks.close();
        // What does not finish in time is idempotent and continued by the next leader.
        let _ = timeout(limit, self.inner.tasks.wait()).await;
    }
}

/// When failed work is tried again: exponentially, with jitter; at a steady pace where a person has to act or where only
/// Kubernetes has to finish something.
fn retry_after(report: &Report, attempts: u32) -> Duration {
    match report.class {
        Class::Stalled => spread(STALLED_RETRY),
        _ if report.reason == "Terminating" => FIRST_RETRY / 2,
        _ => {
            spread(FIRST_RETRY.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1).min(10))).min(LAST_RETRY))
        }
    }
}

/// The duration, up to a fifth more or less.
pub fn spread(duration: Duration) -> Duration {
    duration.mul_f64(rand::rng().random_range(0.8..1.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_back_off_to_a_minute() {
        let report = |class| Report { reason: "X".into(), message: String::new(), class };
        for (attempts, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (10, 60.0), (100, 60.0)] {
            let wait = retry_after(&report(Class::Transient), attempts).as_secs_f64();
            assert!((seconds * 0.79..seconds * 1.21).contains(&wait), "{attempts}: {wait}");
        }
        let stalled = retry_after(&report(Class::Stalled), 9).as_secs_f64();
        assert!((15.0..25.0).contains(&stalled));
    }
}
