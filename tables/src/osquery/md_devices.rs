//! `md_devices`: software RAIDs, from `/proc/mdstat` and sysfs. osquery asks the devices themselves; the kernel's files say
//! the same but for the time of the last change of the superblock.

use super::md_drives;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Software RAIDs; size in KiB a disk, chunk_size in bytes.
    md_devices: live_only {
        device_name: Text,
        status: Text,
        raid_level: Integer,
        size: BigInt,
        chunk_size: BigInt,
        raid_disks: Integer,
        nr_raid_disks: Integer,
        working_disks: Integer,
        active_disks: Integer,
        failed_disks: Integer,
        spare_disks: Integer,
        superblock_state: Text,
        superblock_version: Text,
        superblock_update_time: BigInt,
        bitmap_on_mem: Text,
        bitmap_chunk_size: Text,
        bitmap_external_file: Text,
        recovery_progress: Text,
        recovery_finish: Text,
        recovery_speed: Text,
        resync_progress: Text,
        resync_finish: Text,
        resync_speed: Text,
        reshape_progress: Text,
        reshape_finish: Text,
        reshape_speed: Text,
        check_array_progress: Text,
        check_array_finish: Text,
        check_array_speed: Text,
        unused_devices: Text,
        other: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let text = scan.proc("mdstat").unwrap_or_default();
    let unused =
        text.lines().find_map(|line| line.strip_prefix("unused devices:")).map(|names| names.trim().to_owned());
    let rows: Vec<Row> = arrays(&text).iter().map(|array| describe(scan, array, unused.as_deref())).collect();
    Box::new(rows.into_iter())
}

/// What `/proc/mdstat` says of one array.
#[derive(Debug, Default, PartialEq, Eq)]
struct Array {
    name: String,
    status: String,
    /// What stands between the size and the number of disks, such as `super 1.2`.
    other: String,
    bitmap: Option<Bitmap>,
    recovery: Action,
    resync: Action,
    reshape: Action,
    check: Action,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Bitmap {
    in_memory: String,
    chunk: String,
    file: Option<String>,
}

/// How far something is: `1.5% (100/6000)`, `12.3min`, `10240K/sec`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Action {
    progress: Option<String>,
    finish: Option<String>,
    speed: Option<String>,
}

/// An array begins with its name at the start of a line; indented lines belong to it.
fn arrays(text: &str) -> Vec<Array> {
    let mut arrays: Vec<Array> = Vec::new();
    for line in text.lines() {
        if line.starts_with("md") {
            let Some((name, rest)) = line.split_once(" : ") else { continue };
            let status = rest.split_whitespace().next().unwrap_or_default();
            arrays.push(Array { name: name.trim().to_owned(), status: status.to_owned(), ..Array::default() });
        } else if let Some(array) = arrays.last_mut().filter(|_| line.starts_with(char::is_whitespace)) {
            add(array, line.trim());
        }
    }
    arrays
}

