//! `tenantra module run-gates`: the quality gates on a module that comes on standard input, for the API server, which has no
//! engine. A process of its own, because what a draft's queries do to memory and time is to end with it.

use std::io::{self, Read as _, Write as _};

use catalog::Entry;
use catalog::module::Module;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Deserialize;

use super::gates;
use crate::outcome::{Error, Outcome};

/// Largest input: a document of a megabyte as JSON.
const MAX_BYTES: u64 = 8 << 20;
/// Seconds of CPU time, bytes of memory, open files. The kernel keeps them.
const LIMITS: [(Resource, u64); 5] = [
    (Resource::Cpu, 60),
    (Resource::Data, 512 << 20),
    (Resource::Nofile, 64),
    (Resource::Fsize, 0),
    (Resource::Core, 0),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    checksum: String,
    module: Module,
}

/// Reads the order, runs the gates, prints their report.
pub fn run() -> Result<Outcome, Error> {
    for (resource, most) in LIMITS {
        // Never above what this process was given.
        let most = getrlimit(resource).maximum.map_or(most, |given| given.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(|error| Error::NotDone(format!("this process cannot be limited: {error}")))?;
    }
    let mut input = Vec::new();
    let unread = |error: &dyn std::fmt::Display| Error::Usage(format!("standard input is no order: {error}"));
    io::stdin().lock().take(MAX_BYTES).read_to_end(&mut input).map_err(|error| unread(&error))?;
    let Order { checksum, module } = serde_json::from_slice(&input).map_err(|error| unread(&error))?;
    let report = gates::run(&Entry { module, checksum, path: String::new() }, false);
    let text = serde_json::to_vec(&report).map_err(|error| Error::NotDone(error.to_string()))?;
    io::stdout().lock().write_all(&text).map_err(|error| Error::NotDone(error.to_string()))?;
    Ok(Outcome::Done)
}
