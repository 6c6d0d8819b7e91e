//! The store on a real Postgres: isolation, transactions, provisioning, migrations, fencing, credentials, ingest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod audit;
mod credentials;
mod drift;
mod fleet;
mod ingest;
mod installation;
mod isolation;
mod jobs;
mod lifecycle;
mod lists;
mod outbox;
mod pool;
mod provisioning;
mod retention;
mod risk;
mod sign_ins;
mod snapshots;
mod standings;
mod together;
mod transactions;
mod verify;
mod waivers;
