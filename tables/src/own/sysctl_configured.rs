//! `sysctl_configured`: kernel settings as they are set at boot, in the order of `sysctl.d(5)`. systemd-sysctl reads
//! `/etc/sysctl.conf` only where a link such as Debian's `99-sysctl.conf` puts it, in the place of the link's name; without
//! systemd `sysctl --system` reads it last. What `tmpfiles.d` writes below `/proc/sys` comes behind all of it; `sysctl.…=` on the
//! kernel's command line comes before, and what a file says replaces it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::drop_in;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Kernel settings configured on disk, one row a name, with the file that wins: of sysctl.d, its patterns as far as they are for all or for new interfaces, or of tmpfiles.d.
    sysctl_configured: kept {
        name: Text,
        value: Text,
        source: Text,
    }
}

const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
const MAIN: &str = "/etc/sysctl.conf";
const TMPFILES: [&str; 5] =
    ["/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d", "/lib/tmpfiles.d"];
/// Two names of one variable.
const FORWARDING: [&str; 2] = ["net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding"];
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
    let mut lines = Lines::default();
    'files: for file in files(scan) {
        let source = paths::display(&file);
        for (name, value) in parse(&scan.text(&file).unwrap_or_default()) {
            if !scan.budget().is_open() {
                break 'files;
            }
            lines.take(name, value, &source);
        }
    }
    let mut written = lines.written();
    written.extend(by_tmpfiles(scan));
    settled(written)
}

fn files(scan: &Scan) -> Vec<PathBuf> {
    let mut files = drop_in::files(scan, &FOLDERS, ".conf");
    if !SYSTEMD.iter().any(|program| scan.exists(program)) {
        let is_main = |path: &PathBuf| scan.read_link(path).is_some_and(|target| target.ends_with("sysctl.conf"));
        files.retain(|path| !is_main(path));
        files.push(MAIN.into());
    }
    files
}

/// What the files say, in the order in which it is written: a name counts where it has its last value first.
#[derive(Debug, Default)]
struct Lines {
    settings: Vec<Option<Setting>>,
    /// Names that are set or, by a dash without a value, excluded: no pattern sets them.
    positions: HashMap<String, Option<usize>>,
}

impl Lines {
    fn take(&mut self, name: String, value: Option<String>, source: &str) {
        let known = self.positions.get(&name).copied().flatten().and_then(|place| self.settings.get_mut(place));
        if let Some(known) = known {
            match known {
                Some(setting) if value.as_ref() == Some(&setting.value) => {
                    source.clone_into(&mut setting.source);
                    return;
                }
                _ => *known = None,
            }
        }
        let place = value.is_some().then_some(self.settings.len());
        self.positions.insert(name.clone(), place);
        if let Some(value) = value {
            self.settings.push(Some(Setting { name, value, source: source.to_owned() }));
        }
    }

    /// All settings, patterns followed by what they set.
    fn written(self) -> Vec<Setting> {
        let mut written = Vec::with_capacity(self.settings.len());
        for setting in self.settings.into_iter().flatten() {
            let names = instances(&setting.name);
            let set = names.into_iter().filter(|name| !self.positions.contains_key(name));
            let set: Vec<Setting> = set.map(|name| Setting { name, ..setting.clone() }).collect();
            written.push(setting);
            written.extend(set);
        }
        written
    }
}

/// The settings of all interfaces, and of those to come, that a pattern such as `net.ipv4.conf.*.rp_filter` is for.
fn instances(name: &str) -> Vec<String> {
    const KNOWN: [&[&str]; 4] = [&["net"], &["ipv4", "ipv6"], &["conf", "neigh"], &["all", "default"]];
    let parts: Vec<&str> = name.split('.').collect();
    let Some((last, folders)) = parts.split_last().filter(|(_, folders)| folders.len() == KNOWN.len()) else {
        return Vec::new();
    };
    if paths::is_pattern(last) || !paths::is_pattern(name) {
        return Vec::new();
    }
    let mut names = vec![String::new()];
    for (part, known) in folders.iter().zip(KNOWN) {
        let meant: Vec<&str> = if paths::is_pattern(part) {
            known.iter().copied().filter(|name| paths::matches(part.as_bytes(), name.as_bytes())).collect()
        } else {
            vec![*part]
        };
        names = names.iter().flat_map(|name| meant.iter().map(move |part| format!("{name}{part}."))).collect();
    }
    names.into_iter().map(|name| name + *last).collect()
}

/// What `systemd-tmpfiles` writes to files below `/proc/sys`; of several lines for a file the first counts.
fn by_tmpfiles(scan: &Scan) -> Vec<Setting> {
    let mut written: Vec<Setting> = Vec::new();
    let mut known: HashSet<String> = HashSet::new();
    for file in drop_in::files(scan, &TMPFILES, ".conf") {
        let text = scan.text(&file).unwrap_or_default();
        for (name, value) in text.lines().filter_map(tmpfile) {
            if known.insert(name.clone()) {
                written.push(Setting { name, value, source: paths::display(&file) });
            }
        }
    }
    written
}

/// The setting that a line of `tmpfiles.d` writes: a type, a path, four words about the file, and its text.
fn tmpfile(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let kind = words.next()?;
    if !kind.starts_with(['w', 'F']) && !kind.starts_with("f+") {
        return None;
    }
    let name = words.next()?.trim_matches(['"', '\'']).strip_prefix("/proc/sys/")?;
    let value = words.skip(4).collect::<Vec<_>>().join(" ");
    Some((dotted(&format!("/{name}")), value))
}

