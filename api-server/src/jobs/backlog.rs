//! Back-pressure: a tenant whose events are not worked off as fast as they come is asked to wait. How many wait is looked at
//! every few seconds and remembered, so that no request counts; the bound is kept to within what comes in that time.

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use uuid::Uuid;

use crate::{
    error::{Error, Result, chain},
    state::App,
};

/// Events of one tenant that may wait, each some hundred bytes: a day of 10,000 agents whose hosts change ten times.
const BOUND: u32 = 100_000;
/// How often it is looked at, and what is worked off is forgotten.
const EVERY: Duration = Duration::from_secs(10);

/// The tenants that have to wait.
#[derive(Debug, Default)]
pub struct Backlog(RwLock<HashMap<Uuid, i64>>);

impl Backlog {
    /// Whether the tenant may cause more.
    ///
    /// # Errors
    /// [`Error::QueueFull`] if too much of it waits.
    pub fn check(&self, tenant_id: Uuid) -> Result<()> {
        match self.0.read().unwrap_or_else(PoisonError::into_inner).get(&tenant_id) {
            Some(_) => Err(Error::QueueFull { limit: BOUND }),
            None => Ok(()),
        }
    }

    /// Notes how many events of each tenant wait. Gives how many there are in all, each tenant counted up to the bound.
    fn note(&self, waiting: Vec<(Uuid, i64)>) -> i64 {
        let total = waiting.iter().map(|(_, count)| count).sum();
        let full = waiting.into_iter().filter(|(_, count)| *count >= i64::from(BOUND)).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = full;
        total
    }
}

/// Looks again and again until told to end.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        loop {
            let passed = pass(&app).await;
            app.metrics.pass("outbox", passed.is_ok());
            if let Err(error) = passed {
                tracing::warn!(error = %chain(&error), "events that wait cannot be counted");
            }
            tokio::time::sleep(EVERY).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
}

async fn pass(app: &App) -> Result<()> {
    let mut tx = app.db.platform().await?;
    let waiting = store::outbox::backlog(&mut tx, BOUND).await?;
    let swept = store::outbox::sweep(&mut tx).await?;
    tx.commit().await?;
    app.metrics.waiting_events.set(app.backlog.note(waiting));
    if swept > 0 {
        tracing::debug!(swept, "events that were worked off a day ago are forgotten");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_tenant_whose_queue_is_full_waits_and_only_until_it_is_not() {
        let backlog = Backlog::default();
        let (busy, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        backlog.check(busy).unwrap();
        assert_eq!(backlog.note(vec![(busy, i64::from(BOUND)), (other, 7)]), i64::from(BOUND) + 7);
        let refused = backlog.check(busy).unwrap_err();
        assert_eq!(refused.status_and_code().1, "queue_full");
        backlog.check(other).unwrap();
        backlog.note(vec![(busy, i64::from(BOUND) - 1)]);
        backlog.check(busy).unwrap();
    }
}
