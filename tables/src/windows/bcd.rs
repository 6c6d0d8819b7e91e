//! `bcd`: the boot configuration of a Windows image, one row for each element of each object, as `bcdedit /enum all` shows them.
//! osquery has no such table. The names of objects and elements are those of bcdedit, where it has one.

use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use crate::functions::hex;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::data::{kind, text, texts};
use crate::windows::encoding::{u32_of, u64_of};
use crate::windows::hive::Hive;
use crate::windows::machine::{Entry, Value, boot_stores, open};

table! {
    /// Elements of the boot configuration of a Windows image; booleans are 0 and 1, lists are joined by commas.
    bcd {
        store: Text,
        object: Text,
        object_name: Text,
        object_type: Text,
        element: Text,
        name: Text,
        format: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let stores = boot_stores(scan);
    let rows: Vec<Row> = stores
        .iter()
        .filter_map(|path| open(scan, path).map(|hive| (path, hive)))
        .flat_map(|(path, hive)| elements(path, Rc::new(hive)))
        .collect();
    Box::new(rows.into_iter())
}

/// The rows of a store.
pub(crate) fn elements(path: &Path, hive: Rc<Hive>) -> Vec<Row> {
    let store = paths::display(path);
    let objects = Entry::root_of(hive).and_then(|root| root.child("Objects"));
    let mut rows = Vec::new();
    for object in objects.iter().flat_map(Entry::children) {
        let object_type = object.child("Description").and_then(|about| about.number("Type")).unwrap_or_default();
        for element in object.child("Elements").iter().flat_map(Entry::children) {
            let id = u32::from_str_radix(element.name(), 16).unwrap_or_default();
            let (format, value) = match element.value("Element") {
                Some(value) => read(id, &value),
                None => ("", String::new()),
            };
            rows.push(row! {
                store: store.as_str(),
                object: object.name(),
                object_name: object_name(object.name()),
                object_type: object_type_name(object_type),
                element: element.name(),
                name: element_name(id, object_type),
                format,
                value,
            });
        }
    }
    rows
}

/// The name of an element's format, by the second digit of its number, and its value as text.
fn read(id: u32, value: &Value) -> (&'static str, String) {
    let bytes = &value.bytes;
    let integers = || bytes.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
    match (id >> 24) & 0xf {
        1 => ("device", device(bytes)),
        2 => ("string", text(bytes)),
        3 => ("object", text(bytes)),
        4 if value.kind == kind::MULTI_SZ => ("object_list", texts(bytes).join(",")),
        4 => ("object_list", text(bytes)),
        5 => ("integer", if bytes.len() < 8 { String::new() } else { u64_of(bytes, 0).to_string() }),
        6 => ("boolean", bytes.first().map(|first| u8::from(*first != 0).to_string()).unwrap_or_default()),
        7 => ("integer_list", integers().map(|number| number.to_string()).collect::<Vec<_>>().join(",")),
        _ => ("", hex(bytes).to_uppercase()),
    }
}

/// A device: of a partition its own and its disk's signature as they are on the disk, else the bytes.
fn device(bytes: &[u8]) -> String {
    /// Where the structure itself begins, after the GUID of further options.
    const START: usize = 16;
    let kind = u32_of(bytes, START);
    match (kind, bytes.get(START + 16..)) {
        (5, _) => "boot".to_owned(),
        (6, Some(rest)) if rest.len() >= 56 => {
            let mut shown = String::from("partition=");
            // GPT: the GUID of the partition; MBR: its first byte on the disk.
            let is_gpt = u32_of(rest, 20) == 0;
            if is_gpt {
                shown.push_str(&guid(&rest[..16]));
                let _ = write!(shown, ",disk={}", guid(&rest[24..40]));
            } else {
                let _ = write!(shown, "{}", u64_of(rest, 0));
                let _ = write!(shown, ",disk={:08x}", u32_of(rest, 24));
            }
            shown
        }
        _ => hex(bytes).to_uppercase(),
    }
}

/// A GUID of its bytes: the first three numbers in little endian.
fn guid(bytes: &[u8]) -> String {
    let part = |start: usize, end: usize, is_reversed: bool| {
        let part = bytes.get(start..end).unwrap_or_default();
        if is_reversed { hex(&part.iter().rev().copied().collect::<Vec<u8>>()) } else { hex(part) }
    };
    format!(
        "{{{}-{}-{}-{}-{}}}",
        part(0, 4, true),
        part(4, 6, true),
        part(6, 8, true),
        part(8, 10, false),
        part(10, 16, false)
    )
}

/// bcdedit's name of a well-known object.
fn object_name(guid: &str) -> Option<&'static str> {
    Some(match guid.to_ascii_lowercase().as_str() {
        "{9dea862c-5cdd-4e70-acc1-f32b344d4795}" => "{bootmgr}",
        "{a5a30fa2-3d06-4e9f-b5f4-a01df9d1fcba}" => "{fwbootmgr}",
        "{b2721d73-1db4-4c62-bf78-c548a880142d}" => "{memdiag}",
        "{466f5a88-0af2-4f76-9038-095b170dc21c}" => "{ntldr}",
        "{6efb52bf-1766-41db-a6b3-0ee5eff72bd7}" => "{bootloadersettings}",
        "{7ea2e1ac-2e61-4728-aaa3-896d9d0a9f0e}" => "{globalsettings}",
        "{1afa9c49-16ab-4a5c-901b-212802da9460}" => "{resumeloadersettings}",
        "{4636856e-540f-4170-a130-a84776f4c654}" => "{dbgsettings}",
        "{5189b25c-5558-4bf2-bca4-289b11bd29e2}" => "{badmemory}",
        "{0ce4991b-e6b3-4b16-b23c-5e0d9250e5d9}" => "{emssettings}",
        "{7ff607e0-4395-11db-b0de-0800200c9a66}" => "{hypervisorsettings}",
        _ => return None,
    })
}

