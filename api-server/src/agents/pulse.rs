//! Heartbeats on their way to the database: those of a second are written together, one statement for each tenant. What an agent
//! says of itself is no result; one that is lost with the process is said again at the next poll, long before the agent counts
//! as silent.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use catalog::wire::AgentState;
use chrono::Utc;
use store::{TenantRef, Write, agents::Heartbeat};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    error::{Result, chain},
    state::App,
};

/// Heartbeats that come within this time are written together.
const GATHER: Duration = Duration::from_secs(1);
/// Heartbeats in one statement.
const AT_ONCE: usize = 1_000;

/// The last heartbeat of each agent that is not written yet, by tenant: never more than there are agents.
type Waiting = HashMap<TenantRef, HashMap<Uuid, Heartbeat>>;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct Pulse {
    waiting: Mutex<Waiting>,
    bell: Notify,
}

impl Pulse {
    /// The agent lives, and says this of itself.
    pub fn beat(&self, tenant: &TenantRef, agent_id: Uuid, state: AgentState) {
        let heartbeat = Heartbeat { agent_id, at: Utc::now(), state };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(tenant.clone()).or_default().insert(agent_id, heartbeat);
        drop(waiting);
        self.bell.notify_one();
    }

    fn take(&self) -> Waiting {
        std::mem::take(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What could not be written is tried again, unless the agent has said something newer.
    fn give_back(&self, tenant: TenantRef, heartbeats: Vec<Heartbeat>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = waiting.entry(tenant).or_default();
        for heartbeat in heartbeats {
            of_tenant.entry(heartbeat.agent_id).or_insert(heartbeat);
        }
        drop(waiting);
        self.bell.notify_one();
    }
}

/// Writes until told to end, and then what is left.
pub async fn run(app: App) {
    let shutdown = app.shutdown.clone();
    let work = async {
        loop {
            app.pulse.bell.notified().await;
            tokio::time::sleep(GATHER).await;
            write(&app).await;
        }
    };
    let _ = shutdown.run_until_cancelled(work).await;
    write(&app).await;
}

async fn write(app: &App) {
    for (tenant, heartbeats) in app.pulse.take() {
        let mut heartbeats: Vec<Heartbeat> = heartbeats.into_values().collect();
        // In one order everywhere: two replicas wait for each other's rows and never in a circle.
        heartbeats.sort_by_key(|heartbeat| heartbeat.agent_id);
        let written = write_tenant(app, &tenant, &heartbeats).await;
        app.metrics.pass("heartbeats", written.is_ok());
        if let Err(error) = written {
            tracing::warn!(tenant = %tenant.slug, error = %chain(&error), "heartbeats could not be written; they are tried again");
            app.pulse.give_back(tenant, heartbeats);
        }
    }
}

async fn write_tenant(app: &App, tenant: &TenantRef, heartbeats: &[Heartbeat]) -> Result<()> {
    for some in heartbeats.chunks(AT_ONCE) {
        let mut tx = app.db.tenant::<Write>(tenant).await?;
        store::agents::seen(&mut tx, some).await?;
        tx.commit().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use store::Slug;

    use super::*;

    #[test]
    fn the_last_heartbeat_of_an_agent_counts_and_one_given_back_is_not_newer() {
        let pulse = Pulse::default();
        let tenant = TenantRef { slug: Slug::parse("acme").expect("a slug"), id: Uuid::nil() };
        let state = |queue_depth| AgentState { queue_depth, ..AgentState::default() };
        pulse.beat(&tenant, Uuid::from_u128(1), state(1));
        let taken: Vec<Heartbeat> = pulse.take().remove(&tenant).expect("some").into_values().collect();
        pulse.beat(&tenant, Uuid::from_u128(1), state(2));
        pulse.beat(&tenant, Uuid::from_u128(1), state(3));
        pulse.give_back(tenant.clone(), taken);
        let waiting = pulse.take().remove(&tenant).expect("some");
        assert_eq!(waiting.values().map(|one| one.state.queue_depth).collect::<Vec<_>>(), [3]);
        assert!(pulse.take().is_empty());
    }
}
