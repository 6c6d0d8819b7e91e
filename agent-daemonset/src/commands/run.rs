//! `run`: the daemon, on one thread, until SIGTERM or SIGINT.

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Outcome;
use crate::config::RunArgs;
use crate::daemon;

/// Works for the server.
pub fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    // One thread is enough for one connection, and it is the one that landlock confines.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut told = std::pin::pin!(async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        });
        let mut daemon = tokio::select! {
            started = daemon::start(args) => started?,
            () = &mut told => return Ok(Outcome::Done),
        };
        daemon.run(told).await;
        Ok(Outcome::Done)
    })
}