/// What an object is, by its number: the first digit, then of applications the last ones.
fn object_type_name(number: u64) -> String {
    match (number >> 28, number & 0xf_ffff) {
        (1, 1) => "firmware boot manager".to_owned(),
        (1, 2) => "boot manager".to_owned(),
        (1, 3) => "boot loader".to_owned(),
        (1, 4) => "resume".to_owned(),
        (1, 5) => "memory tester".to_owned(),
        (1, 6) => "legacy boot loader".to_owned(),
        (1, 7) => "legacy setup loader".to_owned(),
        (1, 8) => "boot sector".to_owned(),
        (1, 9) => "startup module".to_owned(),
        (1, 10) => "boot application".to_owned(),
        (2, _) => "inherited settings".to_owned(),
        (3, _) => "device".to_owned(),
        _ => format!("{number:08x}"),
    }
}

/// bcdedit's name of an element. Numbers from 0x2… on mean something else in each kind of object.
fn element_name(id: u32, object_type: u64) -> Option<&'static str> {
    Some(match (id, object_type & 0xf_ffff) {
        (0x1100_0001, _) => "device",
        (0x1200_0002, _) => "path",
        (0x1200_0004, _) => "description",
        (0x1200_0005, _) => "locale",
        (0x1400_0006, _) => "inherit",
        (0x1500_0007, _) => "truncatememory",
        (0x1400_0008, _) => "recoverysequence",
        (0x1600_0009, _) => "recoveryenabled",
        (0x1700_000a, _) => "badmemorylist",
        (0x1600_000b, _) => "badmemoryaccess",
        (0x1600_0010, _) => "bootdebug",
        (0x1500_0011, _) => "debugtype",
        (0x1500_0013, _) => "debugport",
        (0x1500_0014, _) => "baudrate",
        (0x1600_0020, _) => "bootems",
        (0x1600_0040, _) => "advancedoptions",
        (0x1600_0041, _) => "optionsedit",
        (0x1600_0046, _) => "graphicsmodedisabled",
        (0x1500_0047, _) => "configaccesspolicy",
        (0x1600_0048, _) => "nointegritychecks",
        (0x1600_0049, _) => "testsigning",
        (0x1200_0030, _) => "loadoptions",
        (0x1600_0060, _) => "isolatedcontext",
        (0x1500_0065, _) => "displaymessage",
        (0x2400_0001, 2) => "displayorder",
        (0x2400_0002, 2) => "bootsequence",
        (0x2300_0003, 2) => "default",
        (0x2500_0004, 2) => "timeout",
        (0x2600_0005, 2) => "resume",
        (0x2300_0006, 2) | (0x2300_0003, 3) => "resumeobject",
        (0x2400_0010, 2) => "toolsdisplayorder",
        (0x2600_0020, 2) => "displaybootmenu",
        (0x2100_0001, 3) => "osdevice",
        (0x2200_0002, 3) => "systemroot",
        (0x2500_0020, 3) => "nx",
        (0x2500_0021, 3) => "pae",
        (0x2600_0022, 3) => "winpe",
        (0x2600_0024, 3) => "nocrashautoreboot",
        (0x2600_0025, 3) => "lastknowngood",
        (0x2600_0030, 3) => "nolowmem",
        (0x2600_0060, 3) => "onecpu",
        (0x2500_0080, 3) => "safeboot",
        (0x2600_0081, 3) => "safebootalternateshell",
        (0x2600_0090, 3) => "bootlog",
        (0x2600_0091, 3) => "sos",
        (0x2600_00a0, 3) => "debug",
        (0x2600_00a1, 3) => "halbreakpoint",
        (0x2600_00b0, 3) => "ems",
        (0x2500_00c1, 3) => "driverloadfailurepolicy",
        (0x2500_00c2, 3) => "bootmenupolicy",
        (0x2500_00e0, 3) => "bootstatuspolicy",
        (0x2600_00e1, 3) => "disableelamdrivers",
        (0x2500_00f0, 3) => "hypervisorlaunchtype",
        (0x2500_0115, 3) => "vsmlaunchtype",
        (0x2100_0001, 4) => "filedevice",
        (0x2200_0002, 4) => "filepath",
        (0x2600_0006, 4) => "debugoptionenabled",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_by_their_format() {
        let value = |kind, bytes: &[u8]| Value { name: String::new(), kind, bytes: bytes.to_vec() };
        for (id, bytes, expected) in [
            (0x2600_00a0, vec![1], ("boolean", "1")),
            (0x2500_0004, vec![30, 0, 0, 0, 0, 0, 0, 0], ("integer", "30")),
            (0x2500_0004, vec![30], ("integer", "")),
            (0x1700_000a, [1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat(), ("integer_list", "1,2")),
            (0x1200_0002, vec![b'\\', 0, b'x', 0, 0, 0], ("string", "\\x")),
            (0x1100_0001, vec![0xab], ("device", "AB")),
        ] {
            let (format, shown) = read(id, &value(kind::BINARY, &bytes));
            assert_eq!((format, shown.as_str()), expected);
        }
    }

    #[test]
    fn a_guid_is_shown_as_windows_writes_it() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(guid(&bytes), "{03020100-0504-0706-0809-0a0b0c0d0e0f}");
    }
}
