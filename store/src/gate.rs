//! Who takes a connection next. A pool serves those who wait in the order in which they came, so a tenant with ten times the
//! load of the others would make them wait behind ten of its own; here a connection that becomes free goes to whoever of
//! those who wait holds the fewest, and in turn among equals.
//!
//! No tenant holds more than three quarters of what tenants may hold together, so that another finds one free; and a few are
//! kept for the platform, because some hold a tenant's transaction while they open the platform's.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::timeout;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Connections that only the platform's transactions take.
const KEPT_FOR_PLATFORM: usize = 2;

/// For whom a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    /// The schema `shared`.
    Platform,
    /// A tenant's schema.
    Tenant(Uuid),
}

/// Hands out as many permits as there are connections.
#[derive(Debug)]
pub(crate) struct Gate {
    state: Mutex<State>,
    /// What all tenants may hold together.
    for_tenants: usize,
    /// What one tenant may hold.
    for_one: usize,
    limit: Duration,
}

#[derive(Debug)]
struct State {
    free: usize,
    held: HashMap<Party, usize>,
    by_tenants: usize,
    waiting: HashMap<Party, VecDeque<Sender<Permit>>>,
    /// Those who wait, each once, in turn.
    turns: VecDeque<Party>,
}

/// Leave to use one connection, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    /// None once it is given up.
    gate: Option<Arc<Gate>>,
    party: Party,
}

impl Gate {
    /// A gate for a pool of `connections`, of which `elsewhere` are taken for good. Nobody waits longer than `limit`.
    pub(crate) fn new(connections: usize, elsewhere: usize, limit: Duration) -> Arc<Self> {
        let free = connections.saturating_sub(elsewhere).max(1);
        let for_tenants = free.saturating_sub(KEPT_FOR_PLATFORM).max(1);
        let state =
            State { free, held: HashMap::new(), by_tenants: 0, waiting: HashMap::new(), turns: VecDeque::new() };
        Arc::new(Self { state: Mutex::new(state), for_tenants, for_one: (for_tenants * 3).div_ceil(4), limit })
    }

    /// Waits for a permit; [`Error::TimedOut`] after the gate's limit.
    pub(crate) async fn enter(self: &Arc<Self>, party: Party) -> Result<Permit> {
        let receiver = match self.enter_or_wait(party) {
            Ok(permit) => return Ok(permit),
            Err(receiver) => receiver,
        };
        let timed_out = || Error::TimedOut { what: "waiting for a connection", seconds: self.limit.as_secs() };
        timeout(self.limit, receiver).await.map_err(|_| timed_out())?.map_err(|_| timed_out())
    }

    fn enter_or_wait(self: &Arc<Self>, party: Party) -> Result<Permit, Receiver<Permit>> {
        let mut state = self.lock();
        if !state.waiting.contains_key(&party) && self.admits(&state, party) {
            state.take(party);
            drop(state);
            return Ok(Permit { gate: Some(Arc::clone(self)), party });
        }
        let (sender, receiver) = channel();
        if !state.waiting.contains_key(&party) {
            state.turns.push_back(party);
        }
        state.waiting.entry(party).or_default().push_back(sender);
        Err(receiver)
    }

    fn admits(&self, state: &State, party: Party) -> bool {
        let held = state.held.get(&party).copied().unwrap_or_default();
        let within = match party {
            Party::Platform => true,
            Party::Tenant(_) => state.by_tenants < self.for_tenants && held < self.for_one,
        };
        state.free > 0 && within
    }

    /// The next of those who wait, with its permit taken.
    fn next(&self, state: &mut State) -> Option<(Party, Sender<Permit>)> {
        loop {
            let admitted = state.turns.iter().enumerate().filter(|(_, party)| self.admits(state, **party));
            let fewest = admitted.min_by_key(|(_, party)| state.held.get(party).copied().unwrap_or_default());
            let (place, party) = fewest.map(|(place, party)| (place, *party))?;
            state.turns.remove(place);
            let queue = state.waiting.get_mut(&party)?;
            let sender = std::iter::from_fn(|| queue.pop_front()).find(|sender| !sender.is_closed());
            if queue.is_empty() {
                state.waiting.remove(&party);
            } else {
                state.turns.push_back(party);
            }
            if let Some(sender) = sender {
                state.take(party);
                return Some((party, sender));
            }
        }
    }

