//! Sequence numbers of signed requests. They are reserved on disk in blocks before the first of a block is used, so that a
//! restart continues after every number that may have been sent and none is ever used twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Error, StateDir};

const FILE: &str = "sequence.json";
/// Numbers reserved by one write. A restart leaves at most this many unused, far below the server's window of 1,024.
const BLOCK: u64 = 256;

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    reserved_until: u64,
}

/// The source of sequence numbers.
#[derive(Debug)]
pub struct Sequence {
    state: Arc<StateDir>,
    next: u64,
    reserved_until: u64,
}

impl Sequence {
    /// Starts at the number that the server gave at enrolment.
    pub fn begin(state: Arc<StateDir>, first: u64) -> Result<Self, Error> {
        let mut sequence = Sequence { state, next: first, reserved_until: first };
        sequence.reserve()?;
        Ok(sequence)
    }

    /// Continues after a restart; `None` if there was no enrolment.
    pub fn resume(state: Arc<StateDir>) -> Result<Option<Self>, Error> {
        let Some(bytes) = state.read(FILE)? else { return Ok(None) };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| Error::Damaged {
            path: state.path().join(FILE),
            reason: error.to_string(),
            advice: "remove the state folder to enrol anew",
        })?;
        let next = stored.reserved_until;
        Ok(Some(Sequence { state, next, reserved_until: next }))
    }

    /// The next number, never given before.
    pub fn take(&mut self) -> Result<u64, Error> {
        let left = self.reserved_until - self.next;
        if left <= BLOCK / 2 {
            // Early, so that a full disk has half a block of attempts to pass.
            let reserved = self.reserve();
            if left == 0 {
                reserved?;
            }
        }
        let number = self.next;
        self.next += 1;
        Ok(number)
    }

    /// Leaves numbers out, when the server has seen later ones than this state knows (a restored backup).
    pub fn skip(&mut self, count: u64) -> Result<(), Error> {
        self.next = self.next.saturating_add(count);
        self.reserved_until = self.reserved_until.max(self.next);
        self.reserve()
    }

    fn reserve(&mut self) -> Result<(), Error> {
        let reserved_until = self.next.saturating_add(BLOCK);
        let path = self.state.path().join(FILE);
        let bytes = serde_json::to_vec(&Stored { reserved_until })
            .map_err(|error| Error::Write { path, source: error.into() })?;
        self.state.write(FILE, &bytes)?;
        self.reserved_until = reserved_until;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_is_given_twice_over_restarts_at_any_moment() {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDir::open(folder.path()).unwrap());
        let mut seen = HashSet::new();
        let mut last = 0;
        drop(Sequence::begin(Arc::clone(&state), 1_000).unwrap());
        for uses in [0, 1, 7, 127, 128, 129, 255, 256, 257, 700] {
            let mut sequence = Sequence::resume(Arc::clone(&state)).unwrap().unwrap();
            for _ in 0..uses {
                let number = sequence.take().unwrap();
                assert!(seen.insert(number), "{number} was given twice");
                assert!(number > last);
                last = number;
            }
        }
    }

    #[test]
    fn a_restart_leaves_fewer_numbers_out_than_the_server_tolerates() {
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(StateDir::open(folder.path()).unwrap());
        let last = Sequence::begin(Arc::clone(&state), 5).unwrap().take().unwrap();
        let next = Sequence::resume(state).unwrap().unwrap().take().unwrap();
        assert!(next - last <= BLOCK);
    }
}
