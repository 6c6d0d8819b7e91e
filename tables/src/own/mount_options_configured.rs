//! `mount_options_configured`: mounts as configured, from `fstab(5)` and from mount units of the administrator. What is mounted
//! now is in `mounts`.

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::units::UnitFile;
use crate::value::Row;

table! {
    /// Mounts configured in /etc/fstab and in systemd mount units below /etc; an option that a later one takes back is left out.
    mount_options_configured {
        device: Text,
        path: Text,
        r#type: Text,
        options: Text,
        source: Text,
    }
}

const FSTAB: &str = "/etc/fstab";
const UNITS: &str = "/etc/systemd/system";

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = scan.text("/etc/fstab").unwrap_or_default().lines().filter_map(parse_fstab).collect();
    for file in scan.paths(UNITS, ".mount") {
        let unit = UnitFile::parse(&scan.text(&file).unwrap_or_default());
        let value = |key| unit.value("Mount", key).unwrap_or_default();
        if !value("Where").is_empty() {
            rows.push(row! {
                device: value("What"),
                path: value("Where"),
                r#type: value("Type"),
                options: in_force(value("Options")),
                source: paths::display(&file),
            });
        }
    }
    Box::new(rows.into_iter())
}

fn parse_fstab(line: &str) -> Option<Row> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [device, path, kind, rest @ ..] = &words[..] else { return None };
    if device.starts_with('#') {
        return None;
    }
    Some(row! {
        device: unescape(device),
        path: unescape(path),
        r#type: *kind,
        options: in_force(rest.first().copied().unwrap_or("defaults")),
        source: FSTAB,
    })
}

/// The options that count: `mount(8)` takes the last of `nodev` and `dev`, and of their like.
fn in_force(options: &str) -> String {
    let opposite = |option: &str| match option {
        "dev" => Some("nodev"),
        "nodev" => Some("dev"),
        "suid" => Some("nosuid"),
        "nosuid" => Some("suid"),
        "exec" => Some("noexec"),
        "noexec" => Some("exec"),
        "rw" => Some("ro"),
        "ro" => Some("rw"),
        _ => None,
    };
    let mut kept: Vec<&str> = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        if let Some(other) = opposite(option) {
            kept.retain(|earlier| *earlier != other && *earlier != option);
        }
        kept.push(option);
    }
    kept.join(",")
}

/// `\040` is a blank in `fstab(5)` and in the kernel's list of mounts.
pub(crate) fn unescape(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits =
            after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        if let Some(digits) = digits {
            let code = digits.iter().fold(0_u32, |code, digit| code * 8 + u32::from(digit - b'0'));
            bytes.push(u8::try_from(code).unwrap_or(b'?'));
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    crate::reader::lossy(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_escaped_blank_is_a_blank() {
        assert_eq!(unescape("/mnt/my\\040disk\\134"), "/mnt/my disk\\");
        assert_eq!(unescape("\\04"), "\\04");
    }

    #[test]
    fn of_two_options_that_exclude_each_other_the_last_counts() {
        for (options, expected) in [
            ("nodev,nosuid,dev", "nosuid,dev"),
            ("defaults,exec,noexec,size=1g", "defaults,noexec,size=1g"),
            ("suid,nodev,nosuid", "nodev,nosuid"),
            ("defaults", "defaults"),
            ("", ""),
        ] {
            assert_eq!(in_force(options), expected, "{options}");
        }
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_panic(field in ".*") {
            unescape(&field);
            parse_fstab(&field);
        }
    }
}
