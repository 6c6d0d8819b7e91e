//! What can be scanned, and what a scan gives back: modules, frameworks, result envelopes, facts, and the messages between
//! agent and API. No IO: the loader takes bytes, and the catalog that ships is compiled in.

#![forbid(unsafe_code)]

pub mod bundle;
mod catalog;
pub mod envelope;
pub mod facts;
mod family;
pub mod framework;
pub mod import;
pub mod lifecycle;
pub mod load;
pub mod module;
pub mod page;
pub mod printable;
mod problem;
pub mod scap;
pub mod selection;
mod severity;
mod sql;
pub mod wire;

pub use catalog::{Catalog, Entry};
pub use problem::{Problem, Problems};
pub use severity::Severity;