/// One row a name: what is written last. `ip_forward` is the variable of another name as well.
fn settled(written: Vec<Setting>) -> Vec<Setting> {
    let forwarding = written.iter().rfind(|setting| FORWARDING.contains(&setting.name.as_str())).cloned();
    let has_both = FORWARDING.iter().all(|name| written.iter().any(|setting| setting.name == *name));
    let mut all = written;
    if let Some(last) = forwarding {
        let names = FORWARDING.into_iter().take(if has_both { 2 } else { 1 });
        all.extend(names.map(|name| Setting { name: name.to_owned(), ..last.clone() }));
    }
    let mut settings: Vec<Setting> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for setting in all {
        if let Some(known) = positions.get(&setting.name).and_then(|position| settings.get_mut(*position)) {
            *known = setting;
        } else {
            positions.insert(setting.name.clone(), settings.len());
            settings.push(setting);
        }
    }
    settings
}

/// Names with their values; none for one behind a dash that patterns are not to set.
fn parse(text: &str) -> Vec<(String, Option<String>)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| match line.split_once('=') {
            // A dash in front means that a failure is no error.
            Some((name, value)) => {
                let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
                Some((dotted(name.trim().trim_start_matches('-').trim()), Some(value)))
            }
            None => line.strip_prefix('-').map(|name| (dotted(name.trim()), None)),
        })
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

/// The name with dots between its parts; where the first separator is a slash, dots are part of a name and become slashes. Empty
/// parts do not count (`sysctl_normalize` of systemd).
pub(crate) fn dotted(name: &str) -> String {
    let is_path = name.find(['.', '/']).is_some_and(|position| name[position..].starts_with('/'));
    let (separator, itself) = if is_path { ('/', ".") } else { ('.', "/") };
    let parts = name.split(separator).filter(|part| !part.is_empty() && *part != itself);
    let parts: Vec<String> = parts.map(|part| if is_path { part.replace('.', "/") } else { part.to_owned() }).collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_written_with_dots() {
        let names = |text: &str| parse(text).into_iter().map(|(name, value)| (name, value.unwrap_or_default()));
        assert_eq!(
            names("net/ipv4/conf/eth0.1/forwarding = 1\n-kernel.x=a  b\n;no=1\n-kernel.y\n").collect::<Vec<_>>(),
            [("net.ipv4.conf.eth0/1.forwarding", "1"), ("kernel.x", "a b"), ("kernel.y", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        for name in ["/net/ipv4/ip_forward", "net..ipv4.ip_forward", "net//ipv4/./ip_forward", ".net.ipv4.ip_forward."]
        {
            assert_eq!(dotted(name), "net.ipv4.ip_forward", "{name}");
        }
    }

    #[test]
    fn what_is_written_last_counts() {
        for (text, expected) in [
            ("a.b=1\na.b=2\na.b=1", "a.b=1"),
            ("a.b=1\n-a.b\n", ""),
            (
                "net.ipv4.conf.*.rp_filter=1\nnet.ipv4.conf.all.rp_filter=2\n",
                "net.ipv4.conf.*.rp_filter=1 net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.default.rp_filter=1",
            ),
            (
                "net.ipv4.conf.all.rp_filter=2\nnet/ipv4/conf/*/rp_filter=1\n-net.ipv4.conf.default.rp_filter\n",
                "net.ipv4.conf.*.rp_filter=1 net.ipv4.conf.all.rp_filter=2",
            ),
            ("kernel.*=1\n", "kernel.*=1"),
            (
                "net.ipv4.ip_forward=0\nnet.ipv4.conf.all.forwarding=1\n",
                "net.ipv4.conf.all.forwarding=1 net.ipv4.ip_forward=1",
            ),
            (
                "net.ipv4.conf.all.forwarding=1\nnet.ipv4.ip_forward=0\n",
                "net.ipv4.conf.all.forwarding=0 net.ipv4.ip_forward=0",
            ),
            ("net.ipv4.ip_forward=0\n", "net.ipv4.ip_forward=0"),
        ] {
            let mut lines = Lines::default();
            for (name, value) in parse(text) {
                lines.take(name, value, "/x");
            }
            let mut found: Vec<String> =
                settled(lines.written()).into_iter().map(|one| format!("{}={}", one.name, one.value)).collect();
            found.sort_unstable();
            assert_eq!(found.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_line_of_tmpfiles_writes_a_setting() {
        for (line, expected) in [
            ("w /proc/sys/net/ipv4/ip_forward - - - - 1", Some(("net.ipv4.ip_forward", "1"))),
            ("w!\t\"/proc/sys/kernel/printk\" - - - - 3 4  1 3", Some(("kernel.printk", "3 4 1 3"))),
            ("f+ /proc/sys/kernel/sysrq - - - - 1", Some(("kernel.sysrq", "1"))),
            ("d /proc/sys/x - - - -", None),
            ("# w /proc/sys/kernel/sysrq - - - - 1", None),
            ("w /sys/power/state - - - - x", None),
        ] {
            let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(tmpfile(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            parse(&text);
        }
    }
}
