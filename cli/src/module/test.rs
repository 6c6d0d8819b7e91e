//! `tenantra module test`: every query compiles, and every recorded host gets the verdicts that its test expects.

use std::path::PathBuf;
use std::time::Instant;

use catalog::Entry;
use clap::Args;
use serde::Serialize;
use tables::fixtures::{self, TestOutcome};

use super::{gates, parallel, source};
use crate::outcome::{Error, Outcome};
use crate::output::{Format, bad, cell, counted, good, grid, rendered};
use crate::progress::Progress;

/// `tenantra module test [MODULE…]`.
#[derive(Debug, Args)]
pub struct Test {
    /// Modules: a slug, or slug@version; without any, all
    modules: Vec<String>,
    /// Test the modules of this folder, which holds modules/ and frameworks/, instead of those in this program
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// Run every quality gate, as promote does: determinism and the budget too
    #[arg(long)]
    gates: bool,
}

#[derive(Debug, Serialize)]
struct Line {
    module: String,
    version: String,
    tests: usize,
    failed: usize,
    /// Queries that do not compile or lack a column, and gates that were not passed.
    problems: Vec<String>,
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Failure {
    test: String,
    differences: Vec<String>,
}

impl Line {
    fn has_passed(&self) -> bool {
        self.failed == 0 && self.problems.is_empty()
    }
}

/// Runs it.
pub fn run(arguments: &Test, format: Format) -> Result<Outcome, Error> {
    let catalog = source::open(arguments.dir.as_deref())?;
    let entries: Vec<&Entry> = if arguments.modules.is_empty() {
        catalog.entries().iter().collect()
    } else {
        arguments.modules.iter().map(|name| source::find(&catalog, name)).collect::<Result<_, _>>()?
    };
    let started = Instant::now();
    let mut progress = Progress::start();
    let number = entries.len();
    let tell = |done| progress.whisper(format!("{done} of {}", counted(number, "module")));
    let lines = parallel::map(&entries, |entry| test(entry, arguments.gates), tell);
    drop(progress);
    let has_passed = lines.iter().all(Line::has_passed);
    format.print(&lines, || text(&lines, started.elapsed().as_secs_f64()))?;
    Ok(Outcome::differs_if(!has_passed))
}

fn test(entry: &Entry, with_gates: bool) -> Line {
    let module = &entry.module;
    let mut problems = fixtures::lint(module);
    if with_gates {
        // Lint and fixtures are told in full below.
        let failed = gates::run(entry, false).gates.into_iter().filter(|gate| !gate.passed);
        let others = failed.filter(|gate| !matches!(gate.name.as_str(), "lint" | "fixtures"));
        problems.extend(others.map(|gate| format!("{}: {}", gate.name, gate.detail)));
    }
    let outcomes = fixtures::run(module);
    let failures: Vec<Failure> = outcomes
        .iter()
        .filter(|outcome| !outcome.has_passed())
        .map(|TestOutcome { name, differences }| Failure { test: name.clone(), differences: differences.clone() })
        .collect();
    Line {
        module: module.slug.clone(),
        version: module.version.to_string(),
        tests: outcomes.len(),
        failed: failures.len(),
        problems,
        failures,
    }
}

fn text(lines: &[Line], seconds: f64) -> String {
    let mut table = grid(&["MODULE", "VERSION", "TESTS", "RESULT"]);
    for line in lines {
        let result = match (line.failed, line.problems.len()) {
            (0, 0) if line.tests == 0 => cell("no tests"),
            (0, 0) => good("passed"),
            (0, problems) => bad(counted(problems, "problem")),
            (failed, 0) => bad(format!("{failed} failed")),
            (failed, problems) => bad(format!("{failed} failed, {}", counted(problems, "problem"))),
        };
        table.add_row(vec![cell(&line.module), cell(&line.version), cell(line.tests), result]);
    }
    let mut told = vec![rendered(&table)];
    for line in lines.iter().filter(|line| !line.has_passed()) {
        told.push(format!("\n{}@{}", line.module, line.version));
        told.extend(line.problems.iter().map(|problem| format!("  {problem}")));
        for Failure { test, differences } in &line.failures {
            told.push(format!("  test \"{test}\":"));
            told.extend(differences.iter().map(|difference| format!("    {difference}")));
        }
    }
    let tests: usize = lines.iter().map(|line| line.tests).sum();
    let failed: usize = lines.iter().map(|line| line.failed).sum();
    let (modules, passed) = (counted(lines.len(), "module"), tests - failed);
    told.push(format!("\n{modules}, {}: {passed} passed, {failed} failed in {seconds:.1} s", counted(tests, "test")));
    told.join("\n")
}
