//! Hosts made to harm whoever scans them. Whatever is on one, the agent ends in its time, holds no more memory than it may,
//! never reads outside the root, and what it could not read is no pass. The figures of `docs/hostile-hosts.md` come from here:
//! each test prints its own (`--no-capture`), `TENA_HOSTILE_FULL=1` takes the sizes that are too large for every run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "hostile/crowds.rs"]
mod crowds;
#[path = "hostile/files.rs"]
mod files;
#[path = "hostile/host.rs"]
mod host;
#[path = "hostile/links.rs"]
mod links;
#[path = "hostile/processes.rs"]
mod processes;
#[path = "hostile/program.rs"]
mod program;
#[path = "hostile/queries.rs"]
mod queries;
#[path = "hostile/sizes.rs"]
mod sizes;

use catalog::envelope::{Envelope, Verdict};

/// Counted as in the agent, for the tests that run its engine in this process.
#[global_allocator]
static MEMORY: tables::CountedMemory = tables::CountedMemory;

/// The checks with a verdict, as `module/check`.
fn checks(runs: &[Envelope], verdict: Verdict) -> Vec<String> {
    let of = |run: &Envelope| -> Vec<String> {
        let matching = run.checks.iter().filter(|check| check.verdict == verdict);
        matching.map(|check| format!("{}/{}", run.module, check.id)).collect()
    };
    runs.iter().flat_map(of).collect()
}
