//! One look-up for many requests. Whoever asks while look-ups are under way waits for the next one, which asks for all who
//! wait at once and begins after they came: nobody is let in by what held before their own request, and nothing is kept. A
//! request that comes alone is asked for at once, by itself. The same asked for by many takes one place among them.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Look-ups under way, each with a connection: one that hangs does not hold up all others.
const AT_ONCE: usize = 2;
/// Keys in one look-up.
const TOGETHER: usize = 100;

/// Those who wait, no more than there are requests, and the look-ups under way.
#[derive(Debug)]
pub struct Together<K, V>(Arc<Mutex<State<K, V>>>);

#[derive(Debug)]
struct State<K, V> {
    running: usize,
    /// What is waited for, in turn.
    turns: VecDeque<K>,
    /// Who waits for it: the same keys.
    waiting: HashMap<K, Vec<oneshot::Sender<V>>>,
}

/// Those who wait for the same.
struct Waiting<K, V> {
    key: K,
    senders: Vec<oneshot::Sender<V>>,
}

impl<K, V> Default for Together<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { running: 0, turns: VecDeque::new(), waiting: HashMap::new() })))
    }
}

impl<K, V> Together<K, V>
where
    K: Eq + Hash + Copy + Send + 'static,
    V: Clone + Send + 'static,
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
            let State { running, turns, waiting } = &mut *state;
            match waiting.entry(key) {
                Entry::Occupied(mut known) => known.get_mut().push(sender),
                Entry::Vacant(new) => {
                    turns.push_back(key);
                    new.insert(vec![sender]);
                }
            }
            let begins = *running < AT_ONCE;
            *running += usize::from(begins);
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

impl<K: Eq + Hash + Copy, V: Clone> Turns<K, V> {
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
                for sender in one.senders {
                    // Whoever has left needs no answer.
                    let _ = sender.send(value.clone());
                }
            }
        }
    }

    /// Those to be asked for now; none at the end.
    fn next(&mut self) -> Vec<Waiting<K, V>> {
        let mut state = lock(&self.state);
        let State { running, turns, waiting } = &mut *state;
        waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        turns.retain(|key| waiting.contains_key(key));
        let mut asking = Vec::new();
        for key in turns.drain(..turns.len().min(TOGETHER)) {
            asking.extend(waiting.remove(&key).map(|senders| Waiting { key, senders }));
        }
        if asking.is_empty() {
            *running -= 1;
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
        state.turns.clear();
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
        sync::Semaphore,
        task::{JoinSet, yield_now},
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
    async fn the_same_asked_for_often_takes_one_place_and_all_who_asked_are_answered() {
        let together = Arc::new(Together::<u32, u32>::default());
        let (leave, begun) = (Arc::new(Semaphore::new(0)), Arc::new(Mutex::new(Vec::new())));
        let ask = |key: u32| {
            let (together, leave, begun) = (Arc::clone(&together), Arc::clone(&leave), Arc::clone(&begun));
            let look_up = move |keys: Vec<u32>| {
                lock(&begun).push(keys.clone());
                let leave = Arc::clone(&leave);
                async move {
                    let _leave = leave.acquire().await.ok()?;
                    Some(keys)
                }
            };
            async move { together.ask(key, look_up).await }
        };
        let mut tasks = JoinSet::new();
        // All that may run hang.
        for (number, key) in [8, 9].into_iter().enumerate() {
            tasks.spawn(ask(key));
            while lock(&begun).len() <= number {
                yield_now().await;
            }
        }
        for _ in 0..300 {
            tasks.spawn(ask(1));
        }
        tasks.spawn(ask(2));
        while lock(&together.0).waiting.values().map(Vec::len).sum::<usize>() < 301 {
            yield_now().await;
        }
        leave.add_permits(AT_ONCE);
        let mut answers = tasks.join_all().await;
        answers.sort_unstable();
        assert_eq!(answers[..300], [Some(1); 300]);
        assert_eq!(answers[300..], [Some(2), Some(8), Some(9)]);
        assert_eq!(*lock(&begun), [vec![8], vec![9], vec![1, 2]]);
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
