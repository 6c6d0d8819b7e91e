//! A PostgreSQL of a test's own: without fsync, with one superuser.

use std::sync::Arc;

use super::run::{Durability, Run};

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
}
