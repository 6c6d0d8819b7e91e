//! Tables over a Windows whose disk is mounted below the root: its registry, its boot configuration, its scheduler's tasks. They
//! are osquery's, but for `bcd`; over another root they are empty.

pub(crate) mod accounts;
pub(crate) mod appcompat_shims;
pub(crate) mod autoexec;
pub(crate) mod autoruns;
pub(crate) mod background_activities_moderator;
pub(crate) mod bcd;
pub(crate) mod data;
pub(crate) mod default_environment;
pub(crate) mod drivers;
pub(crate) mod encoding;
pub(crate) mod hive;
pub(crate) mod machine;
pub(crate) mod patches;
pub(crate) mod programs;
pub(crate) mod registry;
pub(crate) mod scheduled_tasks;
pub(crate) mod services;
pub(crate) mod shared_resources;
pub(crate) mod shimcache;
pub(crate) mod storage;
pub(crate) mod system;
pub(crate) mod task;
pub(crate) mod tree;
pub(crate) mod userassist;
pub(crate) mod windows_firewall_rules;

#[cfg(test)]
pub(crate) mod hive_tests;
#[cfg(test)]
#[path = "../../tests/support/hive_writer.rs"]
pub(crate) mod hive_writer;

use std::path::Path;

use crate::windows::encoding::is_same_name;

/// Whether a Windows lies below a root: it has a folder with the registry. Links are not followed; Windows needs none there.
pub(crate) fn is_below(root: &Path) -> bool {
    const ENTRIES: usize = 100_000;
    let mut here = root.to_owned();
    for part in ["Windows", "System32", "config"] {
        let Ok(entries) = std::fs::read_dir(&here) else { return false };
        let found = entries
            .take(ENTRIES)
            .filter_map(Result::ok)
            .find(|entry| is_same_name(&entry.file_name().to_string_lossy(), part))
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        match found {
            Some(entry) => here = entry.path(),
            None => return false,
        }
    }
    true
}
