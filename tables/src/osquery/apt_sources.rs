//! `apt_sources`: where packages come from (`sources.list(5)`), in one-line and in deb822 form. What only the downloaded release
//! file says (version, maintainer) is empty.

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Sources of APT; one row a release.
    apt_sources {
        name: Text,
        source: Text,
        base_uri: Text,
        release: Text,
        version: Text,
        maintainer: Text,
        components: Text,
        architectures: Text,
        pid_with_namespace: Integer [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut rows = Vec::new();
    let mut lists = vec!["/etc/apt/sources.list".into()];
    lists.extend(scan.paths("/etc/apt/sources.list.d", ".list"));
    for file in lists {
        let text = scan.text(&file).unwrap_or_default();
        rows.extend(text.lines().filter_map(parse_line).map(|entry| to_row(entry, &paths::display(&file))));
    }
    for file in scan.paths("/etc/apt/sources.list.d", ".sources") {
        let text = scan.text(&file).unwrap_or_default();
        let (entries, is_whole) = parse_deb822(&text);
        if !is_whole {
            scan.warn(format!("{} names too many addresses and suites; the rest is not shown", paths::display(&file)));
        }
        rows.extend(entries.into_iter().map(|entry| to_row(entry, &paths::display(&file))));
    }
    Box::new(rows.into_iter())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Entry {
    uri: String,
    suite: String,
    components: String,
    architectures: String,
}

fn to_row(entry: Entry, source: &str) -> Row {
    let host = entry.uri.split_once("://").map_or(entry.uri.as_str(), |(_, rest)| rest).trim_end_matches('/');
    row! {
        name: format!("{host} {} {}", entry.suite, entry.components).trim_end(),
        source,
        base_uri: entry.uri.as_str(),
        release: entry.suite,
        version: "",
        maintainer: "",
        components: entry.components,
        architectures: entry.architectures,
    }
}

fn parse_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let (kind, mut rest) = line.split_once(char::is_whitespace)?;
    if kind != "deb" {
        return None;
    }
    let mut architectures = String::new();
    if let Some((options, after)) = rest.trim_start().strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        let arch = options.split_whitespace().find_map(|option| option.strip_prefix("arch="));
        architectures = arch.unwrap_or_default().replace(',', " ");
        rest = after;
    }
    let mut words = rest.split_whitespace();
    Some(Entry {
        uri: words.next()?.to_owned(),
        suite: words.next()?.to_owned(),
        components: words.collect::<Vec<_>>().join(" "),
        architectures,
    })
}

/// Texts of the entries of one file. Each address has an entry with each suite, so that a file of some kilobytes could otherwise
/// fill the memory.
const MAX_ENTRIES_BYTES: usize = 4 << 20;
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 128;

/// The entries of a file, and whether these are all.
fn parse_deb822(text: &str) -> (Vec<Entry>, bool) {
    let mut entries = Vec::new();
    let mut size_bytes = 0;
    for paragraph in text.split("\n\n") {
        let field = |name: &str| {
            paragraph
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .unwrap_or_default()
        };
        let is_disabled = field("Enabled").eq_ignore_ascii_case("no");
        if is_disabled || !field("Types").split_whitespace().any(|kind| kind == "deb") {
            continue;
        }
        let (components, architectures) = (field("Components"), field("Architectures"));
        for uri in field("URIs").split_whitespace() {
            for suite in field("Suites").split_whitespace() {
                size_bytes += ENTRY_BYTES + uri.len() + suite.len() + components.len() + architectures.len();
                if size_bytes > MAX_ENTRIES_BYTES {
                    return (entries, false);
                }
                entries.push(Entry {
                    uri: uri.to_owned(),
                    suite: suite.to_owned(),
                    components: components.to_owned(),
                    architectures: architectures.to_owned(),
                });
            }
        }
    }
    (entries, true)
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    parse_deb822(&text);
    text.lines().filter_map(parse_line).count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_forms_give_the_same() {
        let line =
            parse_line("deb [arch=amd64,arm64 signed-by=/x] https://mirror.example/debian bookworm main contrib # x")
                .unwrap();
        let text = "Types: deb deb-src\nURIs: https://mirror.example/debian\nSuites: bookworm\nComponents: main contrib\nArchitectures: amd64 arm64\n";
        assert_eq!(parse_deb822(text), (vec![line], true));
        assert_eq!(parse_line("deb-src http://x y main"), None);
    }

    #[test]
    fn many_addresses_with_many_suites_stay_within_memory() {
        let text = format!("Types: deb\nURIs:{}\nSuites:{}\n", " x".repeat(5_000), " y".repeat(5_000));
        let (entries, is_whole) = parse_deb822(&text);
        assert!(!is_whole);
        assert!(entries.len() <= MAX_ENTRIES_BYTES / ENTRY_BYTES);
        assert!(!entries.is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            parse_line(&text);
            parse_deb822(&text);
        }
    }
}
