//! Limits on how often something may be tried: token buckets in memory, one for each key.
//!
//! In memory and for each replica on purpose: a limit must not cost a database round trip on the very path it protects.
//! With n replicas a caller gets at most n times the limit.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Keys remembered at most; beyond it the full buckets are forgotten, and if none is full, all are.
const MAX_KEYS: usize = 50_000;

/// How long the caller has to wait, and what the limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The burst that is allowed.
    pub limit: u32,
    /// Whole seconds until the next try can succeed.
    pub retry_after_seconds: u64,
}

impl Refused {
    /// Writes `Retry-After` and the `RateLimit-*` headers.
    pub fn write_headers(self, headers: &mut HeaderMap) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_seconds));
        headers.insert(HeaderName::from_static("ratelimit-limit"), HeaderValue::from(self.limit));
        headers.insert(HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(0));
        headers.insert(HeaderName::from_static("ratelimit-reset"), HeaderValue::from(self.retry_after_seconds));
    }
}

/// Buckets of one kind of try.
#[derive(Debug)]
pub struct Limiter<K> {
    burst: u32,
    refill: Duration,
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// The time at which the bucket is full again; the distance from now says how much is missing (GCRA).
    full_at: Instant,
}

impl<K: Eq + Hash> Limiter<K> {
    /// Allows `burst` tries at once and one more every `refill`.
    pub fn new(burst: u32, refill: Duration) -> Self {
        Self { burst: burst.max(1), refill, buckets: Mutex::new(HashMap::new()) }
    }

    /// Allows so many tries a minute, and as many at once.
    pub fn per_minute(tries: u32) -> Self {
        Self::new(tries, Duration::from_mins(1) / tries.max(1))
    }

    /// Takes one try from the key's bucket.
    ///
    /// # Errors
    /// The bucket is empty; says for how long.
    pub fn take(&self, key: K) -> Result<(), Refused> {
        self.take_at(key, Instant::now())
    }

    fn take_at(&self, key: K, now: Instant) -> Result<(), Refused> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_KEYS {
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= MAX_KEYS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { full_at: now });
        let full_at = bucket.full_at.max(now) + self.refill;
        let allowed_until = now + self.refill * self.burst;
        if full_at > allowed_until {
            let wait = full_at - allowed_until;
            let retry_after_seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            return Err(Refused { limit: self.burst, retry_after_seconds: retry_after_seconds.max(1) });
        }
        bucket.full_at = full_at;
        Ok(())
    }

    /// Forgets what the key has used, after a try that proved the caller.
    pub fn forget(&self, key: &K) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_then_one_each_refill() {
        let limiter = Limiter::new(3, Duration::from_secs(10));
        let start = Instant::now();
        for _ in 0..3 {
            assert_eq!(limiter.take_at("a", start), Ok(()));
        }
        assert_eq!(limiter.take_at("a", start), Err(Refused { limit: 3, retry_after_seconds: 10 }));
        assert_eq!(limiter.take_at("b", start), Ok(()), "another key has its own bucket");
        assert_eq!(limiter.take_at("a", start + Duration::from_secs(10)), Ok(()));
        assert!(limiter.take_at("a", start + Duration::from_secs(10)).is_err());
    }

    #[test]
    fn a_proven_caller_starts_anew() {
        let limiter = Limiter::new(1, Duration::from_secs(10));
        assert!(limiter.take("a").is_ok());
        limiter.forget(&"a");
        assert!(limiter.take("a").is_ok());
    }
}
