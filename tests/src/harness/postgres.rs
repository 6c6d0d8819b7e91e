//! A PostgreSQL of a test's own, with one superuser; without fsync, unless a test is about what outlives a kill.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};

use super::program::children;
use super::run::{Durability, Run};
use super::wait::until;

/// Longer than a restart with its recovery takes.
const BACK_WITHIN: Duration = Duration::from_mins(1);

/// A PostgreSQL server with nothing in it.
#[derive(Clone, Debug)]
pub struct Postgres {
    url: String,
    run: Arc<Run>,
}

impl Postgres {
    /// Starts one; ready after a second.
    pub async fn start() -> anyhow::Result<Self> {
        super::init();
        Self::of(&Run::start(false, &["postgres"], Durability::Fast).await?)
    }

    /// The same, but waiting for the disk: what it said is committed outlives [`Postgres::kill`].
    pub async fn start_durable() -> anyhow::Result<Self> {
        super::init();
        Self::of(&Run::start(false, &["postgres"], Durability::Durable).await?)
    }

    pub(super) fn of(run: &Arc<Run>) -> anyhow::Result<Self> {
        Ok(Self { url: run.value("TENA_DEV_PG_URL")?, run: run.clone() })
    }

    /// The superuser's URL, with the database `postgres`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address that pods and other hosts reach it at: host and port.
    pub fn host_and_port(&self) -> anyhow::Result<String> {
        Ok(format!("{}:{}", self.run.value("TENA_DEV_PG_HOST")?, self.run.value("TENA_DEV_PG_PORT")?))
    }

    /// The postmaster's process id now; it is started again when it ends.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.run.pid("TENA_DEV_PG_PID")
    }

    /// Stops the server with all its processes, so that connections stay and nobody answers, until the guard is dropped.
    pub fn stop(&self) -> anyhow::Result<Stopped> {
        let pid = self.pid()?;
        signal([pid], Signal::STOP);
        // Now it starts none.
        signal(children(pid), Signal::STOP);
        Ok(Stopped(pid))
    }

    /// Ends the server with SIGKILL, all its processes at once, and waits until it is started again and lets people in. The
    /// development cluster starts it again five times in a minute at most.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let pid = self.pid()?;
        // The postmaster first: it would start again what it loses.
        signal(std::iter::once(pid).chain(children(pid)), Signal::KILL);
        until(BACK_WITHIN, "PostgreSQL is back", async || {
            let now = self.pid()?;
            if now == pid || now == 0 {
                return Ok(false);
            }
            PgConnection::connect(&self.url).await?.close().await?;
            Ok(true)
        })
        .await
    }
}

/// A server that was stopped; it goes on when this is dropped.
#[derive(Debug)]
#[must_use = "the server goes on at once"]
pub struct Stopped(u32);

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(children(self.0).into_iter().chain([self.0]), Signal::CONT);
    }
}

fn signal(processes: impl IntoIterator<Item = u32>, signal: Signal) {
    for one in processes {
        if let Some(one) = i32::try_from(one).ok().and_then(Pid::from_raw) {
            // An error says that it has ended already.
            let _ = kill_process(one, signal);
        }
    }
}
