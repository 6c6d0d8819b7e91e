//! The agent's SQL engine: every source of facts about a host is a virtual table of an in-memory SQLite. Tables have
//! osquery's names and columns where osquery has the table. Nothing is written and no program is started.
//!
//! ```no_run
//! let engine = tables::Engine::open(tables::Host::running(), tables::Limits::default())?;
//! let answer = engine.query("SELECT username FROM users WHERE uid = 0", &tables::Parameters::new())?;
//! # Ok::<(), tables::Error>(())
//! ```
#![deny(unsafe_code)]

mod accounts;
mod budget;
mod constraints;
mod drop_in;
mod engine;
mod error;
mod filesystems;
pub mod fixtures;
mod functions;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod host;
mod http;
mod included;
pub mod integrity;
mod kept;
mod kernel;
pub mod kubernetes;
mod left_out;
mod logins;
mod memory;
mod netlink;
mod nftables;
mod nss;
mod osquery;
mod own;
mod pam;
mod paths;
mod places;
mod posix;
mod processes;
mod reader;
mod redact;
mod registry;
mod root;
mod row_ids;
pub mod scan;
mod schema;
mod shell_glob;
mod sockets;
mod sudo;
mod trim;
mod units;
mod value;
mod vtab;
mod walk;
mod windows;

pub use budget::Limits;
pub use engine::{Engine, QueryOutput, Statement};
pub use error::{Error, Result};
pub use host::Host;
pub use left_out::LeftOut;
pub use memory::CountedMemory;
pub use reader::{Gap, Warning};
pub use redact::redact;
pub use root::text_below;
pub use schema::{Column, ColumnType, Table};
pub use trim::give_memory_back;
pub use value::{Parameters, Value};
