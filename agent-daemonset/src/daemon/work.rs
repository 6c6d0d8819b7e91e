//! Runs what is queued. The modules of all queued jobs are read from the bundle at once and put into groups that may share a
//! worker, so that a file system is walked once for all of them. A job stays in the queue, and so leased, until its result is
//! on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use catalog::bundle::Bundle;
use catalog::envelope::RunStatus;
use catalog::module::Engine;
use catalog::wire::{AgentJob, MAX_JOBS, PollRequest};
use tables::integrity::BaselineFile;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{Daemon, GATHER, deliver};
use crate::run::{FinishedRun, Task, without_module};
use crate::state;
use crate::state::baselines::{self, Lent};
use crate::state::{bundle, leased};
use crate::worker::{Batch, Needs, lost};

/// A lease is renewed when a third of it is over, so that one failure can be mended.
const RENEWALS_IN_A_LEASE: u64 = 3;
const SHORTEST_RENEWAL: Duration = Duration::from_secs(5);

impl Daemon {
    /// Takes jobs over from the server.
    pub(super) fn take_jobs(&mut self, jobs: Vec<AgentJob>) {
        let shortest = jobs.iter().map(|job| u64::from(job.lease_seconds)).min();
        if let Some(seconds) = shortest {
            self.renew_every = Duration::from_secs(seconds / RENEWALS_IN_A_LEASE).max(SHORTEST_RENEWAL);
            self.renew_at = Instant::now() + self.renew_every;
            self.queue.extend(jobs);
            self.note_queue();
        }
    }

    /// Runs the queue until it is empty, or no result can be kept any more.
    pub(super) async fn run_queue(&mut self) {
        let bundle = match self.modules().await {
            Ok(bundle) => bundle,
            Err(error) => {
                self.failed(&error).await;
                return sleep_until(self.contact_at).await;
            }
        };
        let groups = self.groups(bundle);
        // The unpacked bundle was several times what is kept of it.
        tables::give_memory_back();
        for group in groups {
            if !self.can_run() {
                return;
            }
            match group.as_slice() {
                [task] if task.module.engine == Engine::Oscap => self.run_by_scanner(task.clone()).await,
                _ => self.run_group(group).await,
            }
        }
    }

    /// Has the host's scanner decide a module, and keeps the leases meanwhile.
    async fn run_by_scanner(&mut self, task: Task) {
        let scanner = self.scanner.clone();
        let mut work = pin!(scanner.run(task));
        let finished = loop {
            tokio::select! {
                finished = &mut work => break finished,
                () = sleep_until(self.renew_at) => self.renew().await,
            }
        };
        self.keep(finished);
        self.deliver_what_gathered().await;
    }

    /// The modules, from the disk or, where they were removed or changed there, from the server.
    async fn modules(&mut self) -> Result<Bundle, deliver::Error> {
        let key = self.session.registration().bundle_key;
        if let Some(bundle) = bundle::load(&self.state, &key)? {
            return Ok(bundle);
        }
        self.bundle_checksum.clear();
        self.fetch_config().await?;
        Ok(bundle::load(&self.state, &key)?.unwrap_or_default())
    }

    /// The tasks of the queue, in groups that each get a worker. Jobs whose module is not there are answered.
    fn groups(&mut self, bundle: Bundle) -> Vec<Vec<Task>> {
        let mut wanted: BTreeMap<(String, String), Vec<&AgentJob>> = BTreeMap::new();
        let mut places: BTreeMap<Uuid, usize> = BTreeMap::new();
        for (place, job) in self.queue.iter().enumerate() {
            wanted.entry((job.module.clone(), job.version.clone())).or_default().push(job);
            places.insert(job.run_id, place);
        }
        let clock_offset_ms = self.session.clock_offset_ms();
        let mut shared: BTreeMap<Needs, Vec<Task>> = BTreeMap::new();
        let mut alone = Vec::new();
        for module in bundle.modules {
            let Some(jobs) = wanted.remove(&(module.slug.clone(), module.version.to_string())) else { continue };
            let needs = Needs::of(&module, &self.target);
            for job in jobs {
                let (run_id, parameters) = (job.run_id, job.parameters.clone());
                let one = Task { run_id, module: module.clone(), parameters, clock_offset_ms };
                if keeps_baseline(&one) || one.module.engine == Engine::Oscap {
                    alone.push(vec![one]);
                } else {
                    shared.entry(needs).or_default().push(one);
                }
            }
        }
        let reason = "this agent has no bundle with a valid signature that holds the module";
        let missing: Vec<FinishedRun> = wanted
            .into_values()
            .flatten()
            .map(|job| without_module(job.run_id, &job.module, &job.version, reason))
            .collect();
        for finished in missing {
            self.keep(finished);
        }
        let mut groups: Vec<Vec<Task>> = shared.into_values().chain(alone).collect();
        // What is quick is known first; else as it was queued.
        for group in &mut groups {
            group.sort_by_key(|task| (task.profile(), places.get(&task.run_id).copied()));
        }
        groups
    }

