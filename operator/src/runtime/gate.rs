//! The breaker of one outside system. It opens after a few calls in a row that got no answer at all, whichever tenant
//! they were for, and then refuses at once, so that a dead system costs neither time nor connections. A probe of its own
//! closes it again. What fails for one tenant only is not its business: that backs off in the tenant's lane.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Calls in a row without an answer that open the breaker.
const THRESHOLD: u32 = 3;

/// The systems outside this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum System {
    /// The API server.
    Kubernetes,
    /// The database.
    Postgres,
    /// OpenBao or Vault.
    OpenBao,
}

impl System {
    /// Every system.
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::Postgres, Self::OpenBao];

    /// The name in metrics, reasons and the annotation that releases from it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Postgres => "postgres",
            Self::OpenBao => "openbao",
        }
    }

    /// How long one piece of work for one tenant may take there: a handful of calls, or one transaction.
    pub const fn limit(self) -> Duration {
        match self {
            Self::Kubernetes => Duration::from_secs(6),
            // A whole tenant schema in one transaction, on a busy machine.
            Self::Postgres => Duration::from_secs(8),
            Self::OpenBao => Duration::from_secs(5),
        }
    }
}

/// Concurrency and breaker of one system.
#[derive(Debug)]
pub struct Gate {
    slots: Semaphore,
    silent: Mutex<u32>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A closed breaker that lets `concurrency` pieces of work run at once.
    pub fn new(concurrency: usize) -> Self {
        Self { slots: Semaphore::new(concurrency), silent: Mutex::new(0), open: watch::Sender::new(false) }
    }

    /// A slot, when there is one; `None` while the breaker is open.
    pub async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        if self.is_open() {
            return None;
        }
        let mut open = self.open.subscribe();
        // Whoever waits for a slot when the breaker opens is let go at once.
        tokio::select! {
            slot = self.slots.acquire() => slot.ok(),
            _ = open.wait_for(|open| *open) => None,
        }
    }

    /// Whether calls are refused.
    pub fn is_open(&self) -> bool {
        *self.open.borrow()
    }

    /// Waits until calls are refused.
    pub async fn opened(&self) {
        let mut open = self.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
    }

    /// A call was answered, well or badly.
    pub fn answered(&self) {
        *self.silent.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        self.open.send_if_modified(std::mem::take);
    }

    /// A call got no answer.
    pub fn unanswered(&self) {
        let mut silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        *silent = silent.saturating_add(1);
        if *silent >= THRESHOLD {
            self.open.send_if_modified(|open| !std::mem::replace(open, true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn three_silent_calls_open_it_and_an_answer_closes_it() {
        let gate = Gate::new(1);
        gate.unanswered();
        gate.unanswered();
        assert!(gate.enter().await.is_some());
        gate.answered();
        for _ in 0..3 {
            gate.unanswered();
        }
        assert!(gate.enter().await.is_none());
        gate.answered();
        assert!(gate.enter().await.is_some());
    }

    #[tokio::test]
    async fn who_waits_for_a_slot_is_let_go_when_it_opens() {
        let gate = std::sync::Arc::new(Gate::new(1));
        let _held = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await.is_none() }
        });
        tokio::task::yield_now().await;
        for _ in 0..3 {
            gate.unanswered();
        }
        assert!(waiting.await.unwrap());
    }
}
