//! Wakes polls when there is a job, enqueued by whichever replica or the operator: Postgres notifies, this rings the bell.
//!
//! A notification can be lost, and a job that is queued again becomes due without one; so every few seconds one query
//! asks for the agents with due jobs. Waiting polls themselves ask nothing.

use std::time::Duration;

use store::notify::{Channel, Notification};
use uuid::Uuid;

use crate::{error::chain, state::App};

/// How long without a notification before looking for what is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Before connecting again.
const RETRY_AFTER: Duration = Duration::from_secs(2);
/// Agents woken by one look; the next look wakes the next ones.
const AT_ONCE: u32 = 1_000;

/// Listens until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        loop {
            if let Err(error) = listen(&app).await {
                app.metrics.pass("dispatch", false);
                tracing::warn!(error = %chain(&error), "cannot listen for jobs; waiting agents hear of them later");
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn listen(app: &App) -> store::Result<()> {
    let mut listener = app.db.listen(&[Channel::Jobs, Channel::Outbox, Channel::Audit]).await?;
    // What was said before this connection is gone.
    wake_due(app).await?;
    let mut looked = tokio::time::Instant::now();
    loop {
        if let Some(said) = listener.next(LOOK_EVERY).await? {
            heard(app, &said);
        }
        if looked.elapsed() >= LOOK_EVERY {
            wake_due(app).await?;
            looked = tokio::time::Instant::now();
        }
    }
}

fn heard(app: &App, said: &Notification) {
    let id = Uuid::try_parse(&said.payload);
    match (said.channel, id) {
        (Channel::Jobs, Ok(agent_id)) => app.waiters.ring(agent_id),
        (Channel::Audit, Ok(tenant_id)) => app.unchained.mark(tenant_id),
        (Channel::Outbox, _) => app.dirty.look(),
        (Channel::Jobs | Channel::Audit | Channel::Revoked, _) => {}
    }
}

async fn wake_due(app: &App) -> store::Result<()> {
    if app.waiters.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.platform().await?;
    let agents = store::jobs::agents_with_due(&mut tx, AT_ONCE).await?;
    tx.rollback().await?;
    for agent_id in agents {
        app.waiters.ring(agent_id);
    }
    app.metrics.pass("dispatch", true);
    Ok(())
}
