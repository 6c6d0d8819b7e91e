//! The process that reads a report: confined like a worker that needs files only, with the report as its standard input.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use catalog::printable::printable;
use catalog::scap::arf::{self, RuleResult};

use super::content;
use crate::sandbox::{self, Network, Sight};

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "scap-read";
/// A report of 100 MiB takes a second or two.
pub const CPU: Duration = Duration::from_mins(1);
const MEMORY_BYTES: u64 = 384 << 20;

/// How the scanner calls the OVAL results of a file.
const OVAL_RESULTS: &str = ".result.xml";
/// A benchmark refers to its OVAL and to that of its platforms.
const MAX_OVAL_RESULTS: usize = 16;

/// What came of it, as it is handed over.
pub type Outcome = Result<Vec<RuleResult>, String>;

/// Reads the report and prints what it says.
pub fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the scanner's report was not read: {}", printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// The OVAL results beside the report, in the folder that this process was started in.
fn oval_results() -> Result<Vec<BufReader<File>>, String> {
    let failed = |error: io::Error| format!("has OVAL results that cannot be opened: {error}");
    let mut names: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(".").map_err(failed)? {
        let name = PathBuf::from(entry.map_err(failed)?.file_name());
        if name.to_string_lossy().ends_with(OVAL_RESULTS) && names.len() < MAX_OVAL_RESULTS {
            names.push(name);
        }
    }
    names.sort();
    names.iter().map(|name| content::open(name).map(BufReader::new).map_err(failed)).collect()
}

fn work() -> anyhow::Result<()> {
    sandbox::apply_limits(sandbox::Limits { cpu: CPU, memory_bytes: MEMORY_BYTES })?;
    sandbox::lower_priority()?;
    sandbox::confine_worker(Sight::Files, Network::Denied, true)?;
    let outcome: Outcome = oval_results()
        .and_then(|oval| arf::read_parts(BufReader::new(io::stdin().lock()), oval).map_err(|error| error.to_string()));
    let mut output = io::stdout().lock();
    serde_json::to_writer(&mut output, &outcome)?;
    Ok(output.flush()?)
}
