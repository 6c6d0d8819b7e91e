//! Results that the server failed on while nothing else was in the request. After some tries such a result is given up: fewer if
//! the server took others meanwhile, because then it is the result; more if it took none, because then it may be the server.

use std::collections::BTreeMap;

use crate::state::spool::EntryId;

/// Tries of a result while the server takes others.
const TRIES_BESIDE_OTHERS: u32 = 4;
/// Tries of a result while the server takes none: a quarter of an hour, as the waits between them grow.
const TRIES_ALONE: u32 = 12;

/// The results under suspicion, since the agent's start.
#[derive(Debug, Default)]
pub struct Suspects {
    tried: BTreeMap<EntryId, Tried>,
}

#[derive(Debug, Default)]
struct Tried {
    times: u32,
    another_was_taken: bool,
}

impl Suspects {
    /// Counts one more failure; whether it was the last that is worth it.
    pub fn is_hopeless(&mut self, id: EntryId) -> bool {
        let tried = self.tried.entry(id).or_default();
        tried.times += 1;
        let enough = if tried.another_was_taken { TRIES_BESIDE_OTHERS } else { TRIES_ALONE };
        let is_hopeless = tried.times >= enough;
        if is_hopeless {
            self.tried.remove(&id);
        }
        is_hopeless
    }

    /// The server took this one.
    pub fn another_was_taken(&mut self, id: EntryId) {
        self.tried.remove(&id);
        self.tried.values_mut().for_each(|tried| tried.another_was_taken = true);
    }
}
