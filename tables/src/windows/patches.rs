//! `patches`: the updates of a Windows image, from the packages that its servicing keeps. The registry says when an update came and
//! not what it mends: the columns that only Microsoft's site fills stay empty.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike};

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::windows::encoding::unix_time;
use crate::windows::machine::{Entry, Machine};

table! {
    /// Updates installed on a Windows image.
    patches {
        csname: Text,
        hotfix_id: Text,
        caption: Text,
        description: Text,
        fix_comments: Text,
        installed_by: Text,
        install_date: Text,
        installed_on: Text,
    }
}

const PACKAGES: &str = r"Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages";
const COMPUTER_NAME: &str = r"Control\ComputerName\ComputerName";
/// States of a package (`CurrentState`): installed, and installed for good.
const INSTALLED: [u64; 2] = [0x70, 0x80];

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let name = machine.control_set(COMPUTER_NAME).and_then(|key| key.text("ComputerName"));
    let list = machine.software(PACKAGES);
    let mut patches: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
    for package in list.iter().flat_map(Entry::children) {
        if !package.number("CurrentState").is_some_and(|state| INSTALLED.contains(&state)) {
            continue;
        }
        let number =
            kb_number(package.name()).or_else(|| package.text("InstallLocation").and_then(|place| kb_number(&place)));
        let Some(number) = number else { continue };
        let when = installed_at(&package);
        // An update has many packages; it is there since the first of them came.
        let known = patches.entry(number).or_insert((when, package.text("InstallUser")));
        known.0 = known.0.min(when);
    }
    Box::new(patches.into_iter().map(move |(number, (when, user))| {
        row! {
            csname: name.as_deref(),
            caption: format!("https://support.microsoft.com/help/{}", number.trim_start_matches("KB")),
            description: "Update",
            fix_comments: "",
            installed_by: user,
            install_date: "",
            installed_on: DateTime::from_timestamp(when, 0)
                .map(|date| format!("{}/{}/{}", date.month(), date.day(), date.year())),
            hotfix_id: number,
        }
    }))
}

fn installed_at(package: &Entry) -> i64 {
    let half = |name: &str| package.number(name).unwrap_or(0) & 0xffff_ffff;
    let time = half("InstallTimeHigh") << 32 | half("InstallTimeLow");
    if time == 0 { package.written() } else { unix_time(time) }
}

/// The first `KB` with a number of an update in a name.
fn kb_number(text: &str) -> Option<String> {
    text.match_indices("KB").find_map(|(start, _)| {
        let digits: String = text[start + 2..].chars().take_while(char::is_ascii_digit).collect();
        (6..=8).contains(&digits.len()).then(|| format!("KB{digits}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_known_by_its_number() {
        for (text, expected) in [
            ("Package_for_KB5007186~31bf3856ad364e35~amd64~~19041.1348.1.5", Some("KB5007186")),
            (r"\\?\C:\Windows\SoftwareDistribution\x\Windows10.0-KB5007186-x64.cab", Some("KB5007186")),
            ("Microsoft-Windows-KB-Package", None),
        ] {
            assert_eq!(kb_number(text).as_deref(), expected);
        }
    }
}
