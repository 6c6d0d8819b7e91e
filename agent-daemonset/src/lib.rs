//! The agent: scans a host with SQL over virtual tables, once on a terminal or as a daemon for the platform.
//!
//! The decision to question: everything that reads the host happens in a worker, a second process of the same program that can
//! write nowhere and connect to nothing; the daemon itself only keeps state and talks to the server (see [`sandbox`]).

#![forbid(unsafe_code)]

pub mod cli;
pub mod client;
mod commands;
pub mod config;
pub mod daemon;
pub mod identity;
mod logging;
pub mod oscap;
mod report;
pub mod run;
pub mod sandbox;
pub mod state;
pub mod usage;
pub mod worker;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
