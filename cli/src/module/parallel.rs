//! The same work on many modules, on every core.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{panic, thread};

/// Threads at most: each holds an engine.
const MAX_THREADS: usize = 16;

/// What `work` makes of each item, in their order. `progress` hears how many are done; it is called by one thread at a time.
pub fn map<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync, progress: impl FnMut(usize) + Send) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS).min(items.len().max(1));
    let next = AtomicUsize::new(0);
    let progress = Mutex::new((progress, 0));
    let mut made: Vec<(usize, R)> = thread::scope(|scope| {
        let run = || {
            let mut own = Vec::new();
            while let Some((index, item)) = take(&next, items) {
                own.push((index, work(item)));
                let mut guard = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let (tell, done) = &mut *guard;
                *done += 1;
                tell(*done);
            }
            own
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|payload| panic::resume_unwind(payload)))
            .collect()
    });
    made.sort_by_key(|(index, _)| *index);
    made.into_iter().map(|(_, result)| result).collect()
}

fn take<'a, T>(next: &AtomicUsize, items: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

#[cfg(test)]
mod tests {
    use super::map;

    #[test]
    fn results_keep_the_order_of_their_items() {
        let items: Vec<u32> = (0..1_000).collect();
        let mut told = 0;
        let doubled = map(&items, |item| item * 2, |done| told = done);
        assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(told, 1_000);
        assert_eq!(map(&[] as &[u32], |item| *item, |_| {}), Vec::<u32>::new());
    }
}
