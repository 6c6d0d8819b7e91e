//! Agents whose poll is held here. Each waits on a bell of its own; whoever enqueues a job for an agent rings it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

type Bells = HashMap<Uuid, (Arc<Notify>, usize)>;

/// The agents that wait on this replica.
#[derive(Clone, Debug)]
pub struct Waiters {
    slots: Arc<Semaphore>,
    bells: Arc<Mutex<Bells>>,
    gauge: Gauge,
}

/// One poll's place; given back when dropped.
#[derive(Debug)]
pub struct Waiter {
    agent_id: Uuid,
    bell: Arc<Notify>,
    bells: Arc<Mutex<Bells>>,
    gauge: Gauge,
    _slot: OwnedSemaphorePermit,
}

impl Waiters {
    /// Room for so many polls at one time.
    pub fn new(slots: u32, gauge: Gauge) -> Self {
        let slots = usize::try_from(slots).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self { slots: Arc::new(Semaphore::new(slots)), bells: Arc::default(), gauge }
    }

    /// A place to wait; none when all are taken, then the poll is answered at once.
    pub fn enter(&self, agent_id: Uuid) -> Option<Waiter> {
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        let bell = {
            let mut bells = lock(&self.bells);
            let (bell, waiting) = bells.entry(agent_id).or_default();
            *waiting += 1;
            bell.clone()
        };
        self.gauge.inc();
        Some(Waiter { agent_id, bell, bells: self.bells.clone(), gauge: self.gauge.clone(), _slot: slot })
    }

    /// Wakes the agent's poll, if it waits here.
    pub fn ring(&self, agent_id: Uuid) {
        if let Some((bell, _)) = lock(&self.bells).get(&agent_id) {
            bell.notify_one();
        }
    }

    /// Whether anybody waits.
    pub fn is_empty(&self) -> bool {
        lock(&self.bells).is_empty()
    }
}

impl Waiter {
    /// Returns when the bell rang; a ring before the call counts.
    pub async fn rung(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.gauge.dec();
        let mut bells = lock(&self.bells);
        if let Some((_, waiting)) = bells.get_mut(&self.agent_id) {
            *waiting -= 1;
            if *waiting == 0 {
                bells.remove(&self.agent_id);
            }
        }
    }
}

fn lock(bells: &Mutex<Bells>) -> MutexGuard<'_, Bells> {
    bells.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_ring_before_the_wait_counts() {
        let waiters = Waiters::new(2, Gauge::default());
        let agent = Uuid::now_v7();
        let waiter = waiters.enter(agent).unwrap();
        waiters.ring(agent);
        tokio::time::timeout(Duration::from_secs(1), waiter.rung()).await.expect("woken");
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let waiters = Waiters::new(1, Gauge::default());
        let first = waiters.enter(Uuid::now_v7());
        assert!(first.is_some());
        assert!(waiters.enter(Uuid::now_v7()).is_none());
        drop(first);
        assert!(waiters.is_empty());
        assert!(waiters.enter(Uuid::now_v7()).is_some());
    }
}
