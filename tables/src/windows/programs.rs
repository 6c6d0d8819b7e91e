//! `programs`: what Windows lists as installed, for the machine and for each account (`Uninstall` keys). Packages of the store
//! have no such key and are not shown.

use std::collections::BTreeMap;

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::is_same_name;
use crate::windows::machine::{Entry, Machine};

table! {
    /// Installed programs of a Windows image.
    programs {
        name: Text,
        version: Text,
        install_location: Text,
        install_source: Text,
        language: Text,
        publisher: Text,
        uninstall_string: Text,
        install_date: Text,
        identifying_number: Text,
        package_family_name: Text,
        upgrade_code: Text,
    }
}

const UNINSTALL: &str = r"Microsoft\Windows\CurrentVersion\Uninstall";
const UPGRADE_CODES: &str = r"Classes\Installer\UpgradeCodes";
/// Where programs of 32 bits find what they take for SOFTWARE.
const OTHER_SOFTWARE: &str = "WOW6432Node";
/// The parts of a packed GUID, each in reverse.
const GUID_PARTS: [(usize, usize); 11] =
    [(0, 8), (8, 12), (12, 16), (16, 18), (18, 20), (20, 22), (22, 24), (24, 26), (26, 28), (28, 30), (30, 32)];

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let software = machine.system_hive("SOFTWARE");
    let other = software.as_ref().and_then(|root| root.child(OTHER_SOFTWARE));
    let upgrades: BTreeMap<String, String> =
        [&software, &other].into_iter().flatten().flat_map(upgrade_codes).collect();
    let users = machine.user_hives().filter_map(|(_, root)| root.child("Software"));
    let places = software.into_iter().chain(other).chain(users);
    let programs: Vec<Row> = places
        .filter_map(|place| place.at(UNINSTALL))
        .flat_map(|list| list.children().filter_map(|key| read(&key, &upgrades)).collect::<Vec<Row>>())
        .collect();
    Box::new(programs.into_iter())
}

fn read(key: &Entry, upgrades: &BTreeMap<String, String>) -> Option<Row> {
    let guid = key.name().rfind('{').and_then(|start| key.name().get(start..)).filter(|end| is_guid(end));
    let mut fields: BTreeMap<&str, String> = BTreeMap::new();
    for value in key.values() {
        let field = FIELDS.iter().find(|known| is_same_name(known, &value.name));
        if let Some(field) = field {
            fields.insert(field, value.shown());
        }
    }
    if fields.is_empty() && guid.is_none() {
        return None;
    }
    let mut take = |field: &str| fields.remove(field);
    Some(row! {
        name: take("DisplayName"),
        version: take("DisplayVersion"),
        install_location: take("InstallLocation"),
        install_source: take("InstallSource"),
        language: take("Language"),
        publisher: take("Publisher"),
        uninstall_string: take("UninstallString"),
        install_date: take("InstallDate"),
        identifying_number: guid.map(str::to_owned).or_else(|| take("BundleIdentifier")),
        upgrade_code: guid.and_then(|guid| upgrades.get(&guid.to_uppercase())),
    })
}

const FIELDS: [&str; 9] = [
    "DisplayName",
    "DisplayVersion",
    "InstallLocation",
    "InstallSource",
    "Language",
    "Publisher",
    "UninstallString",
    "InstallDate",
    "BundleIdentifier",
];

fn is_guid(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
    let lengths: Vec<usize> = inner.split('-').map(str::len).collect();
    lengths.len() == 5 && inner.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit())
}

/// The upgrade code of each product code.
fn upgrade_codes(software: &Entry) -> Vec<(String, String)> {
    let list = software.at(UPGRADE_CODES);
    list.iter()
        .flat_map(Entry::children)
        .filter_map(|upgrade| Some((unpack_guid(upgrade.name())?, upgrade)))
        .flat_map(|(code, upgrade)| {
            let products: Vec<String> = upgrade.values().filter_map(|value| unpack_guid(&value.name)).collect();
            products.into_iter().map(move |product| (product.to_uppercase(), code.clone()))
        })
        .collect()
}

/// A GUID from the form in which the installer writes it: the letters of each part in reverse.
fn unpack_guid(packed: &str) -> Option<String> {
    if packed.len() != 32 || !packed.is_ascii() {
        return None;
    }
    let mut guid = String::from("{");
    for (start, end) in GUID_PARTS {
        guid.extend(packed[start..end].chars().rev());
        if matches!(end, 8 | 12 | 16 | 20) {
            guid.push('-');
        }
    }
    guid.push('}');
    Some(guid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_guid_is_turned_back() {
        let guid = unpack_guid("2CCAB6107DB47314AB175756630CCD04");
        assert_eq!(guid.as_deref(), Some("{016BACC2-4BD7-4137-BA71-756536C0DC40}"));
        assert!(is_guid(&guid.unwrap()));
        assert_eq!(unpack_guid("short"), None);
        assert_eq!(unpack_guid(&"é".repeat(16)), None);
    }
}
