//! A setting of a unit as the manager reads it: the unit file that counts, then its drop-ins, in which an empty value takes back
//! what came before (`systemd.unit(5)`).

use std::path::Path;

use super::{FOLDERS, UnitFile, end_of_links};
use crate::drop_in;
use crate::reader::Scan;
use crate::root::Follow;

/// The values of a key that may stand more than once, such as `ExecStart`; none where there is no such unit or it is masked.
pub(crate) fn values(scan: &Scan, unit: &str, section: &str, key: &str) -> Vec<String> {
    let mut places = FOLDERS.iter().map(|folder| Path::new(folder).join(unit));
    let main = places.find(|path| scan.metadata(path, Follow::Never).is_some());
    let is_masked = |path: &Path| end_of_links(scan, path).as_deref() == Some(Path::new("/dev/null"));
    let Some(main) = main.filter(|path| !is_masked(path)) else { return Vec::new() };
    let mut texts: Vec<String> = scan.text(&main).into_iter().collect();
    texts.extend(drop_ins(scan, unit));
    let mut values = Vec::new();
    for text in texts {
        UnitFile::parse(&text).add_values(section, key, &mut values);
    }
    values
}

/// Drop-ins of the unit itself, and those of all units of its type (`service.d`).
fn drop_ins(scan: &Scan, unit: &str) -> Vec<String> {
    let kind = unit.rsplit_once('.').map_or(unit, |(_, kind)| kind);
    let folders: Vec<String> =
        [unit, kind].iter().flat_map(|name| FOLDERS.iter().map(move |folder| format!("{folder}/{name}.d"))).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    drop_in::files(scan, &folders, ".conf").into_iter().filter_map(|file| scan.text(file)).collect()
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
