//! `sshd_effective_config`: what `sshd -T` would answer, from the files alone: of a keyword the first value counts, `Include` is
//! followed in place, blocks of `Match` are left out (but `Match all`), and what no file says has OpenSSH's default.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::own::sshd_defaults::{ACCUMULATED, DEFAULTS, DURATIONS};
use crate::paths::{self, Pattern};
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};

table! {
    /// The SSH server's settings as they apply outside of Match blocks; keywords in lower case, source `default` or the file.
    sshd_effective_config: kept {
        keyword: Text,
        value: Text,
        source: Text,
    }
}

const MAIN: &str = "/etc/ssh/sshd_config";
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
/// sshd itself ends at 16.
const MAX_INCLUDE_DEPTH: usize = 16;
/// Files in all: a few that include each other by a pattern would otherwise be read without end.
const MAX_FILES: usize = 256;

fn rows(scan: &Scan) -> Rows {
    let is_there = scan.metadata(MAIN, Follow::Never).is_some();
    if is_there && !scan.metadata(MAIN, Follow::Links).is_some_and(|found| found.is_file()) {
        // Of a link to nowhere the server says so and ends.
        scan.warn(format!("{MAIN} leads to no file, so it is not known what a server would do"));
        return Box::new(std::iter::empty());
    }
    let has_server = is_there || PROGRAMS.iter().any(|program| scan.exists(program));
    if !has_server {
        return Box::new(std::iter::empty());
    }
    let mut settings = Settings::default();
    settings.read(scan, &PathBuf::from(MAIN), 0, true);
    settings.add_defaults();
    settings.list.sort_by(|left, right| left.keyword.cmp(&right.keyword));
    Box::new(settings.list.into_iter().map(|one| row! { keyword: one.keyword, value: one.value, source: one.source }))
}

#[derive(Debug, PartialEq, Eq)]
struct Setting {
    keyword: String,
    value: String,
    source: String,
}

#[derive(Debug, Default)]
struct Settings {
    list: Vec<Setting>,
    /// The keywords of the list.
    known: BTreeSet<String>,
    files_read: usize,
}

impl Settings {
    fn read(&mut self, scan: &Scan, path: &PathBuf, depth: usize, applies: bool) {
        self.files_read += 1;
        if self.files_read > MAX_FILES {
            scan.warn("more than 256 files are included; the rest is not read");
            return;
        }
        let Some(text) = scan.text(path) else { return };
        let shown = paths::display(path);
        let mut applies = applies;
        for (keyword, value) in text.lines().filter_map(parse_line) {
            if !scan.budget().is_open() {
                return;
            }
            match keyword.as_str() {
                "match" => applies = value.eq_ignore_ascii_case("all"),
                "include" if applies && depth < MAX_INCLUDE_DEPTH => {
                    for pattern in value.split_whitespace() {
                        let absolute =
                            if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/ssh/{pattern}") };
                        for included in Pattern::glob(&absolute).expand(scan) {
                            self.read(scan, &included, depth + 1, true);
                        }
                    }
                }
                "include" => {}
                _ if applies => self.add(keyword, value, &shown),
                _ => {}
            }
        }
    }

    fn add(&mut self, keyword: String, value: String, source: &str) {
        let keyword = modern_name(keyword);
        let is_new = self.known.insert(keyword.clone());
        if is_new || ACCUMULATED.contains(&keyword.as_str()) {
            let value = normal(&keyword, value);
            self.list.push(Setting { keyword, value, source: source.to_owned() });
        }
    }

    fn add_defaults(&mut self) {
        for (keyword, default) in DEFAULTS {
            let set = self.list.iter_mut().find(|known| known.keyword == *keyword);
            match set {
                None => self.list.push(Setting {
                    keyword: (*keyword).to_owned(),
                    value: (*default).to_owned(),
                    source: "default".to_owned(),
                }),
                Some(setting) if is_algorithm_list(keyword) => {
                    if let Some(value) = relative_list(&setting.value, default) {
                        setting.value = value;
                    }
                }
                Some(_) => {}
            }
        }
    }
}

