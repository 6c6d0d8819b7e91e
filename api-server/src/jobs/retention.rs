//! The daily retention: looks for tenants whose last run is a day ago, and does one after another. Two replicas share the work:
//! each run is one replica's.

use std::time::Duration;

use store::retention::runs;

use crate::{
    config::RetentionMode,
    error::{Result, chain},
    retention,
    state::App,
};

/// Tenants looked at in one pass; more than an instance of Postgres holds.
const AT_ONCE: u32 = 5_000;

/// Looks again and again until told to end.
pub async fn run(app: App) {
    let is_dry_run = match app.config.retention {
        RetentionMode::On => false,
        RetentionMode::DryRun => true,
        RetentionMode::Off => return,
    };
    let every = Duration::from_secs(u64::from(app.config.retention_look_seconds));
    let shutdown = app.shutdown.clone();
    let work = async {
        if !app.tenants.wait_until_ready().await {
            return;
        }
        loop {
            tokio::time::sleep(every).await;
            let passed = pass(&app, is_dry_run).await;
            app.metrics.pass("retention", matches!(passed, Ok(true)));
            if let Err(error) = passed {
                tracing::warn!(error = %chain(&error), "it cannot be told whose retention is due");
            }
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

/// Whether every run could be begun and ended.
async fn pass(app: &App, is_dry_run: bool) -> Result<bool> {
    let mut tx = app.db.platform().await?;
    let due = runs::due(&mut tx, AT_ONCE).await?;
    tx.rollback().await?;
    let mut is_settled = true;
    for tenant in due {
        // The resource says what the policy is. A tenant that is suspended or without one keeps what it has.
        let Ok(resource) = app.tenants.active(tenant.slug.as_str()) else { continue };
        let policy = retention::of(&resource.spec.retention);
        if let Err(error) = retention::run(app, &tenant, &policy, is_dry_run).await {
            is_settled = false;
            tracing::warn!(tenant = %tenant.slug, error = %chain(&error), "a run of retention broke off; it is tried again");
        }
    }
    Ok(is_settled)
}
