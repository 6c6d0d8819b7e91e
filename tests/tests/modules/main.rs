//! The catalog's lifecycle as a person drives it: imports of other engines' files, tests, gates, promotion, comparison.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod imports;
mod lifecycle;
mod program;
mod scap;
