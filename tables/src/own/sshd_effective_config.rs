//! `sshd_effective_config`: what `sshd -T` would answer, from the files alone: of a keyword the first value counts, `Include` is
//! followed in place, and what no file says has OpenSSH's default. Of blocks of `Match` only those count that hold for everybody:
//! what they say comes before all that stands outside of blocks. What the others say is in `sshd_match_config`. With a line that
//! it refuses sshd does not start, so that nobody knows what it runs with: the table says so.

use std::collections::BTreeSet;
use std::path::Path;

use crate::included::Included;
use crate::own::sshd_criteria::Criteria;
use crate::own::sshd_defaults::{
    ACCUMULATED, DEFAULTS, DURATIONS, HOST_KEYS, IN_SMALL_LETTERS, ONE_A_WORD, modern_name,
};
use crate::own::{sshd_options, sshd_words};
use crate::paths;
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};
use crate::shell_glob;

table! {
    /// The SSH server's settings as they apply to everybody: outside of Match blocks, and in blocks that hold for everybody (`Match User *`); keywords in lower case, source `default` or the file.
    sshd_effective_config: kept {
        keyword: Text,
        value: Text,
        source: Text,
    }
}

pub(super) const MAIN: &str = "/etc/ssh/sshd_config";
const LISTEN: &str = "listenaddress";
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];
/// Blocks of `Match` for some connections; a handful is usual.
const MAX_BLOCKS: usize = 1_024;

fn rows(scan: &Scan) -> Rows {
    let Some(mut settings) = Settings::of(scan) else { return Box::new(std::iter::empty()) };
    settings.take_blocks();
    settings.add_defaults();
    settings.add_listeners();
    settings.list.sort_by(|left, right| left.keyword.cmp(&right.keyword));
    Box::new(settings.list.into_iter().map(|one| row! { keyword: one.keyword, value: one.value, source: one.source }))
}

/// What blocks of `Match` say that hold for some connections only.
pub(super) fn for_some(scan: &Scan) -> Vec<ForSome> {
    Settings::of(scan).map(|settings| settings.some).unwrap_or_default()
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub keyword: String,
    pub value: String,
    pub source: String,
}

/// A block of `Match` that holds for some connections only.
#[derive(Debug)]
pub(super) struct ForSome {
    criteria: Criteria,
    settings: Settings,
}

impl ForSome {
    /// Its criteria with each of its settings.
    pub fn into_settings(self) -> impl Iterator<Item = (Criteria, Setting)> {
        let ForSome { criteria, settings } = self;
        settings.list.into_iter().map(move |setting| (criteria.clone(), setting))
    }
}

#[derive(Debug, Default)]
struct Settings {
    list: Vec<Setting>,
    /// The keywords of the list.
    known: BTreeSet<String>,
    included: Included,
    /// What blocks say that hold for everybody.
    blocks: Option<Box<Settings>>,
    /// The other blocks, in their order.
    some: Vec<ForSome>,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Outside,
    ForEverybody,
    /// The position of the block in the list of those for some; a block behind the last one is not read.
    ForSome(usize),
}

impl Settings {
    /// What the service and its files say; none where there is no server, or no file that it could start with.
    fn of(scan: &Scan) -> Option<Self> {
        let options = sshd_options::of_service(scan);
        let main = options.file.unwrap_or_else(|| MAIN.into());
        let is_there = scan.metadata(&main, Follow::Never).is_some();
        if is_there && !scan.metadata(&main, Follow::Links).is_some_and(|found| found.is_file()) {
            // Of a link to nowhere the server says so and ends.
            scan.warn(format!(
                "{} cannot be read as a file, and sshd does not start without it",
                paths::display(&main)
            ));
            return None;
        }
        let has_server = is_there || PROGRAMS.iter().any(|program| scan.exists(program));
        if !has_server {
            return None;
        }
        let mut settings = Settings::default();
        for (line, source) in &options.settings {
            match sshd_words::of_line(line) {
                Ok(Some((keyword, words))) => settings.add(keyword, &words, source),
                Ok(None) => {}
                Err(refused) => scan.warn(format!("an option in {source} has {}", refused.reason())),
            }
        }
        settings.read(scan, &main, 0, Block::Outside);
        Some(settings)
    }

