//! The process that becomes the scanner: takes its limits and its sandbox, then executes the program in its place, so that
//! ending this process ends the scanner, and the kernel ends it with its parent.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use catalog::printable::printable;
use catalog::scap::MAX_REPORT_BYTES;
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};

use super::confine;
use crate::sandbox;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "scap-launch";
/// What the scanner says of errors, in its folder.
pub const MESSAGES: &str = "messages.txt";

/// What to become.
#[derive(Debug, Serialize, Deserialize)]
pub struct Launch {
    /// The scanner.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The only folder that it may write in.
    pub folder: PathBuf,
    /// User and system time.
    pub cpu: Duration,
    /// Private writable memory.
    pub memory_bytes: u64,
}

/// Reads the order from standard input. It comes back only if something failed.
pub fn main() -> ExitCode {
    let error = match prepare() {
        Ok(mut command) => command.exec().into(),
        Err(error) => error,
    };
    eprintln!("the scanner was not started: {}", printable(&format!("{error:#}")));
    ExitCode::FAILURE
}

fn prepare() -> anyhow::Result<Command> {
    let mut input = Vec::new();
    io::stdin().lock().read_to_end(&mut input)?;
    let Launch { program, arguments, folder, cpu, memory_bytes } = serde_json::from_slice(&input)?;
    sandbox::apply_limits(sandbox::Limits { cpu, memory_bytes })?;
    let most = Some(MAX_REPORT_BYTES);
    setrlimit(Resource::Fsize, Rlimit { current: most, maximum: most })?;
    sandbox::lower_priority()?;
    let messages = File::create(folder.join(MESSAGES))?;
    confine::scanner(&folder, &program)?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear().current_dir(&folder);
    // It unpacks its content there; HOME and the language change what it says, not what it finds.
    command.env("TMPDIR", &folder).env("HOME", &folder).env("LANG", "C.UTF-8").env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages);
    Ok(command)
}
