//! Copies of a root in each of which one thing is changed. A copy shares its files with the original by hard links until
//! they are changed, so making one costs no space.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

const FILE: &str = include_str!("mutations.yaml");

/// One thing that is broken or mended.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutation {
    pub name: String,
    changes: Vec<Change>,
}

impl Mutation {
    /// Nothing: what OpenSCAP leaves in a root is then in a copy, too.
    pub fn none() -> Self {
        Self { name: "none".to_owned(), changes: Vec::new() }
    }
}

/// Paths are below the root, without a leading slash.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
enum Change {
    /// The whole content of a file.
    Write { path: String, text: String },
    /// A line at the end of a file, which is made if it is missing.
    Append { path: String, line: String },
    /// A text that is in the file, once or more often.
    Replace { path: String, from: String, to: String },
    /// Permissions, in octal.
    Mode { path: String, mode: String },
    /// Owner and group by number.
    Owner { path: String, uid: u32, gid: u32 },
    /// A file or link that is taken away.
    Remove { path: String },
    /// A link.
    Link { path: String, target: String },
}

/// All of them.
pub fn all() -> anyhow::Result<Vec<Mutation>> {
    serde_saphyr::from_str(FILE).context("mutations.yaml")
}

/// A changed copy, removed with its guard.
pub struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    /// Copies the root, beside it: hard links do not cross file systems.
    pub fn of(root: &Path, mutation: &Mutation) -> anyhow::Result<Self> {
        let beside = root.parent().context("a root lies in a folder")?;
        let folder = tempfile::Builder::new().prefix(".mutated-").tempdir_in(beside)?;
        let copy = Self { folder };
        let status = Command::new("cp").args(["-al", "--"]).arg(root).arg(copy.root()).status()?;
        ensure!(status.success(), "cp of {} ended with {status}", root.display());
        for change in &mutation.changes {
            copy.apply(change).with_context(|| format!("{}: {change:?}", mutation.name))?;
        }
        Ok(copy)
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn apply(&self, change: &Change) -> anyhow::Result<()> {
        match change {
            Change::Write { path, text } => self.write(path, text.as_bytes()),
            Change::Append { path, line } => {
                let mut text = fs::read(self.at(path)?).unwrap_or_default();
                if !text.is_empty() && !text.ends_with(b"\n") {
                    text.push(b'\n');
                }
                writeln!(text, "{line}")?;
                self.write(path, &text)
            }
            Change::Replace { path, from, to } => {
                let text = fs::read_to_string(self.at(path)?)?;
                ensure!(text.contains(from.as_str()), "the file does not hold {from:?}");
                self.write(path, text.replace(from.as_str(), to).as_bytes())
            }
            Change::Mode { path, mode } => {
                let path = self.own(path)?;
                Ok(fs::set_permissions(path, fs::Permissions::from_mode(u32::from_str_radix(mode, 8)?))?)
            }
            Change::Owner { path, uid, gid } => Ok(chown(self.own(path)?, Some(*uid), Some(*gid))?),
            Change::Remove { path } => Ok(fs::remove_file(self.at(path)?)?),
            Change::Link { path, target } => {
                let path = self.at(path)?;
                if path.symlink_metadata().is_ok() {
                    fs::remove_file(&path)?;
                }
                Ok(symlink(target, path)?)
            }
        }
    }

    /// The path in the copy. A link in it would lead out of the copy.
    fn at(&self, path: &str) -> anyhow::Result<PathBuf> {
        let mut here = self.root();
        for part in Path::new(path) {
            if here.is_symlink() {
                bail!("{} is a link", here.display());
            }
            here.push(part);
        }
        Ok(here)
    }

    /// Writes a file anew, with the owner and mode of the one before.
    fn write(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let path = self.at(path)?;
        let before = fs::metadata(&path).ok();
        if before.is_some() {
            fs::remove_file(&path)?;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, bytes)?;
        if let Some(before) = before {
            use std::os::unix::fs::MetadataExt;
            chown(&path, Some(before.uid()), Some(before.gid()))?;
            fs::set_permissions(&path, before.permissions())?;
        } else {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// The path of a file that is not shared with the original.
    fn own(&self, path: &str) -> anyhow::Result<PathBuf> {
        let at = self.at(path)?;
        if at.is_file() {
            let bytes = fs::read(&at)?;
            self.write(path, &bytes)?;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_does_not_reach_the_original() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(root.join("etc/a"), "one\n").unwrap();
        fs::set_permissions(root.join("etc/a"), fs::Permissions::from_mode(0o600)).unwrap();
        let mutation: Mutation = serde_saphyr::from_str(
            "name: x\nchanges:\n- mode: { path: etc/a, mode: '0666' }\n- append: { path: etc/a, line: two }\n",
        )
        .unwrap();
        let copy = Copy::of(&root, &mutation).unwrap();
        assert_eq!(fs::read_to_string(copy.root().join("etc/a")).unwrap(), "one\ntwo\n");
        assert_eq!(fs::metadata(copy.root().join("etc/a")).unwrap().permissions().mode() & 0o777, 0o666);
        assert_eq!(fs::read_to_string(root.join("etc/a")).unwrap(), "one\n");
        assert_eq!(fs::metadata(root.join("etc/a")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn there_are_enough_mutations_and_each_has_a_name_of_its_own() {
        let all = all().unwrap();
        let names: std::collections::BTreeSet<&str> = all.iter().map(|one| one.name.as_str()).collect();
        assert!(names.len() >= 40 && names.len() == all.len(), "{} of {}", names.len(), all.len());
    }
}
