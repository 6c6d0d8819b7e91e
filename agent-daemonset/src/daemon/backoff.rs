//! When to try the server again: twice as long after each failure, never all agents at one moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// Where a person has to act first.
const LONG: Duration = Duration::from_mins(15);

/// The waiting time between attempts.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure, but no shorter than the server asked.
    pub fn next(&mut self, at_least: Option<Duration>) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        jittered(longest).max(at_least.map_or(Duration::ZERO, |least| least + jittered(FIRST)))
    }

    /// How long to wait where a person has to act first.
    pub fn long(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        jittered(LONG)
    }
}

/// Between half of `longest` and all of it.
pub fn jittered(longest: Duration) -> Duration {
    longest.mul_f64(rand::random_range(0.5..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..40).map(|_| backoff.next(None)).collect();
        assert!(waits[0] <= FIRST && waits[5] > FIRST * 15);
        assert!(waits.iter().all(|wait| *wait <= LONGEST) && waits[39] >= LONGEST / 2);
        backoff.reset();
        assert!(backoff.next(None) <= FIRST);
    }

    #[test]
    fn the_server_is_not_asked_before_it_wants_to_be() {
        assert!(Backoff::default().next(Some(Duration::from_secs(30))) >= Duration::from_secs(30));
    }
}
