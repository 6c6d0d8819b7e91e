//! Runs a module: its checks become verdicts and findings, its collections become facts. An error stays with the check that
//! caused it; the rest of the module is still decided.

mod decision;
mod facts;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use catalog::envelope::{
    Benchmark, CheckVerdict, Envelope, Finding, LogLevel, LogLine, ResourceUse, RunStatus, Summary, Verdict,
};
use catalog::module::{Check, Module};
use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(crate) use self::decision::decide;
use self::decision::{cut_list, fitting};
use self::facts::Collected;
pub use self::facts::MAX_FACTS;
use crate::engine::{Engine, QueryOutput};
use crate::error::Error;
use crate::kernel::cpu_time;
use crate::reader::cut;
use crate::value::{Parameters, Value};

/// What the findings of one module may take: a result of more than 8 MiB is not taken.
const MAX_FINDINGS_BYTES: usize = 2 << 20;
/// The longest message; a result holds none of more than 4,000 letters.
const MAX_MESSAGE_BYTES: usize = 2_000;
const MAX_LOG_LINES: usize = 100;

/// What is known before a run.
#[derive(Debug, Clone)]
pub struct Order {
    /// The id of the run, given by the server or made for a run without one.
    pub run_id: Uuid,
    /// When it begins, by the corrected clock.
    pub started_at: DateTime<Utc>,
    /// Laid over the module's defaults.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The facts that the server acknowledged last; none to send all of them.
    pub previous: Option<PreviousFacts>,
}

/// Facts as they were acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreviousFacts {
    /// The id of the snapshot.
    pub snapshot: String,
    /// The hash of every fact, and its table.
    pub hashes: BTreeMap<String, String>,
}

/// A finished run.
#[derive(Debug, Clone)]
pub struct ModuleRun {
    /// What is sent.
    pub envelope: Envelope,
    /// The facts as they are now; keep them once the server acknowledged the envelope.
    pub facts: PreviousFacts,
    /// Fact tables that could not be read, or in part only: what was acknowledged of them still holds.
    pub unread_tables: Vec<String>,
}

/// Runs one module. It never fails as a whole: what goes wrong is in the envelope.
pub fn run_module(engine: &Engine, module: &Module, order: Order) -> ModuleRun {
    let started = Instant::now();
    let cpu_before = cpu_time();
    let mut run = Run {
        engine,
        parameters: Parameters::new(),
        deadline: started + module.profile.budget().wall,
        is_over: false,
        log: Vec::new(),
    };
    let mut checks = Vec::with_capacity(module.checks.len());
    let mut findings = Vec::new();
    let mut facts = Collected::default();
    let mut refused = None;
    match module.resolve_parameters(&order.parameters) {
        Ok(parameters) => {
            run.parameters = parameters.iter().map(|(name, value)| (name.clone(), Value::from_json(value))).collect();
            let mut room = MAX_FINDINGS_BYTES;
            for check in &module.checks {
                let (mut verdict, mut found) = run.check(check);
                let listed = found.len();
                found.truncate(fitting(&found, &mut room));
                if found.len() < listed {
                    verdict.message = Some(cut_list(verdict.message.as_deref(), listed, found.len()));
                }
                checks.push(verdict);
                findings.extend(found);
            }
            facts = run.collect(module);
        }
        Err(error) => {
            let message = error.to_string();
            checks.extend(module.checks.iter().map(|check| CheckVerdict {
                id: check.id.clone(),
                verdict: Verdict::Error,
                message: Some(message.clone()),
            }));
            facts.unreadable.extend(module.collect.iter().map(|collect| collect.table.clone()));
            run.say(LogLevel::Error, message.clone());
            refused = Some(message);
        }
    }
    let has_error = checks.iter().any(|check| check.verdict == Verdict::Error) || !facts.unreadable.is_empty();
    let status = match (refused.is_some(), run.is_over, has_error) {
        (true, ..) => RunStatus::Failed,
        (_, true, _) => RunStatus::Timeout,
        (_, _, true) => RunStatus::Partial,
        _ => RunStatus::Succeeded,
    };
    let unread_tables = facts.unreadable.union(&facts.partial).cloned().collect();
    let (changes, now) = facts.against(order.previous.unwrap_or_default());
    let envelope = Envelope {
        run_id: order.run_id,
        module: module.slug.clone(),
        version: module.version.to_string(),
        status,
        started_at: order.started_at,
        duration_ms: milliseconds(started.elapsed()),
        resource: ResourceUse {
            cpu_ms: milliseconds(cpu_time().saturating_sub(cpu_before)),
            max_rss_kb: max_resident_kib(),
        },
        summary: Summary::of(&checks),
        benchmarks: benchmarks(module, &checks),
        checks,
        findings,
        facts: changes,
        artifacts: Vec::new(),
        log: run.log,
    };
    ModuleRun { envelope, facts: now, unread_tables }
}

struct Run<'a> {
    engine: &'a Engine,
    parameters: Parameters,
    deadline: Instant,
    is_over: bool,
    log: Vec<LogLine>,
}

impl Run<'_> {
    fn check(&mut self, check: &Check) -> (CheckVerdict, Vec<Finding>) {
        let decided = decide(check, |sql| self.ask(sql));
        if let (CheckVerdict { verdict: Verdict::Error, message: Some(message), .. }, _) = &decided {
            self.say(LogLevel::Error, format!("{}: {message}", check.id));
        }
        decided
    }

    fn ask(&mut self, sql: &str) -> Result<QueryOutput, Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let answer = if left.is_zero() {
            Err(Error::OverTime(Duration::ZERO))
        } else {
            self.engine.query_within(sql, &self.parameters, left)
        };
        match answer {
            Ok(answer) => {
                for warning in &answer.warnings {
                    self.say(LogLevel::Warn, format!("{}: {}", warning.table, warning.message));
                }
                Ok(answer)
            }
            Err(error) => {
                self.is_over |= Instant::now() >= self.deadline;
                Err(if left.is_zero() { Error::RunOver } else { error })
            }
        }
    }

    fn say(&mut self, level: LogLevel, mut message: String) {
        cut(&mut message, MAX_MESSAGE_BYTES);
        let line = LogLine { level, message };
        if self.log.len() < MAX_LOG_LINES && !self.log.contains(&line) {
            self.log.push(line);
        }
    }
}

/// The verdicts by control: a control fails with any of its checks. The verdicts are in the order of the module's checks.
pub fn benchmarks(module: &Module, checks: &[CheckVerdict]) -> Vec<Benchmark> {
    let rank = |verdict| match verdict {
        Verdict::Fail => 3,
        Verdict::Error => 2,
        Verdict::Pass => 1,
        Verdict::NotApplicable => 0,
    };
    let mut worst: BTreeMap<(&str, &str), Verdict> = BTreeMap::new();
    for (check, decided) in module.checks.iter().zip(checks) {
        for (framework, controls) in &check.controls {
            for control in controls {
                let status = worst.entry((framework, control)).or_insert(decided.verdict);
                if rank(decided.verdict) > rank(*status) {
                    *status = decided.verdict;
                }
            }
        }
    }
    worst
        .into_iter()
        .map(|((framework, control), status)| Benchmark {
            framework: framework.to_owned(),
            control: control.to_owned(),
            status,
        })
        .collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The greatest resident set of this process, in KiB.
fn max_resident_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
            line.split_whitespace().next()?.parse().ok()
        })
        .unwrap_or(0)
}
