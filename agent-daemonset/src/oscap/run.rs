//! One run: content, scanner, report, verdicts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use catalog::envelope::{
    CheckVerdict, Envelope, Facts, Finding, LogLevel, LogLine, ResourceUse, RunStatus, Summary, Verdict,
};
use catalog::module::{Profile, Scap};
use catalog::scap::arf::RuleResult;
use catalog::scap::verdict::{Decided, decide};
use serde_json::Value;
use tables::redact;
use tables::scan::benchmarks;

use super::launch::{self, Launch};
use super::wait::{Ended, wait};
use super::{Error, PREFIX, Place, check_target, content, program, read};
use crate::run::{FinishedRun, Task};

/// The scanner's results, in the run's folder. Its ARF would be the same and the OVAL results packed together, but is made by
/// way of a folder in /tmp, which the scanner may not write in.
const REPORT: &str = "results.xml";
/// What the process that reads it hands over.
const RESULTS: &str = "results.json";
/// Results of 10,000 rules with what was found for each.
const MAX_RESULTS_BYTES: u64 = 48 << 20;
/// The end of what the scanner said is told.
const MAX_TOLD_BYTES: u64 = 600;
/// The scanner's words for "a rule failed", beside 0 for "none failed".
const SOME_FAILED: i32 = 2;

/// Runs a module. What goes wrong is the verdict of each check.
pub fn run(place: &Place, task: &Task) -> FinishedRun {
    let (begun, started_at) = (Instant::now(), task.now());
    match attempt(place, task) {
        Ok((decided, resource)) => {
            let module = &task.module;
            let Decided { checks, findings, log } = clean(decided);
            let has_error = checks.iter().any(|check| check.verdict == Verdict::Error);
            let envelope = Envelope {
                run_id: task.run_id,
                module: module.slug.clone(),
                version: module.version.to_string(),
                status: if has_error { RunStatus::Partial } else { RunStatus::Succeeded },
                started_at,
                duration_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                resource,
                summary: Summary::of(&checks),
                benchmarks: benchmarks(module, &checks),
                checks,
                findings,
                facts: Facts::default(),
                artifacts: Vec::new(),
                log,
            };
            FinishedRun { envelope, unread_tables: Vec::new() }
        }
        Err(error) => task.failed(error.status(), started_at, begun.elapsed(), &redact(&error.to_string())),
    }
}

fn attempt(place: &Place, task: &Task) -> Result<(Decided, ResourceUse), Error> {
    check_target(&place.target)?;
    let scap = task.module.scap.as_ref().ok_or(Error::NoScap)?;
    let program = program::find()?;
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&place.folder).map_err(Error::Folder)?;
    for file in &scap.files {
        content::take(&place.content, file, folder.path())?;
    }
    let profile = task.profile();
    let order = Launch {
        program,
        arguments: arguments(scap),
        folder: folder.path().to_owned(),
        cpu: profile.budget().cpu,
        memory_bytes: memory_bytes(profile),
    };
    let resource = scan(&order, profile)?;
    let results = results(folder.path())?;
    Ok((decide(&task.module, &results), resource))
}

/// What the scanner may hold. The 48 MiB that a profile gives are for the agent's own engine; the scanner holds the content and
/// its results as trees, 200 to 500 MiB for one profile of the SCAP Security Guide.
const fn memory_bytes(profile: Profile) -> u64 {
    const MIB: u64 = 1 << 20;
    match profile {
        Profile::BaselineFast => 512 * MIB,
        Profile::BaselineFull => 1_024 * MIB,
        Profile::DeepScan => 2_048 * MIB,
    }
}

/// Nothing is fetched: `--fetch-remote-resources` is not among them.
fn arguments(scap: &Scap) -> Vec<String> {
    let mut arguments: Vec<&str> = vec!["xccdf", "eval", "--profile", &scap.profile];
    match (&scap.data_stream, &scap.component) {
        (Some(data_stream), Some(component)) => {
            arguments.extend(["--datastream-id", data_stream, "--xccdf-id", component]);
        }
        (Some(data_stream), None) => arguments.extend(["--datastream-id", data_stream]),
        _ => {}
    }
    arguments.extend(["--results", REPORT, "--oval-results"]);
    arguments.extend(scap.files.first().map(|file| file.name.as_str()));
    arguments.into_iter().map(str::to_owned).collect()
}

