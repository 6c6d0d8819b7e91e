//! The REST API on a real PostgreSQL and a real Kubernetes API server: sign-in and roles, tenants through their resource,
//! agents and what they send, and what strangers try.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod agents;
mod archive;
mod attacks;
mod compliance;
mod crossing;
mod dead_letters;
mod drift;
mod fixture;
mod idle;
mod kubernetes;
mod modules;
mod people;
mod reads;
mod restarts;
mod results;
mod retention;
mod starts;
mod tenants;
mod together;
