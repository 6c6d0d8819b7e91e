//! What tests that cross crates share. The tests themselves are the targets in `tests/`.

pub mod aftermath;
pub mod crossing;
pub mod harness;