/// Keyword in lower case and value of a line; blanks or one `=` between them, quotes taken off.
fn parse_line(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let end = line.find(|letter: char| letter.is_whitespace() || letter == '=')?;
    let (keyword, rest) = line.split_at(end);
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    let value = words(rest).join(" ");
    (!keyword.is_empty() && !value.is_empty()).then(|| (keyword.to_ascii_lowercase(), value))
}

/// The words of a value: quoted ones may hold blanks, and `#` starts a comment (since OpenSSH 8.5).
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            Some(quoted) => quoted,
            None => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// Names that OpenSSH renamed and still accepts.
fn modern_name(keyword: String) -> String {
    match keyword.as_str() {
        "challengeresponseauthentication" | "skeyauthentication" => "kbdinteractiveauthentication".to_owned(),
        "dsaauthentication" => "pubkeyauthentication".to_owned(),
        "hostbasedacceptedkeytypes" => "hostbasedacceptedalgorithms".to_owned(),
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms".to_owned(),
        "keepalive" => "tcpkeepalive".to_owned(),
        _ => keyword,
    }
}

/// The value as `sshd -T` writes it: durations in seconds, one word for one meaning.
fn normal(keyword: &str, value: String) -> String {
    if DURATIONS.contains(&keyword) {
        return seconds(&value).map_or(value, |seconds| seconds.to_string());
    }
    match (keyword, value.to_ascii_lowercase().as_str()) {
        ("permitrootlogin", "without-password") => "prohibit-password".to_owned(),
        (_, lower @ ("yes" | "no")) => lower.to_owned(),
        (_, "true") => "yes".to_owned(),
        (_, "false") => "no".to_owned(),
        ("loglevel", _) => value.to_ascii_uppercase(),
        _ => value,
    }
}

/// `1h30m` in seconds (`sshd_config(5)`, TIME FORMATS).
fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for letter in text.chars() {
        if let Some(digit) = letter.to_digit(10) {
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit))?);
            continue;
        }
        let unit = match letter.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    total.checked_add(number.unwrap_or(0))
}

fn is_algorithm_list(keyword: &str) -> bool {
    keyword.ends_with("algorithms") || keyword == "ciphers" || keyword == "macs"
}

/// A list that starts with `+`, `-` or `^` changes the default list instead of replacing it.
fn relative_list(value: &str, default: &str) -> Option<String> {
    let (sign, names) = value.split_at_checked(1)?;
    let names: Vec<&str> = names.split(',').collect();
    let kept = |name: &&str| !names.iter().any(|pattern| paths::matches(pattern.as_bytes(), name.as_bytes()));
    let list: Vec<&str> = match sign {
        "+" => default
            .split(',')
            .chain(names.iter().copied().filter(|name| !default.split(',').any(|known| known == *name)))
            .collect(),
        "-" => default.split(',').filter(kept).collect(),
        "^" => names.iter().copied().chain(default.split(',').filter(kept)).collect(),
        _ => return None,
    };
    Some(list.join(","))
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut settings = Settings::default();
    for (keyword, value) in text.lines().filter_map(parse_line) {
        settings.add(keyword, value, "/x");
    }
    settings.add_defaults();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_read_as_sshd_reads_it() {
        for (line, expected) in [
            ("PermitRootLogin no", Some(("permitrootlogin", "no"))),
            ("\tPort=2222 # x", Some(("port", "2222"))),
            ("Banner \"/etc/my banner\"", Some(("banner", "/etc/my banner"))),
            ("# Port 1", None),
            ("UsePAM", None),
        ] {
            let found = parse_line(line);
            assert_eq!(found.as_ref().map(|(key, value)| (key.as_str(), value.as_str())), expected, "{line}");
        }
    }

    #[test]
    fn times_are_seconds_and_lists_may_be_relative() {
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("90"), Some(90));
        assert_eq!(seconds("99999999999999999999w"), None);
        assert_eq!(relative_list("-a*", "ab,b,ac").as_deref(), Some("b"));
        assert_eq!(relative_list("+x", "a,b").as_deref(), Some("a,b,x"));
        assert_eq!(relative_list("^b", "a,b").as_deref(), Some("b,a"));
        assert_eq!(relative_list("a,b", "c"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            parse_line(&line);
            seconds(&line);
            relative_list(&line, "a,b");
        }
    }
}
