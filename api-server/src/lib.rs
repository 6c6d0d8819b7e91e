//! The REST API of Tenantra: sign-in, tenants through their custom resource, agents and what they report, reads for the
//! dashboard, and the background work that keeps figures fresh. A library, so that tests run it in their own process.

#![deny(unsafe_code)]

pub mod agents;
pub mod attempt;
pub mod audit_key;
pub mod auth;
pub mod compliance;
pub mod config;
pub mod dead_letters;
pub mod error;
pub mod events;
pub mod http;
pub mod jobs;
pub mod memory;
pub mod metrics;
pub mod modules;
pub mod results;
pub mod retention;
pub mod seed;
mod serve;
pub mod state;
pub mod system;
pub mod telemetry;
pub mod tenants;
pub mod tls;
pub mod users;

pub use config::Config;
pub use serve::{Server, StartError, serve, start};
