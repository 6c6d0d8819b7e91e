//! The quality gates that a version passes before it may run anywhere: lint, fixtures, time and memory, determinism.

use std::time::Instant;

use catalog::Entry;
use catalog::lifecycle::{Gate, GateReport};
use catalog::module::Module;
use chrono::Utc;
use tables::fixtures::{self, TestOutcome};
use tables::scan::{Order, run_module};
use tables::{Engine, Host, Limits};
use uuid::Uuid;

use crate::output::counted;

/// Differences that a gate names; more of them prove no more.
const MAX_TOLD: usize = 5;

/// Runs every gate on a version. With `on_this_host` the module is also run here, within its profile.
pub fn run(entry: &Entry, on_this_host: bool) -> GateReport {
    let module = &entry.module;
    let mut gates = vec![lint(module), tests("fixtures", module, fixtures::run)];
    gates.push(budget(module));
    gates.push(tests("determinism", module, fixtures::repeat));
    if module.scap.is_some() {
        // Nothing of it runs in this program; without a word here a reader would take "0 tests passed" for a proof.
        for gate in gates.iter_mut().filter(|gate| gate.name != "lint") {
            "not asked: the rules are the content's, and the host's scanner decides them".clone_into(&mut gate.detail);
        }
    } else if on_this_host {
        gates.push(here(module));
    }
    GateReport {
        checksum: entry.checksum.clone(),
        passed: gates.iter().all(|gate| gate.passed),
        at: Utc::now(),
        by: concat!("tenantra ", env!("CARGO_PKG_VERSION")).to_owned(),
        gates,
    }
}

fn gate(name: &str, problems: &[String], otherwise: String) -> Gate {
    let passed = problems.is_empty();
    let mut detail = if passed { otherwise } else { problems[..problems.len().min(MAX_TOLD)].join("; ") };
    if problems.len() > MAX_TOLD {
        detail = format!("{detail}; and {} more", problems.len() - MAX_TOLD);
    }
    Gate { name: name.to_owned(), passed, detail }
}

/// The file was read by the loader's rules already; here every query compiles and has its columns.
fn lint(module: &Module) -> Gate {
    let mut problems = fixtures::lint(module);
    if module.is_draft() {
        problems.push("it is marked as a draft: give every check its fixtures, then remove `state: draft`".to_owned());
    }
    gate(
        "lint",
        &problems,
        match &module.scap {
            None => format!("{} of SQL compile", counted(module.checks.len() + module.collect.len(), "statement")),
            Some(scap) => format!("{} of {} name their rules", counted(module.checks.len(), "check"), scap.profile),
        },
    )
}

fn tests(name: &str, module: &Module, run: fn(&Module) -> Vec<TestOutcome>) -> Gate {
    let outcomes = run(module);
    let problems: Vec<String> = outcomes
        .iter()
        .flat_map(|outcome| outcome.differences.iter().map(|difference| format!("\"{}\": {difference}", outcome.name)))
        .collect();
    gate(name, &problems, format!("{} passed", counted(outcomes.len(), "test")))
}

/// Each test within the time of the profile, on an engine whose heap is limited: a query that needs more memory fails it.
fn budget(module: &Module) -> Gate {
    let limit = module.profile.budget();
    let started = Instant::now();
    let outcomes = fixtures::run(module);
    let took = started.elapsed();
    let differences = outcomes.iter().flat_map(|outcome| &outcome.differences);
    // In the words of the engine's errors for a query that was stopped.
    let mut problems: Vec<String> = differences.filter(|text| text.contains("stopped")).cloned().collect();
    if took > limit.wall {
        problems.push(format!("its tests took {} s, the profile allows {} s", took.as_secs(), limit.wall.as_secs()));
    }
    let heap = Limits::default().heap_bytes >> 20;
    gate(
        "budget",
        &problems,
        format!("{} ms of {} s, at most {heap} MiB of heap", took.as_millis(), limit.wall.as_secs()),
    )
}

/// The module on the host that this program runs on.
fn here(module: &Module) -> Gate {
    let limit = module.profile.budget();
    let engine = match Engine::open(Host::running(), Limits { time: limit.wall, ..Limits::default() }) {
        Ok(engine) => engine,
        Err(error) => return gate("host", &[error.to_string()], String::new()),
    };
    let order =
        Order { run_id: Uuid::nil(), started_at: Utc::now(), parameters: module.default_parameters(), previous: None };
    let envelope = run_module(&engine, module, order).envelope;
    let mut problems = Vec::new();
    let wall = u128::from(envelope.duration_ms);
    if wall > limit.wall.as_millis() {
        problems.push(format!("it took {wall} ms, the profile allows {} s", limit.wall.as_secs()));
    }
    if u128::from(envelope.resource.cpu_ms) > limit.cpu.as_millis() {
        problems.push(format!(
            "it used {} ms of CPU, the profile allows {} s",
            envelope.resource.cpu_ms,
            limit.cpu.as_secs()
        ));
    }
    if matches!(envelope.status.as_str(), "failed" | "timeout") {
        problems.push(format!("the run ended as {}", envelope.status.as_str()));
    }
    gate("host", &problems, format!("{wall} ms, {} ms of CPU", envelope.resource.cpu_ms))
}