fn add(array: &mut Array, line: &str) {
    if let Some(bitmap) = line.strip_prefix("bitmap:") {
        let mut parts = bitmap.split(',').map(|part| part.trim().to_owned());
        array.bitmap = Some(Bitmap {
            in_memory: parts.next().unwrap_or_default(),
            chunk: parts.next().unwrap_or_default(),
            file: parts.next().and_then(|part| part.strip_prefix("file:").map(|file| file.trim().to_owned())),
        });
        return;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.get(1) == Some(&"blocks") {
        array.other = words.get(2..words.len().saturating_sub(2)).unwrap_or_default().join(" ");
        return;
    }
    // `[==>....]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec`, or `resync=DELAYED`
    for (name, action) in [
        ("recovery", &mut array.recovery),
        ("resync", &mut array.resync),
        ("reshape", &mut array.reshape),
        ("check", &mut array.check),
    ] {
        let Some(rest) = line.split_once(name).and_then(|(_, rest)| rest.trim_start().strip_prefix('=')) else {
            continue;
        };
        let values: Vec<&str> = rest.split_whitespace().collect();
        let value = |key: &str| values.iter().find_map(|value| value.strip_prefix(key)).map(str::to_owned);
        let progress: Vec<&str> = values.iter().copied().filter(|value| !value.contains('=')).collect();
        *action = Action { progress: Some(progress.join(" ")), finish: value("finish="), speed: value("speed=") };
    }
}

fn describe(scan: &Scan, array: &Array, unused: Option<&str>) -> Row {
    let value = |file: &str| scan.sys(format!("block/{}/md/{file}", array.name));
    let number = |file: &str| value(file).and_then(|text| text.parse::<i64>().ok());
    let states: Vec<String> =
        md_drives::drives(scan, &array.name).iter().filter_map(|drive| value(&format!("dev-{drive}/state"))).collect();
    let count = |state: &str| states.iter().filter(|found| found.split(',').any(|part| part == state)).count();
    let has_files = !states.is_empty();
    let failed = count("faulty");
    let bitmap = array.bitmap.as_ref();
    row! {
        device_name: array.name.as_str(),
        status: array.status.as_str(),
        raid_level: value("level").and_then(|level| level.strip_prefix("raid")?.parse::<i64>().ok()),
        size: number("component_size"),
        chunk_size: number("chunk_size"),
        raid_disks: number("raid_disks"),
        nr_raid_disks: has_files.then_some(states.len()),
        working_disks: has_files.then_some(states.len() - failed),
        active_disks: has_files.then_some(count("in_sync")),
        failed_disks: has_files.then_some(failed),
        spare_disks: has_files.then_some(count("spare")),
        superblock_state: value("array_state"),
        superblock_version: value("metadata_version"),
        bitmap_on_mem: bitmap.map(|bitmap| bitmap.in_memory.as_str()),
        bitmap_chunk_size: bitmap.map(|bitmap| bitmap.chunk.as_str()),
        bitmap_external_file: bitmap.and_then(|bitmap| bitmap.file.as_deref()),
        recovery_progress: array.recovery.progress.as_deref(),
        recovery_finish: array.recovery.finish.as_deref(),
        recovery_speed: array.recovery.speed.as_deref(),
        resync_progress: array.resync.progress.as_deref(),
        resync_finish: array.resync.finish.as_deref(),
        resync_speed: array.resync.speed.as_deref(),
        reshape_progress: array.reshape.progress.as_deref(),
        reshape_finish: array.reshape.finish.as_deref(),
        reshape_speed: array.reshape.speed.as_deref(),
        check_array_progress: array.check.progress.as_deref(),
        check_array_finish: array.check.finish.as_deref(),
        check_array_speed: array.check.speed.as_deref(),
        unused_devices: unused,
        other: array.other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_an_array_does_is_read() {
        let text = "Personalities : [raid1] [raid6]\n\
                    md0 : active raid1 sdb1[2] sda1[0]\n\
                    \x20     292945152 blocks super 1.2 [2/1] [U_]\n\
                    \x20     [==>...]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec\n\
                    \x20     bitmap: 1/3 pages [4KB], 65536KB chunk, file: /var/bitmap\n\n\
                    md1 : active raid1 sdd1[1] sdc1[0]\n      100 blocks [2/2] [UU]\n        resync=DELAYED\n\
                    unused devices: <none>\n";
        let found = arrays(text);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), found[0].other.as_str()), ("md0", "super 1.2"));
        assert_eq!(found[0].recovery.progress.as_deref(), Some("12.6% (37043392/292945152)"));
        assert_eq!(found[0].recovery.speed.as_deref(), Some("33440K/sec"));
        assert_eq!(found[0].bitmap.as_ref().unwrap().file.as_deref(), Some("/var/bitmap"));
        assert_eq!(found[1].resync.progress.as_deref(), Some("DELAYED"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(md[0-9]? ?:?|[ \\[\\]a-z=%:,]|\n){0,60}") {
            arrays(&text);
        }
    }
}
