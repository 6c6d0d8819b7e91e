//! Pure functions over what scans found. No IO, and no type of another crate: callers say what a number means.

#![forbid(unsafe_code)]

pub mod score;
