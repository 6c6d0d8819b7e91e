//! Our own programs, as the build made them, and what they print.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use catalog::envelope::{Envelope, validate_json};

/// The path of one of our programs, such as `tenantra-api`: it lies in `TENA_BIN_DIR`, else beside the running test's folder.
/// Tests run the programs and do not link them, so that they see what a user sees and a crash is a crash.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let folder = if let Some(given) = std::env::var_os("TENA_BIN_DIR") {
        PathBuf::from(given)
    } else {
        let test = std::env::current_exe()?;
        let folder = test.parent().context("the test lies in a folder")?;
        if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned()
    };
    let path = folder.join(name);
    ensure!(path.is_file(), "{} is not built: run cargo build --workspace --bins", path.display());
    Ok(path)
}

/// The processes that this one started and that still run; those of each of its threads.
pub fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    let children = threads.map(of).collect::<Vec<_>>().join(" ");
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// What `tenantra-agent scan --output json` printed, an envelope a line, each as the server would take it.
pub fn envelopes(stdout: &[u8]) -> anyhow::Result<Vec<Envelope>> {
    let parse = |line: &str| {
        let value: serde_json::Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        validate_json(&value)?;
        let envelope: Envelope = serde_json::from_value(value)?;
        let contradiction = envelope.contradiction();
        ensure!(contradiction.is_none(), "{}: {contradiction:?}", envelope.module);
        Ok(envelope)
    };
    std::str::from_utf8(stdout)?.lines().map(parse).collect()
}
