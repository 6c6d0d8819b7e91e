//! Simulated agents: any number of them in one process, each with a host that is drawn from a seed, at the real API over its
//! real protocol. What a host is and how it changes follows from the seed alone; what goes wrong on the way is drawn from a
//! second one, so that two runs differ only where the machine does.

mod agent;
mod content;
mod host;

pub use agent::{Agent, Line, Packed, pack};
pub use content::Content;
pub use host::{Subject, package};

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What may go wrong with one delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The same result is sent again although it was acknowledged.
    Repeat,
    /// The answer is lost on the way, so the same result is sent again.
    LostAnswer,
    /// The agent builds on a snapshot that the server does not hold.
    StaleSnapshot,
    /// The clock jumps by more than the server takes.
    WrongClock,
}

/// How often each fault happens, in thousandths of all deliveries.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    pub repeat: u32,
    pub lost_answer: u32,
    pub stale_snapshot: u32,
    pub wrong_clock: u32,
}

impl Faults {
    /// About what a fleet on real networks shows: one delivery in fifty has something.
    pub const USUAL: Self = Self { repeat: 5, lost_answer: 5, stale_snapshot: 5, wrong_clock: 5 };

    /// What happens to the next delivery, if anything.
    pub fn draw(self, random: &mut StdRng) -> Option<Fault> {
        let mut drawn = random.random_range(0..1_000_u32);
        for (fault, share) in [
            (Fault::Repeat, self.repeat),
            (Fault::LostAnswer, self.lost_answer),
            (Fault::StaleSnapshot, self.stale_snapshot),
            (Fault::WrongClock, self.wrong_clock),
        ] {
            if drawn < share {
                return Some(fault);
            }
            drawn -= share;
        }
        None
    }
}
