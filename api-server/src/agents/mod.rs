//! Agents: how a host becomes one, what it may run, what it asks for and what it brings back.

pub mod call;
pub mod config;
pub mod enroll;
pub mod enrollment_tokens;
pub mod known;
pub mod modules;
pub mod poll;
pub mod pulse;
pub mod results;
pub mod routes;
pub mod service_account;
pub mod waiters;
