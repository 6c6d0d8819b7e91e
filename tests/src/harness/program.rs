//! Our own programs, as the build made them.

use std::path::PathBuf;

use anyhow::{Context, ensure};

/// The path of one of our programs, such as `tenantra-api`: it lies beside the running test's folder. Tests run the
/// programs and do not link them, so that they see what a user sees and a crash is a crash.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().context("the test lies in a folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = folder.join(name);
    ensure!(path.is_file(), "{} is not built: run cargo build --workspace --bins", path.display());
    Ok(path)
}