    fn leave(self: &Arc<Self>, party: Party) {
        let mut leaving = Some(party);
        loop {
            let next = {
                let mut state = self.lock();
                if let Some(party) = leaving.take() {
                    state.give_back(party);
                }
                self.next(&mut state)
            };
            let Some((party, sender)) = next else { return };
            // Whoever waited may have left in between: then the permit goes to the next here, not by another drop.
            if let Err(mut permit) = sender.send(Permit { gate: Some(Arc::clone(self)), party }) {
                permit.gate = None;
                leaving = Some(party);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, party: Party) {
        self.free -= 1;
        *self.held.entry(party).or_default() += 1;
        self.by_tenants += usize::from(party != Party::Platform);
    }

    fn give_back(&mut self, party: Party) {
        self.free += 1;
        self.by_tenants -= usize::from(party != Party::Platform);
        if let Some(held) = self.held.get_mut(&party) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&party);
            }
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.leave(self.party);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    fn gate(connections: usize) -> Arc<Gate> {
        Gate::new(connections, 0, Duration::from_millis(200))
    }

    fn tenant(number: u128) -> Party {
        Party::Tenant(Uuid::from_u128(number))
    }

    #[tokio::test]
    async fn one_tenant_leaves_something_for_others_and_all_leave_something_for_the_platform() {
        let gate = gate(10);
        let mut held = Vec::new();
        while let Some(permit) = gate.enter(tenant(1)).now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), 6);
        while let Some(permit) = gate.enter(tenant(held.len() as u128)).now_or_never() {
            held.push(permit.unwrap());
        }
        assert_eq!(held.len(), 8);
        held.push(gate.enter(Party::Platform).await.unwrap());
        held.push(gate.enter(Party::Platform).await.unwrap());
        assert!(matches!(gate.enter(Party::Platform).await, Err(Error::TimedOut { .. })));
    }

    #[tokio::test]
    async fn who_holds_the_fewest_is_next_whoever_came_first() {
        let gate = gate(5);
        let (first, second) = (gate.enter(tenant(1)).await.unwrap(), gate.enter(tenant(1)).await.unwrap());
        let third = gate.enter(tenant(2)).await.unwrap();
        let mut waiting: Vec<_> = [1, 1, 1, 3].map(|number| Box::pin(gate.enter(tenant(number)))).into();
        for one in &mut waiting {
            assert!(one.now_or_never().is_none());
        }
        drop(first);
        let served = waiting.pop().unwrap().now_or_never().unwrap().unwrap();
        assert!(waiting.iter_mut().all(|one| one.now_or_never().is_none()));
        drop((second, third, served));
        let served: Vec<_> = waiting.into_iter().filter_map(|mut one| (&mut one).now_or_never()).collect();
        assert_eq!(served.len(), 3);
    }

    #[tokio::test]
    async fn nothing_is_lost_with_those_who_stop_waiting() {
        let gate = gate(1);
        for round in 0..50 {
            let held = gate.enter(tenant(1)).await.unwrap();
            let mut gone = Box::pin(gate.enter(tenant(2)));
            assert!((&mut gone).now_or_never().is_none());
            if round % 2 == 0 {
                drop(gone);
                drop(held);
            } else {
                drop(held);
                drop(gone);
            }
        }
        assert!(gate.enter(tenant(3)).now_or_never().is_some());
        let state = gate.lock();
        assert_eq!(
            (state.free, state.by_tenants, state.held.len(), state.waiting.len(), state.turns.len()),
            (1, 0, 0, 0, 0)
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_thousand_at_once_are_all_served_and_never_too_many_together() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (gate, inside) = (Gate::new(7, 0, Duration::from_secs(20)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..1_000_u128 {
            let (gate, inside) = (Arc::clone(&gate), Arc::clone(&inside));
            tasks.spawn(async move {
                let permit = gate.enter(tenant(number % 13)).await.unwrap();
                assert!(inside.fetch_add(1, Ordering::SeqCst) < 5);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                drop(permit);
            });
        }
        assert_eq!(tasks.join_all().await.len(), 1_000);
    }
}