    async fn run_group(&mut self, tasks: Vec<Task>) {
        let tasks: Arc<[Task]> = tasks.into();
        let (baseline, lent) = match self.lend_baseline(&tasks) {
            Ok(Some((baseline, lent))) => (Some(baseline), Some(lent)),
            Ok(None) => (None, None),
            Err(error) => {
                let reason = format!("no baseline: {error}");
                for each in tasks.iter() {
                    self.keep(each.failed(RunStatus::Failed, each.now(), Duration::ZERO, &reason));
                }
                return;
            }
        };
        let batch = Batch {
            target: self.target.clone(),
            with_landlock: self.with_landlock,
            tasks: Arc::clone(&tasks),
            baseline,
        };
        let mut awaited: BTreeSet<Uuid> = tasks.iter().map(|task| task.run_id).collect();
        // Dropping it ends the worker.
        let mut runs = self.supervisor.run(batch);
        let is_over = loop {
            let finished = tokio::select! {
                finished = runs.next() => finished,
                () = sleep_until(self.renew_at) => {
                    self.renew().await;
                    continue;
                }
            };
            let Some(finished) = finished else { break true };
            awaited.remove(&finished.envelope.run_id);
            self.keep(finished);
            if !self.can_run() {
                break awaited.is_empty();
            }
            self.deliver_what_gathered().await;
        };
        drop(runs);
        if is_over {
            for undone in tasks.iter().filter(|task| awaited.contains(&task.run_id)) {
                self.keep(lost(undone));
            }
        }
        if let Some(Err(error)) = lent.map(|lent| lent.take_back(&self.state)) {
            tracing::error!(error_code = "baseline", %error, "the baseline was not kept; the next run makes one");
        }
    }

    /// The baseline of a module that keeps one; it is alone in its group.
    fn lend_baseline(&self, tasks: &[Task]) -> Result<Option<(BaselineFile, Lent)>, state::Error> {
        let Some(task) = tasks.first().filter(|task| keeps_baseline(task)) else { return Ok(None) };
        let mut parameters = task.module.default_parameters();
        parameters.extend(task.parameters.clone());
        baselines::lend(&self.state, &task.module.slug, &parameters).map(Some)
    }

    /// Sends what is finished now and then, while the worker goes on.
    async fn deliver_what_gathered(&mut self) {
        let now = Instant::now();
        if self.delivered_at.elapsed() < GATHER || now < self.deliver_at || now < self.contact_at {
            return;
        }
        if let Err(error) = self.deliver().await {
            self.failed(&error).await;
        }
        self.note_queue();
    }

    /// Keeps the jobs leased that this agent still works on.
    async fn renew(&mut self) {
        let request = PollRequest {
            state: self.agent_state(),
            config_version: self.known_config(),
            running: self.leased(),
            ..PollRequest::default()
        };
        match self.session.poll(&request).await {
            Ok(_) => self.renew_at = Instant::now() + self.renew_every,
            Err(error) => {
                self.renew_at = Instant::now() + SHORTEST_RENEWAL;
                tracing::warn!(error_code = error.log_code(), %error, "the leases of jobs were not renewed");
            }
        }
    }

    /// Logs a finished run and spools it. One whose job is not this agent's any more is dropped.
    fn keep(&mut self, finished: FinishedRun) {
        let envelope = &finished.envelope;
        let Some(place) = self.queue.iter().position(|job| job.run_id == envelope.run_id) else { return };
        let Some(job) = self.queue.remove(place) else { return };
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
        self.unspooled.push_back((job, finished));
        self.spool_what_waits();
        if self.queue.is_empty() {
            self.note_queue();
        }
    }

    pub(super) fn spool_what_waits(&mut self) {
        while let Some((job, finished)) = self.unspooled.front() {
            if let Err(error) = self.outbox.spool.push(job.run_id, Some(job.job_id), finished) {
                tracing::error!(error_code = "spool", %error, "a result waits in memory for room on the disk; no new job is run");
                return;
            }
            self.unspooled.pop_front();
        }
    }

    /// Writes down which jobs are left. On a full disk they are only in memory, and leased again if this process ends.
    fn note_queue(&self) {
        if let Err(error) = leased::save(&self.state, &self.queue) {
            tracing::warn!(error_code = "jobs", %error, "the list of jobs was not written");
        }
    }

    /// Jobs that are this agent's: queued, running, or finished and not yet acknowledged.
    pub(super) fn leased(&self) -> Vec<Uuid> {
        let spooled = self.outbox.spool.entries().into_iter().filter_map(|(id, _)| id.job_id);
        let unspooled = self.unspooled.iter().map(|(job, _)| job.job_id);
        let most = usize::try_from(MAX_JOBS).unwrap_or(usize::MAX);
        self.queue.iter().map(|job| job.job_id).chain(unspooled).chain(spooled).take(2 * most).collect()
    }
}

fn keeps_baseline(task: &Task) -> bool {
    task.module.requires.tables.iter().any(|table| table == baselines::TABLE)
}
