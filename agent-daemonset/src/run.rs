//! What a worker is asked to run, and what it gives back. The engine decides the checks; here is what surrounds it: the task,
//! the finished run as it lies in the spool, and the result of a module that could not run.

use std::collections::BTreeMap;
use std::time::Duration;

use catalog::envelope::{CheckVerdict, Envelope, Facts, LogLevel, LogLine, ResourceUse, RunStatus, Summary, Verdict};
use catalog::module::{Module, Os, Profile};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tables::Engine;
use tables::scan::{Order, run_module};
use uuid::Uuid;

/// A run that is over, as it lies in the spool: its facts are whole, the difference is drawn when it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedRun {
    /// What the run found; every fact is in `added`.
    pub envelope: Envelope,
    /// Fact tables that could not be read, or in part only: what the server knows of them still holds.
    pub unread_tables: Vec<String>,
}

/// What to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The run's id.
    pub run_id: Uuid,
    /// The module.
    pub module: Module,
    /// Laid over the module's defaults.
    pub parameters: BTreeMap<String, Value>,
    /// What to add to the host's clock to get the server's, in milliseconds.
    pub clock_offset_ms: i64,
}

impl Task {
    /// A run that nobody asked for, with the module's own parameters.
    pub fn of(module: Module) -> Self {
        Task { run_id: Uuid::now_v7(), module, parameters: BTreeMap::new(), clock_offset_ms: 0 }
    }

    /// The time, CPU and memory that it may take.
    pub fn profile(&self) -> Profile {
        self.module.profile
    }

    /// Runs it on an engine.
    pub fn run(&self, engine: &Engine) -> FinishedRun {
        let os = engine.host().map_or(Os::Linux, tables::Host::os);
        let has_cluster = engine.host().is_some_and(|host| host.cluster.is_some());
        let platforms = &self.module.platforms;
        if !(platforms.os.contains(&os) || platforms.kubernetes && has_cluster) {
            let reason = "the module is not made for this system";
            return self.failed(RunStatus::Failed, self.now(), Duration::ZERO, reason);
        }
        let order =
            Order { run_id: self.run_id, started_at: self.now(), parameters: self.parameters.clone(), previous: None };
        let run = run_module(engine, &self.module, order);
        FinishedRun { envelope: run.envelope, unread_tables: run.unread_tables }
    }

    /// Now, by the corrected clock.
    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.clock_offset_ms)
    }

    /// Its result where it could not run to its end.
    pub fn failed(&self, status: RunStatus, started_at: DateTime<Utc>, took: Duration, reason: &str) -> FinishedRun {
        let checks = self.module.checks.iter().map(|check| CheckVerdict {
            id: check.id.clone(),
            verdict: Verdict::Error,
            message: Some(reason.to_owned()),
        });
        FinishedRun {
            envelope: Envelope {
                status,
                started_at,
                duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                ..failed(self.run_id, &self.module.slug, &self.module.version.to_string(), checks.collect(), reason)
            },
            unread_tables: self.module.collect.iter().map(|collect| collect.table.clone()).collect(),
        }
    }
}

/// The result of a job whose module this agent does not have.
pub fn without_module(run_id: Uuid, module: &str, version: &str, reason: &str) -> FinishedRun {
    FinishedRun { envelope: failed(run_id, module, version, Vec::new(), reason), unread_tables: Vec::new() }
}

fn failed(run_id: Uuid, module: &str, version: &str, checks: Vec<CheckVerdict>, reason: &str) -> Envelope {
    Envelope {
        run_id,
        module: module.to_owned(),
        version: version.to_owned(),
        status: RunStatus::Failed,
        started_at: Utc::now(),
        duration_ms: 0,
        resource: ResourceUse::default(),
        summary: Summary::of(&checks),
        checks,
        findings: Vec::new(),
        benchmarks: Vec::new(),
        facts: Facts::default(),
        artifacts: Vec::new(),
        log: vec![LogLine { level: LogLevel::Error, message: reason.to_owned() }],
    }
}
