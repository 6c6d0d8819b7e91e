//! What wants a pass: a set of names, not a queue. Naming a tenant twice before its pass starts costs nothing, so the set
//! never holds more than there are tenants, and a standby that nobody drains does not grow.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

/// The set, shared by all who name and the one who drains.
#[derive(Debug, Clone, Default)]
pub struct Triggers {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    names: Mutex<HashSet<String>>,
    changed: Notify,
}

impl Triggers {
    /// Asks for a pass over `name`.
    pub fn push(&self, name: &str) {
        let fresh = self.inner.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        if fresh {
            self.inner.changed.notify_one();
        }
    }

    fn pop(&self) -> Option<String> {
        let mut names = self.inner.names.lock().unwrap_or_else(PoisonError::into_inner);
        let name = names.iter().next().cloned()?;
        names.remove(&name);
        Some(name)
    }

    /// The names as they come, for ever.
    pub fn stream(&self) -> impl Stream<Item = String> + Send + use<> {
        futures::stream::unfold(self.clone(), |triggers| async move {
            loop {
                // Registered before looking, so that a name pushed in between is not missed.
                let changed = triggers.inner.changed.notified();
                if let Some(name) = triggers.pop() {
                    return Some((name, triggers.clone()));
                }
                changed.await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn a_name_pushed_twice_comes_once() {
        let triggers = Triggers::default();
        triggers.push("a");
        triggers.push("a");
        triggers.push("b");
        let mut seen: Vec<String> = triggers.stream().take(2).collect().await;
        seen.sort();
        assert_eq!(seen, ["a", "b"]);
        assert!(triggers.pop().is_none());
    }
}
