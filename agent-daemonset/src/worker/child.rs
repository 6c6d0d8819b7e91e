//! The worker's side: confine itself, read the order, run the tasks one after the other.

use std::io::{Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use catalog::envelope::RunStatus;
use catalog::module::Profile;
use tables::integrity::{BaselineFile, Kept};
use tables::{Engine, Host, Limits};

use super::{BaselineUse, MEMORY_BESIDE_ENGINE, Order, lend};
use crate::sandbox;

/// Runs what standard input orders and prints each finished run.
pub fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("worker: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> anyhow::Result<()> {
    // Before anything reads from it: what is read together with other bytes comes without the file.
    let file = lend::receive(std::io::stdin())?;
    let mut input = Vec::new();
    std::io::stdin().lock().read_to_end(&mut input)?;
    let order: Order = serde_json::from_slice(&input)?;
    drop(input);
    confine(&order)?;
    let baseline = order.baseline.zip(file).map(|(to_do, file)| {
        Arc::new(Kept::new(match to_do {
            BaselineUse::Make => BaselineFile::Make(file),
            BaselineUse::Compare => BaselineFile::Compare(file),
        }))
    });

    let mut engine: Option<(Profile, Result<Engine, String>)> = None;
    for task in &order.tasks {
        let profile = task.profile();
        if engine.as_ref().is_none_or(|(opened, _)| *opened != profile) {
            // The old engine first: both together would not fit.
            drop(engine.take());
            let opened = Engine::open(Host { baseline: baseline.clone(), ..order.target.host() }, limits(profile))
                .map_err(|error| error.to_string());
            engine = Some((profile, opened));
        }
        let finished = match &engine {
            Some((_, Ok(engine))) => task.run(engine),
            Some((_, Err(reason))) => task.failed(RunStatus::Failed, task.now(), Duration::ZERO, reason),
            None => continue,
        };
        let mut line = serde_json::to_vec(&finished)?;
        line.push(b'\n');
        let mut output = std::io::stdout().lock();
        output.write_all(&line)?;
        output.flush()?;
    }
    Ok(())
}

fn confine(order: &Order) -> anyhow::Result<()> {
    let cpu: Duration = order.tasks.iter().map(|task| task.profile().budget().cpu).sum();
    let heap = order.tasks.iter().map(|task| task.profile().budget().memory_bytes).max().unwrap_or_default();
    sandbox::apply_limits(sandbox::Limits { cpu, memory_bytes: heap + MEMORY_BESIDE_ENGINE })?;
    sandbox::lower_priority()?;
    sandbox::confine_worker(order.sight(), order.network(), order.with_landlock)?;
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
