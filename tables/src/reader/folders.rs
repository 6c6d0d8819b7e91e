//! Folders below the host's root, what is in them, and what is known of a path without opening it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::Scan;
use crate::paths;
use crate::root::{self, Entry, Follow, Metadata};

/// Names of one folder that are held at once, and their bytes.
const MAX_NAMES: usize = 200_000;
const MAX_NAMES_BYTES: usize = 8 << 20;

impl Scan {
    /// The names in a folder of a home folder that are text, under the same rule as [`Scan::home_text`]. Another is told.
    pub fn home_names(&self, home: &str, below: &str) -> Vec<String> {
        let as_text = |name: OsString| {
            name.into_string()
                .inspect_err(|name| {
                    let path = Path::new(home).join(below).join(name);
                    self.warn(format!("{} has a name that is no text; it is not looked at", paths::display(&path)));
                })
                .ok()
        };
        self.home_entries(home, below).into_iter().filter_map(as_text).collect()
    }

    /// The same names as they are, in order.
    pub fn home_entries(&self, home: &str, below: &str) -> Vec<OsString> {
        let path = Path::new(home).join(below);
        if !home.starts_with('/') || !self.budget().is_open() {
            return Vec::new();
        }
        let entries = self
            .found(&path, self.source.root.open_folder_below(Path::new(home), Path::new(below)))
            .and_then(|folder| self.found(&path, root::entries_of(folder)));
        let mut names: Vec<OsString> = self
            .bounded(&path, entries.into_iter().flatten(), |entry| entry.name.len())
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        names.sort_unstable();
        names
    }

    /// The entries of a folder below the root, by name; none if it does not exist.
    pub fn list(&self, path: impl AsRef<Path>) -> Vec<Entry> {
        self.list_of(path, Follow::Links)
    }

    fn list_of(&self, path: impl AsRef<Path>, follow: Follow) -> Vec<Entry> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return Vec::new();
        }
        let entries = self
            .found(path, self.source.root.open_folder(path, follow))
            .and_then(|folder| self.found(path, root::entries_of(folder)));
        let mut entries = self.bounded(path, entries.into_iter().flatten(), |entry| entry.name.len());
        entries.sort_unstable_by(|left, right| left.name.cmp(&right.name));
        entries
    }

    /// As many names of a folder as are held at once; that there are more is said.
    pub(super) fn bounded<T>(
        &self,
        folder: &Path,
        names: impl Iterator<Item = T>,
        size_of: impl Fn(&T) -> usize,
    ) -> Vec<T> {
        let mut taken = Vec::new();
        let mut size_bytes = 0;
        for name in names {
            size_bytes += size_of(&name);
            if !self.budget().is_open() {
                break;
            }
            if taken.len() >= MAX_NAMES || size_bytes > MAX_NAMES_BYTES {
                self.warn(format!(
                    "{} holds more than {} names; the others are not looked at",
                    folder.display(),
                    taken.len()
                ));
                break;
            }
            taken.push(name);
        }
        taken
    }

    /// Paths in a folder whose name ends as given, in order.
    pub fn paths(&self, folder: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
        let folder = folder.as_ref();
        self.list(folder)
            .into_iter()
            .filter(|entry| entry.name.to_string_lossy().ends_with(ending))
            .map(|entry| folder.join(entry.name))
            .collect()
    }

    pub fn metadata(&self, path: impl AsRef<Path>, follow: Follow) -> Option<Metadata> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return None;
        }
        self.found(path, self.source.root.metadata(path, follow))
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.metadata(path, Follow::Links).is_some()
    }

    pub fn read_link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        let path = path.as_ref();
        if !self.budget().is_open() {
            return None;
        }
        match self.source.root.read_link(path) {
            // Most paths are no links, and that is the answer.
            Err(error) if error.kind() != io::ErrorKind::PermissionDenied => None,
            read => self.found(path, read),
        }
    }
}
