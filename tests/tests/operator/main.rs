//! The operator on a real control plane, Postgres and OpenBao. It runs as the process that users run, so that a crash is a
//! crash and a lost lease is a process that ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod audit;
mod drift;
mod faults;
mod foreign;
mod nodes;
mod noop;
mod offboarding;
mod purge;
mod replicas;
mod satellites;
mod stage;
mod starts;