    fn read(&mut self, scan: &Scan, path: &Path, depth: usize, around: Block) {
        if !self.included.may_read(scan, depth) {
            return;
        }
        let shown = paths::display(path);
        let Some(text) = scan.text(path) else {
            scan.warn(format!("{shown} cannot be read as a file, and sshd does not start without it"));
            return;
        };
        let mut block = around;
        for (number, line) in (1_u64..).zip(text.lines()) {
            if !scan.budget().is_open() {
                return;
            }
            let (keyword, words) = match sshd_words::of_line(line) {
                Ok(Some(found)) => found,
                Ok(None) => continue,
                Err(refused) => {
                    scan.warn(format!(
                        "line {number} of {shown} has {}: sshd does not start with it",
                        refused.reason()
                    ));
                    continue;
                }
            };
            match keyword.as_str() {
                "match" => block = self.begin(scan, &words, around),
                "include" => {
                    for pattern in &words {
                        let absolute =
                            if pattern.starts_with('/') { pattern.clone() } else { format!("/etc/ssh/{pattern}") };
                        for included in shell_glob::glob(scan, &absolute) {
                            self.read(scan, &included, depth + 1, block);
                        }
                    }
                }
                _ => self.add_in(block, keyword, &words, &shown),
            }
        }
    }

    /// The block that the words of a `Match` begin, in a file that is included in `around`.
    fn begin(&mut self, scan: &Scan, words: &[String], around: Block) -> Block {
        let Some(criteria) = Criteria::of(words) else {
            return if matches!(around, Block::ForSome(_)) { around } else { Block::ForEverybody };
        };
        let criteria = match around {
            Block::ForSome(outer) => self.some.get(outer).map(|outer| criteria.within(&outer.criteria)),
            Block::Outside | Block::ForEverybody => Some(criteria),
        };
        let position = self.some.len();
        match criteria {
            Some(criteria) if position < MAX_BLOCKS => {
                self.some.push(ForSome { criteria, settings: Settings::default() });
            }
            _ => scan.warn("more than 1,024 blocks of Match are for some connections; the rest is not read"),
        }
        Block::ForSome(position)
    }

    fn add_in(&mut self, block: Block, keyword: String, words: &[String], source: &str) {
        match block {
            Block::Outside => self.add(keyword, words, source),
            Block::ForEverybody => self.blocks.get_or_insert_with(Box::default).add(keyword, words, source),
            Block::ForSome(position) => {
                let keyword = modern_name(keyword);
                // What a block for everybody said before comes first.
                let is_decided = self.blocks.as_ref().is_some_and(|blocks| blocks.known.contains(&keyword));
                if let Some(one) = self.some.get_mut(position).filter(|_| !is_decided) {
                    one.settings.add(keyword, words, source);
                }
            }
        }
    }

    fn add(&mut self, keyword: String, words: &[String], source: &str) {
        let keyword = modern_name(keyword);
        let is_new = self.known.insert(keyword.clone());
        if !is_new && !ACCUMULATED.contains(&keyword.as_str()) {
            return;
        }
        let values = if ONE_A_WORD.contains(&keyword.as_str()) { words.to_vec() } else { vec![words.join(" ")] };
        for value in values {
            let value = normal(&keyword, value);
            self.list.push(Setting { keyword: keyword.clone(), value, source: source.to_owned() });
        }
    }

    /// Puts what blocks for everybody say in the place of what stands outside of them, as sshd does at each connection.
    fn take_blocks(&mut self) {
        let Some(mut blocks) = self.blocks.take() else { return };
        self.list.retain(|one| !blocks.known.contains(&one.keyword));
        self.list.append(&mut blocks.list);
        self.known.append(&mut blocks.known);
    }

