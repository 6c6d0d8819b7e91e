//! The tree that is scanned: a fresh Debian 12 with as many further files as make 570,000 inodes. Files of the system are
//! shared with the original by hard links; of the others the first in each folder holds text and the rest are empty, which
//! is the same to who looks only at owners and modes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

const INODES: u64 = 570_000;
/// Names in a folder, about as in `/usr/share`.
const IN_FOLDER: u64 = 60;

/// Makes the tree beside the root, or takes the one that is there.
pub fn of(root: &Path) -> anyhow::Result<PathBuf> {
    let beside = root.parent().context("a root lies in a folder")?;
    let tree = beside.join(format!("tree-{INODES}"));
    if tree.exists() {
        return Ok(tree);
    }
    let partial = beside.join("tree.partial");
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    eprintln!("a tree of {INODES} inodes, once");
    let status = Command::new("cp").args(["-al", "--"]).arg(root).arg(&partial).status()?;
    ensure!(status.success(), "cp of {} ended with {status}", root.display());
    fill(&partial)?;
    fs::rename(&partial, &tree)?;
    Ok(tree)
}

fn fill(tree: &Path) -> anyhow::Result<()> {
    let mut count = count(tree)?;
    for number in 0.. {
        let folder = tree.join(format!("srv/files/{}/{number}", number / 100));
        fs::create_dir_all(&folder)?;
        count += if number % 100 == 0 { 2 } else { 1 };
        for name in 0..IN_FOLDER {
            if count >= INODES {
                return Ok(());
            }
            let text = if name == 0 { "A line of text, as documents have them.\n" } else { "" };
            fs::write(folder.join(format!("document-{name}.txt")), text)?;
            count += 1;
        }
    }
    Ok(())
}

/// Names below a folder, on its own file system. What vanishes meanwhile is not counted.
pub fn count(folder: &Path) -> io::Result<u64> {
    let device = fs::metadata(folder)?.dev();
    let mut waiting = vec![folder.to_owned()];
    let mut count = 1;
    while let Some(folder) = waiting.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let entry = entry?;
            count += 1;
            let is_folder = entry.file_type()?.is_dir();
            if is_folder && entry.metadata().is_ok_and(|found| found.dev() == device) {
                waiting.push(entry.path());
            }
        }
    }
    Ok(count)
}
