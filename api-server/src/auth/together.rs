//! One look-up for many requests. Whoever asks while look-ups are under way waits for the next one, which asks for all who
//! wait at once and begins after they came: nobody is let in by what held before their own request, and nothing is kept. A
//! request that comes alone is asked for at once, by itself.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Look-ups under way, each with a connection: one that hangs does not hold up all others.
const AT_ONCE: usize = 2;
/// Requests in one look-up.
const TOGETHER: usize = 100;

/// Those who wait, no more than there are requests, and the look-ups under way.
#[derive(Debug)]
pub struct Together<K, V>(Arc<Mutex<State<K, V>>>);

#[derive(Debug)]
struct State<K, V> {
    running: usize,
    waiting: VecDeque<Waiting<K, V>>,
}

#[derive(Debug)]
struct Waiting<K, V> {
    key: K,
    sender: oneshot::Sender<V>,
}

impl<K, V> Default for Together<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { running: 0, waiting: VecDeque::new() })))
    }
}

impl<K, V> Together<K, V>
where
    K: Copy + Send + 'static,
    V: Send + 'static,
{
    /// What a look-up that begins now or later says of `key`; none if it failed. `look_up` gives one value for each key, in
    /// their order, and is called unless a look-up of somebody else will take this key along.
    pub async fn ask<L, F>(&self, key: K, look_up: L) -> Option<V>
    where
        L: FnMut(Vec<K>) -> F + Send + 'static,
        F: Future<Output = Option<Vec<V>>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let begins = {
            let mut state = lock(&self.0);
            state.waiting.push_back(Waiting { key, sender });
            let begins = state.running < AT_ONCE;
            state.running += usize::from(begins);
            begins
        };
        if begins {
            let turns = Turns { state: Arc::clone(&self.0), is_over: false };
            // Its own task: whoever began it may leave while others wait.
            tokio::spawn(turns.run(look_up));
        }
        receiver.await.ok()
    }
}

/// Look-ups one after the other, as long as somebody waits.
struct Turns<K, V> {
    state: Arc<Mutex<State<K, V>>>,
    is_over: bool,
}

impl<K: Copy, V> Turns<K, V> {
    async fn run<L, F>(mut self, mut look_up: L)
    where
        L: FnMut(Vec<K>) -> F,
        F: Future<Output = Option<Vec<V>>>,
    {
        loop {
            let asking = self.next();
            if asking.is_empty() {
                return;
            }
            let values = look_up(asking.iter().map(|one| one.key).collect()).await;
            for (one, value) in asking.into_iter().zip(values.into_iter().flatten()) {
                // Whoever has left needs no answer.
                let _ = one.sender.send(value);
            }
        }
    }

    /// Those to be asked for now; none at the end.
    fn next(&mut self) -> Vec<Waiting<K, V>> {
        let mut state = lock(&self.state);
        state.waiting.retain(|one| !one.sender.is_closed());
        let count = state.waiting.len().min(TOGETHER);
        let asking: Vec<_> = state.waiting.drain(..count).collect();
        if asking.is_empty() {
            state.running -= 1;
            self.is_over = true;
        }
        asking
    }
}

impl<K, V> Drop for Turns<K, V> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        // It panicked or the program ends. Those who still wait are told so and ask by themselves.
        let mut state = lock(&self.state);
        state.running -= 1;
        state.waiting.clear();
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use tokio::{
        task::JoinSet,
        time::{sleep, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn each_gets_its_own_answer_begun_after_it_asked_and_few_are_begun() {
        let (together, clock, begun) =
            (Arc::new(Together::default()), Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..300_u32 {
            let (together, clock, begun) = (Arc::clone(&together), Arc::clone(&clock), Arc::clone(&begun));
            tasks.spawn(async move {
                sleep(Duration::from_millis(u64::from(number / 3))).await;
                let asked = clock.fetch_add(1, Ordering::SeqCst);
                let look_up = move |keys: Vec<u32>| {
                    let (clock, begun) = (Arc::clone(&clock), Arc::clone(&begun));
                    async move {
                        let at = clock.fetch_add(1, Ordering::SeqCst);
                        begun.fetch_add(1, Ordering::SeqCst);
                        assert!(keys.len() <= TOGETHER);
                        sleep(Duration::from_millis(20)).await;
                        Some(keys.into_iter().map(|key| (key, at)).collect::<Vec<_>>())
                    }
                };
                let (answered, at) = together.ask(number, look_up).await.unwrap();
                assert_eq!(answered, number);
                assert!(at > asked, "asked at {asked}, answered with what began at {at}");
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        let begun = begun.load(Ordering::SeqCst);
        assert!((2..=60).contains(&begun), "{begun} look-ups");
        assert_eq!(lock(&together.0).running, 0);
    }

    #[tokio::test]
    async fn a_look_up_that_hangs_holds_up_only_those_it_asked_for() {
        let together = Arc::new(Together::<u32, u32>::default());
        let stuck = Arc::clone(&together);
        let stuck = tokio::spawn(async move { stuck.ask(1, |_| std::future::pending()).await });
        sleep(Duration::from_millis(20)).await;
        let answer = together.ask(2, |keys| async move { Some(keys) });
        assert_eq!(timeout(Duration::from_secs(5), answer).await.unwrap(), Some(2));
        assert!(!stuck.is_finished());
        stuck.abort();
    }

    #[tokio::test]
    async fn a_failure_and_a_panic_are_told_and_the_next_are_served() {
        let together = Together::<u32, u32>::default();
        assert_eq!(together.ask(1, |_| async { None }).await, None);
        for _ in 0..2 * AT_ONCE {
            let panics = |keys: Vec<u32>| async move {
                assert!(keys.is_empty(), "a look-up panics");
                Some(keys)
            };
            assert_eq!(together.ask(1, panics).await, None);
        }
        assert_eq!(together.ask(7, |keys| async move { Some(keys) }).await, Some(7));
    }
}