    fn values(&self, keyword: &str) -> Vec<String> {
        self.list.iter().filter(|one| one.keyword == keyword).map(|one| one.value.clone()).collect()
    }

    /// Addresses as `sshd -T` prints them: with each port, and all addresses where none is given.
    fn add_listeners(&mut self) {
        let ports = self.values("port");
        let any: &[&str] = match self.values("addressfamily").first().map(String::as_str) {
            Some("inet") => &["0.0.0.0"],
            Some("inet6") => &["::"],
            _ => &["::", "0.0.0.0"],
        };
        let (given, others): (Vec<Setting>, Vec<Setting>) =
            std::mem::take(&mut self.list).into_iter().partition(|one| one.keyword == LISTEN);
        self.list = others;
        let mut add = |value: &str, source: &str| {
            for value in listeners(value, &ports) {
                self.list.push(Setting { keyword: LISTEN.to_owned(), value, source: source.to_owned() });
            }
        };
        for one in &given {
            add(&one.value, &one.source);
        }
        if given.is_empty() {
            for address in any {
                add(address, "default");
            }
        }
    }

    fn add_defaults(&mut self) {
        if !self.known.contains("hostkey") {
            self.list.extend(HOST_KEYS.map(|key| Setting {
                keyword: "hostkey".to_owned(),
                value: key.to_owned(),
                source: "default".to_owned(),
            }));
        }
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

/// An address of `ListenAddress` with its port, or with each of `Port`; a table of routes stays behind it.
fn listeners(value: &str, ports: &[String]) -> Vec<String> {
    let (address, routes) = value.split_at(value.find(' ').unwrap_or(value.len()));
    let (host, port) = host_and_port(address);
    let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match port {
        Some(port) => vec![format!("{shown}:{port}{routes}")],
        None => ports.iter().map(|port| format!("{shown}:{port}{routes}")).collect(),
    }
}

/// `2001:db8::1` has no port, `[2001:db8::1]:22` and `host:22` have.
fn host_and_port(address: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = address.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (address, None),
    }
}

/// The value as `sshd -T` writes it: durations in seconds, one word for one meaning.
fn normal(keyword: &str, value: String) -> String {
    if DURATIONS.contains(&keyword) {
        return seconds(&value).map_or(value, |seconds| seconds.to_string());
    }
    match (keyword, value.to_ascii_lowercase().as_str()) {
        // It prints the first of its names for a meaning.
        ("permitrootlogin", "prohibit-password") => "without-password".to_owned(),
        ("compression", "delayed") | ("allowtcpforwarding" | "allowstreamlocalforwarding", "all") => "yes".to_owned(),
        (_, lower @ ("yes" | "no")) => lower.to_owned(),
        ("loglevel" | "syslogfacility", _) => value.to_ascii_uppercase(),
        (keyword, lower) if IN_SMALL_LETTERS.contains(&keyword) => lower.to_owned(),
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
    for (keyword, words) in text.lines().filter_map(|line| sshd_words::of_line(line).ok().flatten()) {
        settings.add(keyword, &words, "/x");
    }
    settings.add_defaults();
    settings.add_listeners();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_listener_has_its_port_or_each_of_the_ports() {
        let ports = ["22".to_owned(), "2222".to_owned()];
        for (value, expected) in [
            ("0.0.0.0", "0.0.0.0:22 0.0.0.0:2222"),
            ("::", "[::]:22 [::]:2222"),
            ("[::1]:80", "[::1]:80"),
            ("10.0.0.1:80 rdomain red", "10.0.0.1:80 rdomain red"),
        ] {
            assert_eq!(listeners(value, &ports).join(" "), expected, "{value}");
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
            listeners(&line, &["22".to_owned()]);
            seconds(&line);
            relative_list(&line, "a,b");
        }
    }
}
