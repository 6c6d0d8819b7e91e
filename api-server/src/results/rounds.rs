//! One read for many who ask at once. Whoever asks while a read is under way waits for the next one, together with all others
//! who do: each gets an answer that was begun after they asked, so nobody sees what is older than their own request, and a
//! tenant's dashboards cost one read at a time, however many people look.

use std::{
    collections::HashMap,
    future::Future,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};

/// Keys above which those that nobody reads any more are forgotten.
const REMEMBERED: usize = 64;

/// Reads by what is read: a tenant, and what else the answer depends on. `V` is cheap to clone. A read has to end by itself,
/// also where nobody answers it: those who ask next wait for its end.
pub struct Rounds<K, V: Clone> {
    latest: Mutex<HashMap<K, Round<V>>>,
}

/// The read that began last, or has not begun yet. Only those who wait for it keep it alive.
struct Round<V: Clone> {
    read: WeakShared<BoxFuture<'static, V>>,
    has_begun: Arc<AtomicBool>,
}

impl<K, V: Clone> Default for Rounds<K, V> {
    fn default() -> Self {
        Self { latest: Mutex::default() }
    }
}

impl<K, V: Clone> std::fmt::Debug for Rounds<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rounds").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V: Clone + Send + Sync + 'static> Rounds<K, V> {
    /// The outcome of a read of this key that begins now or later; `read` is called unless another's will do.
    pub async fn join<F>(&self, key: K, read: impl FnOnce() -> F) -> V
    where
        F: Future<Output = V> + Send + 'static,
    {
        self.enter(key, read).await
    }

    fn enter<F>(&self, key: K, read: impl FnOnce() -> F) -> Shared<BoxFuture<'static, V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let before = latest.get(&key).and_then(|round| Some((round.read.upgrade()?, &round.has_begun)));
        if let Some((next, has_begun)) = &before
            && !has_begun.load(Ordering::SeqCst)
        {
            return next.clone();
        }
        let before = before.map(|(running, _)| running);
        let (has_begun, read) = (Arc::new(AtomicBool::new(false)), read());
        let begins = Arc::clone(&has_begun);
        let round = async move {
            if let Some(running) = before {
                running.await;
            }
            begins.store(true, Ordering::SeqCst);
            read.await
        };
        let round = round.boxed().shared();
        if latest.len() >= REMEMBERED {
            latest.retain(|_, round| round.read.upgrade().is_some());
        }
        if let Some(read) = round.downgrade() {
            latest.insert(key, Round { read, has_begun });
        }
        round
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU32, time::Duration};

    use tokio::{
        task::JoinSet,
        time::{sleep, timeout},
    };
    use uuid::Uuid;

    use super::*;
    use crate::{
        attempt::{Missed, for_many},
        error::Result,
    };

    #[tokio::test]
    async fn whoever_asks_gets_an_answer_begun_after_they_asked_and_few_are_begun() {
        let (rounds, clock, reads) =
            (Arc::new(Rounds::default()), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..200_u64 {
            let (rounds, clock, reads) = (Arc::clone(&rounds), Arc::clone(&clock), Arc::clone(&reads));
            tasks.spawn(async move {
                sleep(Duration::from_millis(number / 2)).await;
                let asked = clock.fetch_add(1, Ordering::SeqCst);
                let begun = rounds
                    .join(Uuid::nil(), || async move {
                        let begun = clock.fetch_add(1, Ordering::SeqCst);
                        reads.fetch_add(1, Ordering::SeqCst);
                        sleep(Duration::from_millis(20)).await;
                        begun
                    })
                    .await;
                assert!(begun > asked, "asked at {asked}, answered with what began at {begun}");
            });
        }
        tasks.join_all().await;
        let reads = reads.load(Ordering::SeqCst);
        assert!((2..=30).contains(&reads), "{reads}");
    }

    #[tokio::test]
    async fn a_read_that_everybody_left_is_given_up_and_does_not_hold_up_the_next() {
        let rounds = Rounds::default();
        let never = rounds.join(Uuid::nil(), std::future::pending::<u32>);
        assert!(timeout(Duration::from_millis(20), never).await.is_err());
        assert_eq!(rounds.join(Uuid::nil(), || async { 7 }).await, 7);
        let elsewhere = rounds.join(Uuid::max(), || async { 8 }).await;
        assert_eq!(elsewhere, 8);
    }

    #[tokio::test]
    async fn a_read_that_hangs_ends_with_its_limit_however_many_go_on_asking() {
        let rounds = Arc::new(Rounds::default());
        let hangs = || for_many("a test", Duration::from_millis(100), std::future::pending::<Result<u32>>());
        let hung = tokio::spawn(rounds.enter(Uuid::nil(), hangs));
        let mut asking = JoinSet::new();
        for _ in 0..30 {
            let rounds = Arc::clone(&rounds);
            asking.spawn(async move {
                let answer = rounds.join(Uuid::nil(), || async { Ok(7) });
                timeout(Duration::from_secs(10), answer).await
            });
            // Somebody waits at any time.
            sleep(Duration::from_millis(10)).await;
        }
        for answer in asking.join_all().await {
            assert_eq!(answer.unwrap(), Ok(7));
        }
        assert_eq!(hung.await.unwrap(), Err(Missed::Away));
    }

    #[tokio::test]
    async fn who_leaves_does_not_stop_the_read_for_the_others() {
        let rounds = Arc::new(Rounds::default());
        let read = || async {
            sleep(Duration::from_millis(40)).await;
            7
        };
        let impatient = rounds.enter(Uuid::nil(), read);
        let patient = rounds.enter(Uuid::nil(), read);
        let left = tokio::spawn(timeout(Duration::from_millis(10), impatient));
        assert_eq!(patient.await, 7);
        assert!(left.await.unwrap().is_err());
    }
}
