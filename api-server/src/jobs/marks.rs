//! What is behind and waits for a worker: each thing at most once, in memory and cheap. What a crash loses has to be found
//! again by the worker elsewhere.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

/// Marked things, and the bell that wakes their worker.
#[derive(Debug)]
pub struct Marks<T> {
    marked: Mutex<HashSet<T>>,
    bell: Notify,
}

impl<T> Default for Marks<T> {
    fn default() -> Self {
        Self { marked: Mutex::default(), bell: Notify::new() }
    }
}

impl<T: Eq + Hash> Marks<T> {
    /// It is behind.
    pub fn mark(&self, thing: T) {
        self.marked.lock().unwrap_or_else(PoisonError::into_inner).insert(thing);
        self.bell.notify_one();
    }

    /// Something may be behind that nobody marked.
    pub fn look(&self) {
        self.bell.notify_one();
    }

    /// Takes all that is marked.
    pub fn take(&self) -> HashSet<T> {
        std::mem::take(&mut self.marked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the bell and then for what comes with it, or until `limit` has passed.
    pub async fn gather(&self, together: Duration, limit: Duration) {
        tokio::select! {
            () = self.bell.notified() => tokio::time::sleep(together).await,
            () = tokio::time::sleep(limit) => {}
        }
    }
}
