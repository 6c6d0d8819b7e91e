//! Keeps the catalog: reads it when it has changed, and retires what is past its sunset or too old to be kept.

use std::time::Duration;

use serde_json::json;
use store::{audit, modules};
use tokio::time::Instant;

use crate::{
    error::{Result, chain},
    state::App,
};

/// How soon a release, a sunset or a draft that was promoted by another replica is known here.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// What is past its sunset is refused at once; only its state waits for this.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// Who retires, in the audit log.
const ACTOR: &str = "catalog";

/// Looks and sweeps until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        let mut swept: Option<Instant> = None;
        loop {
            let looked = app.modules.refresh(&app.db).await.map(drop);
            app.metrics.pass("catalog", looked.is_ok());
            if let Err(error) = looked {
                tracing::warn!(error = %chain(&error), "the catalog cannot be read");
            } else if swept.is_none_or(|at| at.elapsed() >= SWEEP_EVERY) {
                let passed = sweep(&app).await;
                app.metrics.pass("sunset", passed.is_ok());
                match passed {
                    Ok(()) => swept = Some(Instant::now()),
                    Err(error) => tracing::warn!(error = %chain(&error), "old modules cannot be retired"),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn sweep(app: &App) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let retired = modules::retire_due(&mut tx, app.config.succession(), ACTOR).await?;
    for change in &retired {
        let entry = audit::Entry {
            actor: ACTOR.to_owned(),
            action: "module.retired".to_owned(),
            subject: format!("{}@{}", change.module, change.version),
            details: json!({}),
        };
        audit::write_platform(&mut tx, None, &entry).await?;
        tracing::info!(module = %change.module, version = %change.version, "a module version was retired");
    }
    tx.commit().await?;
    Ok(())
}
