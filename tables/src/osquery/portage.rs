//! What the tables about Portage (Gentoo) share: names of packages with their version, and the files of `/etc/portage`,
//! each of which may be a folder of files.

use std::path::{Path, PathBuf};

use crate::reader::Scan;

/// The package and the version of `category/name-1.2.3-r1`: the version begins at the first dash before a digit.
pub(super) fn split_version(atom: &str) -> (&str, &str) {
    let start =
        atom.match_indices('-').find(|(at, _)| atom[at + 1..].starts_with(|letter: char| letter.is_ascii_digit()));
    start.map_or((atom, ""), |(at, _)| (&atom[..at], &atom[at + 1..]))
}

/// The lines of `/etc/portage/<name>` or of the files in it, without comments.
pub(super) fn lines(scan: &Scan, name: &str) -> Vec<String> {
    let path = Path::new("/etc/portage").join(name);
    let mut files: Vec<PathBuf> = scan.list(&path).into_iter().map(|entry| path.join(entry.name)).collect();
    if files.is_empty() {
        files.push(path);
    }
    let texts = files.iter().filter_map(|file| scan.text(file));
    texts
        .flat_map(|text| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// The folders of installed packages, with `category/name-version`.
pub(super) fn installed(scan: &Scan) -> Vec<(PathBuf, String)> {
    let root = Path::new("/var/db/pkg");
    let mut packages = Vec::new();
    for category in scan.list(root) {
        let folder = root.join(&category.name);
        for package in scan.list(&folder) {
            let atom = format!("{}/{}", category.name.to_string_lossy(), package.name.to_string_lossy());
            packages.push((folder.join(package.name), atom));
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_with_a_digit() {
        for (atom, expected) in [
            ("sys-apps/portage-3.0.30-r1", ("sys-apps/portage", "3.0.30-r1")),
            ("x11-libs/gtk+-2.24", ("x11-libs/gtk+", "2.24")),
            ("app-misc/a-b", ("app-misc/a-b", "")),
            ("=dev-lang/rust-1.80", ("=dev-lang/rust", "1.80")),
            ("x-", ("x-", "")),
        ] {
            assert_eq!(split_version(atom), expected);
        }
    }
}
