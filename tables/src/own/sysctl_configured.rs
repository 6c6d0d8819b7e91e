//! `sysctl_configured`: kernel settings as they are set at boot, in the order of `sysctl.d(5)`. systemd-sysctl reads
//! `/etc/sysctl.conf` only where a link such as Debian's `99-sysctl.conf` puts it, in the place of the link's name; without
//! systemd `sysctl --system` reads it last.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::drop_in;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Kernel settings configured on disk, one row a name, with the file that wins.
    sysctl_configured: kept {
        name: Text,
        value: Text,
        source: Text,
    }
}

const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
const MAIN: &str = "/etc/sysctl.conf";
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl"];

fn rows(scan: &Scan) -> Rows {
    Box::new(configured(scan).into_iter().map(|setting| {
        row! { name: setting.name, value: setting.value, source: setting.source }
    }))
}

/// A setting and the file it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    pub name: String,
    pub value: String,
    pub source: String,
}

pub(crate) fn configured(scan: &Scan) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut files = drop_in::files(scan, &FOLDERS, ".conf");
    if !SYSTEMD.iter().any(|program| scan.exists(program)) {
        let is_main = |path: &PathBuf| scan.read_link(path).is_some_and(|target| target.ends_with("sysctl.conf"));
        files.retain(|path| !is_main(path));
        files.push(MAIN.into());
    }
    for file in files {
        for (name, value) in parse(&scan.text(&file).unwrap_or_default()) {
            if !scan.budget().is_open() {
                return settings;
            }
            let setting = Setting { name, value, source: paths::display(&file) };
            if let Some(known) = positions.get(&setting.name).and_then(|position| settings.get_mut(*position)) {
                *known = setting;
            } else {
                positions.insert(setting.name.clone(), settings.len());
                settings.push(setting);
            }
        }
    }
    settings
}

fn parse(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            // A dash in front means that a failure is no error.
            let name = dotted(name.trim().trim_start_matches('-').trim());
            (name, value.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// The name with dots between its parts; where the first separator is a slash, dots are part of a name and become slashes.
pub(crate) fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(position) if name[position..].starts_with('/') => name
            .chars()
            .map(|letter| match letter {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_written_with_dots() {
        assert_eq!(
            parse("net/ipv4/conf/eth0.1/forwarding = 1\n-kernel.x=a  b\n;no=1\n"),
            [("net.ipv4.conf.eth0/1.forwarding", "1"), ("kernel.x", "a b")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            parse(&text);
        }
    }
}
