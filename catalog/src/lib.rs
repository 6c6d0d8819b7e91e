//! What can be scanned, and what a scan gives back: modules, frameworks, result envelopes, facts, and the messages between
//! agent and API. No IO: the loader takes bytes, and the catalog that ships is compiled in.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod envelope;
pub mod facts;
pub mod module;
mod severity;
pub mod wire;

pub use severity::Severity;
