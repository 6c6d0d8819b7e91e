//! An OpenBao of a test's own: initialised, unsealed, with a file audit device to read what was asked of it.

use std::path::PathBuf;
use std::sync::Arc;

use super::run::{Durability, Run};

/// An OpenBao server and its root token.
#[derive(Clone)]
pub struct OpenBao {
    address: String,
    token: String,
    audit_log: PathBuf,
    run: Arc<Run>,
}

impl std::fmt::Debug for OpenBao {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBao").field("address", &self.address).finish_non_exhaustive()
    }
}

impl OpenBao {
    /// Starts one; ready after two seconds.
    pub async fn start() -> anyhow::Result<Self> {
        super::init();
        Self::of(&Run::start(false, &["openbao"], Durability::Fast).await?)
    }

    pub(super) fn of(run: &Arc<Run>) -> anyhow::Result<Self> {
        Ok(Self {
            address: run.value("TENA_DEV_BAO_ADDR")?,
            token: run.value("TENA_DEV_BAO_TOKEN")?,
            audit_log: run.value("TENA_DEV_BAO_AUDIT_LOG")?.into(),
            run: run.clone(),
        })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The root token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The file audit device: one JSON object a line for each request and each response.
    pub fn audit_log(&self) -> &std::path::Path {
        &self.audit_log
    }

    /// The server's process id now.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.run.pid("TENA_DEV_BAO_PID")
    }
}
