//! `os_version`: `/etc/os-release` (`os-release(5)`). The architecture comes from the root's own shell, so it is right for an
//! image of another machine.

use std::collections::HashMap;
use std::io::Read;

use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::{self, machine::Machine};

table! {
    /// The name and version of the operating system.
    os_version {
        name: Text,
        version: Text,
        major: Integer,
        minor: Integer,
        patch: Integer,
        build: Text,
        platform: Text,
        platform_like: Text,
        codename: Text,
        arch: Text,
        pid_with_namespace: Integer [hidden],
        mount_namespace_id: Text [hidden],
        install_date: BigInt [hidden],
        revision: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    if let Some(machine) = Machine::of(scan) {
        return Box::new(windows::system::version(&machine).map(of_windows).into_iter());
    }
    let Some(text) = scan.text("/etc/os-release").or_else(|| scan.text("/usr/lib/os-release")) else {
        return Box::new(std::iter::empty());
    };
    let mut fields = parse(&text);
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let id = take("ID");
    let number = take("VERSION_ID");
    let version = take("VERSION");
    let pretty = take("PRETTY_NAME");
    let name = take("NAME");
    let point = if id == "debian" { scan.text("/etc/debian_version").unwrap_or_default() } else { String::new() };
    let exact = if point.trim().starts_with(&format!("{number}.")) { point.trim().to_owned() } else { number.clone() };
    let mut numbers = exact.split('.').map(|part| part.parse::<i64>().unwrap_or(0));
    let row = row! {
        major: numbers.next().unwrap_or(0),
        minor: numbers.next().unwrap_or(0),
        patch: numbers.next().unwrap_or(0),
        name: if name.is_empty() { pretty } else { name },
        version: if version.is_empty() { number } else { version },
        build: take("BUILD_ID"),
        platform: id,
        platform_like: take("ID_LIKE"),
        codename: take("VERSION_CODENAME"),
        arch: architecture(scan),
    };
    Box::new(std::iter::once(row))
}

fn of_windows(version: windows::system::Version) -> Row {
    row! {
        version: format!("{}.{}.{}", version.major, version.minor, version.build),
        codename: version.name.as_str(),
        name: version.name.as_str(),
        major: version.major,
        minor: version.minor,
        patch: 0,
        build: version.build,
        platform: "windows",
        platform_like: "windows",
        arch: version.arch,
        install_date: version.installed,
        revision: version.revision,
    }
}

/// `NAME=value` lines with the quotes of a shell.
pub(crate) fn parse(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let inner =
                ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
            (name.trim().to_owned(), inner.replace("\\\"", "\"").replace("\\$", "$"))
        })
        .collect()
}

fn architecture(scan: &Scan) -> Option<&'static str> {
    let (mut file, _) = ["/bin/sh", "/usr/bin/env", "/sbin/init"]
        .iter()
        .find_map(|path| scan.exists(path).then(|| scan.open(path, Follow::Links)).flatten())?;
    let mut header = [0; 20];
    file.read_exact(&mut header).ok()?;
    (header[..4] == *b"\x7fELF").then(|| machine(u16::from_le_bytes([header[18], header[19]])))?
}

/// The machine number of an ELF header (`elf(5)`), little endian.
fn machine(number: u16) -> Option<&'static str> {
    Some(match number {
        0x03 => "i386",
        0x15 => "ppc64le",
        0x28 => "arm",
        0x3e => "x86_64",
        0xb7 => "aarch64",
        0xf3 => "riscv64",
        0x102 => "loongarch64",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_are_taken_off() {
        let fields = parse("ID=debian\nNAME=\"Debian GNU/Linux\"\n# x=y\nV='12'\n");
        assert_eq!((fields["NAME"].as_str(), fields["V"].as_str(), fields.len()), ("Debian GNU/Linux", "12", 3));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            parse(&text);
        }
    }
}
