//! What one query may cost: time, rows, bytes and memory. The progress handler stops the SQL, every table stops its own reading:
//! once the budget is spent, each further read finds nothing, so a table ends by itself and the engine says why.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::memory;

/// Limits of each query.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Wall time of one query.
    pub time: Duration,
    /// Rows that the tables may produce for one query, before any filter.
    pub rows: u64,
    /// Bytes that the tables may read from files for one query.
    pub bytes: u64,
    /// Rows of the answer.
    pub answer_rows: usize,
    /// Bytes of the answer.
    pub answer_bytes: usize,
    /// Memory of SQLite, in bytes, for the whole process.
    pub heap_bytes: i64,
    /// Memory that one query may take beside SQLite's: what tables hold, and the answer. Enforced where
    /// [`CountedMemory`](crate::CountedMemory) is the program's allocator.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            time: Duration::from_secs(30),
            rows: 5_000_000,
            bytes: 8 << 30,
            answer_rows: 100_000,
            answer_bytes: 24 << 20,
            heap_bytes: 24 << 20,
            memory_bytes: 40 << 20,
        }
    }
}

/// The running account of one query.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    started: Instant,
    held_before: usize,
    rows: AtomicU64,
    bytes: AtomicU64,
    failure: Mutex<Option<Error>>,
}

impl Budget {
    pub fn new(limits: Limits) -> Self {
        Budget {
            limits,
            started: Instant::now(),
            held_before: memory::held_bytes(),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            failure: Mutex::new(None),
        }
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The time that is left.
    pub fn left(&self) -> Duration {
        self.limits.time.saturating_sub(self.started.elapsed())
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Counts one row; false means stop.
    pub fn spend_row(&self) -> bool {
        let rows = self.rows.fetch_add(1, Ordering::Relaxed) + 1;
        if rows > self.limits.rows {
            self.fail(Error::OverRows(self.limits.rows));
            return false;
        }
        self.is_open()
    }

    /// Counts bytes that were read; false means stop.
    pub fn spend_bytes(&self, count: usize) -> bool {
        let bytes = self.bytes.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
        if bytes > self.limits.bytes {
            self.fail(Error::OverBytes(self.limits.bytes));
            return false;
        }
        self.is_open()
    }

    /// Whether there is still time and memory, and nothing went wrong.
    pub fn is_open(&self) -> bool {
        if self.started.elapsed() > self.limits.time {
            self.fail(Error::OverTime(self.limits.time));
            return false;
        }
        if memory::held_bytes().saturating_sub(self.held_before) > self.limits.memory_bytes {
            self.fail(Error::OverMemory);
            return false;
        }
        !self.has_failed()
    }

    pub fn has_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Records why the query ends; the first reason stays.
    pub fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    pub fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