fn scan(order: &Launch, profile: Profile) -> Result<ResourceUse, Error> {
    let input = serde_json::to_vec(order).map_err(|error| Error::Start(error.into()))?;
    let mut child =
        this_program(launch::SUBCOMMAND).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(Error::Start)?;
    // Dropped at once: the order ends with it. A process that is gone already says why below.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(&input));
    let wall = profile.budget().wall;
    let Ended { status, resource } = wait(&mut child, Instant::now() + wall + wall / 2)?;
    match status.code() {
        Some(0 | SOME_FAILED) => Ok(resource),
        _ => Err(failed(status, &order.folder)),
    }
}

fn failed(status: ExitStatus, folder: &Path) -> Error {
    match (status.code(), status.signal()) {
        (_, Some(libc::SIGXCPU)) => Error::CpuTime,
        (_, Some(signal)) => Error::Signal(signal),
        (code, None) => Error::Failed { status: code.unwrap_or_default(), told: told(folder) },
    }
}

/// Has the report read by a process of its own.
fn results(folder: &Path) -> Result<Vec<RuleResult>, Error> {
    let report =
        content::open(&folder.join(REPORT)).map_err(|source| Error::NoReport { source, told: told(folder) })?;
    let output = File::options().read(true).write(true).create_new(true).mode(0o600).open(folder.join(RESULTS));
    let mut output = output.map_err(Error::Folder)?;
    let mut child = this_program(read::SUBCOMMAND)
        .current_dir(folder)
        .stdin(Stdio::from(report))
        .stdout(output.try_clone().map_err(Error::Folder)?)
        .spawn()
        .map_err(Error::Start)?;
    // Its limit of CPU time comes first, unless the machine is busy.
    let status = wait(&mut child, Instant::now() + 2 * read::CPU)?.status;
    if !status.success() {
        return Err(Error::Report(format!("could not be read within its bounds ({status})")));
    }
    let broken = |error: &dyn std::fmt::Display| Error::Report(format!("could not be handed over: {error}"));
    let mut text = Vec::new();
    output.seek(SeekFrom::Start(0)).map_err(|error| broken(&error))?;
    output.take(MAX_RESULTS_BYTES).read_to_end(&mut text).map_err(|error| broken(&error))?;
    let outcome: read::Outcome = serde_json::from_slice(&text).map_err(|error| broken(&error))?;
    outcome.map_err(Error::Report)
}

/// This program again, also when it was replaced on disk meanwhile.
fn this_program(subcommand: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(subcommand).env_clear().stderr(Stdio::inherit());
    command
}

/// The end of what the scanner said of errors, in a line.
fn told(folder: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = content::open(&folder.join(launch::MESSAGES))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_TOLD_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(MAX_TOLD_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" "))
    };
    match read() {
        Ok(text) if !text.is_empty() => text,
        _ => "it said nothing".to_owned(),
    }
}

/// Takes secrets out of what the scanner found.
fn clean(decided: Decided) -> Decided {
    let text = |value: Value| match value {
        Value::String(text) => Value::from(redact(&text)),
        other => other,
    };
    let check = |check: CheckVerdict| CheckVerdict { message: check.message.map(|message| redact(&message)), ..check };
    let finding = |finding: Finding| Finding {
        evidence: finding.evidence.into_iter().map(|(name, value)| (name, text(value))).collect(),
        ..finding
    };
    let mut log = decided.log;
    let errors = decided.checks.iter().filter(|check| check.verdict == Verdict::Error);
    log.extend(errors.take(50).map(|check| LogLine {
        level: LogLevel::Error,
        message: format!("{}: {}", check.id, redact(check.message.as_deref().unwrap_or_default())),
    }));
    Decided {
        checks: decided.checks.into_iter().map(check).collect(),
        findings: decided.findings.into_iter().map(finding).collect(),
        log,
    }
}
