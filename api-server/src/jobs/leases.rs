//! Gives jobs back whose agent was lost, counts what waits, and forgets what ended long ago.

use std::time::Duration;

use crate::{
    error::{Result, chain},
    state::App,
};

const EVERY: Duration = Duration::from_secs(10);

/// Looks again and again until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    while shutdown.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        let passed = pass(&app).await;
        app.metrics.pass("leases", passed.is_ok());
        if let Err(error) = passed {
            tracing::warn!(error = %chain(&error), "jobs whose agent was lost cannot be given back");
        }
    }
}

async fn pass(app: &App) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let (queued, failed) = store::jobs::reclaim_expired(&mut tx).await?;
    let depth = store::jobs::depth(&mut tx).await?;
    let swept = store::jobs::sweep(&mut tx).await?;
    tx.commit().await?;
    if swept > 0 {
        tracing::debug!(swept, "jobs that ended a week ago are forgotten");
    }
    app.metrics.queued_jobs.set(depth.queued);
    app.metrics.leased_jobs.set(depth.leased);
    if queued + failed > 0 {
        tracing::info!(queued, failed, "jobs were taken back: their agents did not renew them");
    }
    Ok(())
}
