//! A setting of a unit as the manager reads it: the unit file that counts, then its drop-ins, in which an empty value takes back
//! what came before (`systemd.unit(5)`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{FOLDERS, UnitFile, end_of_links};
use crate::drop_in;
use crate::paths;
use crate::reader::Scan;
use crate::root::Follow;

/// Drop-ins of a unit that are read; a handful is usual.
const MAX_DROP_INS: usize = 256;

/// The values of a key that may stand more than once, such as `ExecStart`; none where there is no such unit or it is masked.
pub(crate) fn values(scan: &Scan, unit: &str, section: &str, key: &str) -> Vec<String> {
    let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(unit));
    let main = places.find(|path| scan.metadata(path, Follow::Never).is_some());
    let is_masked = |path: &Path| end_of_links(scan, path).as_deref() == Some(Path::new("/dev/null"));
    let Some(main) = main.filter(|path| !is_masked(path)) else { return Vec::new() };
    let mut drop_ins = drop_ins(scan, unit);
    if drop_ins.len() > MAX_DROP_INS {
        scan.warn(format!("{unit} has more than {MAX_DROP_INS} drop-ins; the others are not read"));
        drop_ins.truncate(MAX_DROP_INS);
    }
    let mut values = Vec::new();
    for file in std::iter::once(main).chain(drop_ins) {
        if let Some(text) = scan.text(&file) {
            UnitFile::parse(&text).add_values(section, key, &mut values);
        }
    }
    values
}

/// Services whose files have a word in them, or that have drop-ins, which may have it; those that generators make are left out.
pub(crate) fn services_with(scan: &Scan, word: &str) -> Vec<String> {
    let mut files: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut with_drop_ins: BTreeSet<String> = BTreeSet::new();
    for folder in FOLDERS.iter().filter(|folder| !folder.starts_with("/run/systemd/generator")) {
        for entry in scan.list(folder) {
            let name = paths::name(&entry.name);
            if name.ends_with(".service") {
                files.entry(name).or_insert_with(|| Path::new(folder).join(&entry.name));
            } else if let Some(unit) = name.strip_suffix(".d").filter(|unit| unit.ends_with(".service")) {
                with_drop_ins.insert(unit.to_owned());
            }
        }
    }
    let is_meant = |(name, path): &(String, PathBuf)| {
        let is_masked = || end_of_links(scan, path).as_deref() == Some(Path::new("/dev/null"));
        with_drop_ins.contains(name) || !is_masked() && scan.text(path).is_some_and(|text| text.contains(word))
    };
    files.into_iter().filter(is_meant).map(|(name, _)| name).collect()
}

/// Drop-ins of the unit itself, and those of all units of its type (`service.d`).
fn drop_ins(scan: &Scan, unit: &str) -> Vec<PathBuf> {
    let kind = unit.rsplit_once('.').map_or(unit, |(_, kind)| kind);
    let folders: Vec<String> =
        [unit, kind].iter().flat_map(|name| FOLDERS.iter().map(move |folder| format!("{folder}/{name}.d"))).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    drop_in::files(scan, &folders, ".conf")
}

impl UnitFile {
    fn add_values(&self, section: &str, key: &str, values: &mut Vec<String>) {
        for (place, name, value) in &self.settings {
            if name != key || !self.is_in(*place, section) {
                continue;
            }
            if value.is_empty() {
                values.clear();
            } else {
                values.push(value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_takes_back_those_before_it() {
        let mut values = Vec::new();
        for text in [
            "[Service]\nExecStart=/bin/a\nExecStart=/bin/b\n[Other]\nExecStart=/bin/no\n",
            "[Service]\nExecStart=\nExecStart=/bin/c\n",
            "[Service]\nExecStart=/bin/d\n",
        ] {
            UnitFile::parse(text).add_values("Service", "ExecStart", &mut values);
        }
        assert_eq!(values, ["/bin/c", "/bin/d"]);
    }
}
