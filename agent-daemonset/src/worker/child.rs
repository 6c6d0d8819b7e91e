//! The worker's side: read the header, confine itself, then run task after task as they come.

use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use catalog::envelope::RunStatus;
use catalog::module::Profile;
use catalog::printable::printable;
use tables::integrity::{BaselineFile, Kept};
use tables::{Engine, Host, Limits};

use super::{BaselineUse, Header, lend, memory_bytes};
use crate::run::Task;
use crate::sandbox;

/// Runs what standard input orders and prints each finished run.
pub fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {}", printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn work() -> anyhow::Result<()> {
    // Before anything reads from it: what is read together with other bytes comes without the file.
    let file = lend::receive(io::stdin())?;
    let mut lines = io::stdin().lock().lines();
    let header: Header = serde_json::from_str(&lines.next().context("no header came")??)?;
    confine(&header)?;
    let baseline = header.baseline.zip(file).map(|(to_do, file)| {
        Arc::new(Kept::new(match to_do {
            BaselineUse::Make => BaselineFile::Make(file),
            BaselineUse::Remake => BaselineFile::Remake(file),
            BaselineUse::Compare => BaselineFile::Compare(file),
        }))
    });
    // One engine for all tasks keeps what it read of the host. Each run asks within the time of its own profile.
    let engine = Engine::open(Host { baseline, ..header.target.host() }, limits(header.profile))
        .map_err(|error| error.to_string());
    for line in lines {
        let task: Task = serde_json::from_str(&line?)?;
        let finished = match &engine {
            Ok(engine) => task.run(engine),
            Err(reason) => task.failed(RunStatus::Failed, task.now(), Duration::ZERO, reason),
        };
        let mut line = serde_json::to_vec(&finished)?;
        line.push(b'\n');
        let mut output = io::stdout().lock();
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}

fn confine(header: &Header) -> anyhow::Result<()> {
    sandbox::apply_limits(sandbox::Limits { cpu: header.cpu, memory_bytes: memory_bytes(header.profile) })?;
    sandbox::lower_priority()?;
    sandbox::confine_worker(header.needs.sight, header.needs.network, header.with_landlock)?;
    Ok(())
}

fn limits(profile: Profile) -> Limits {
    let budget = profile.budget();
    Limits {
        time: budget.wall,
        heap_bytes: i64::try_from(budget.memory_bytes).unwrap_or(i64::MAX),
        ..Limits::default()
    }
}
