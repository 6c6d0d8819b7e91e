//! Drop-in folders as systemd, modprobe and sysctl share them: of files with one name the folder named first wins, a link
//! to `/dev/null` hides a file, and the rest is read in the order of names. Files that are hidden or left by an editor do not count
//! (`hidden_or_backup_file` of systemd, `conf_files_filter_out` of kmod).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::reader::Scan;

/// The files that count, in the order in which they are read.
pub(crate) fn files(scan: &Scan, folders: &[&str], ending: &str) -> Vec<PathBuf> {
    let mut by_name: BTreeMap<OsString, PathBuf> = BTreeMap::new();
    for folder in folders {
        for entry in scan.list(folder) {
            if is_read(&entry.name.to_string_lossy(), ending) {
                let path = Path::new(folder).join(&entry.name);
                by_name.entry(entry.name).or_insert(path);
            }
        }
    }
    by_name
        .into_values()
        .filter(|path| scan.read_link(path).is_none_or(|target| target != Path::new("/dev/null")))
        .collect()
}

fn is_read(name: &str, ending: &str) -> bool {
    name.ends_with(ending) && !name.starts_with('.')
}
