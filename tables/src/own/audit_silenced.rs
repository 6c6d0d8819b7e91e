//! What rules of audit that say `never` leave to those behind them. All rules on the list `exit` have one order, watches too: of
//! those that match a call the first decides (`prio` in the kernel's `auditsc.c`), and `-A` puts one before all others. A rule on
//! the list `filesystem` takes the names of files away, so that nothing is left to watches.

use std::collections::HashSet;

use crate::own::audit_words::{self, list_has, option_of};

/// Calls by which files are opened, so that a watch sees nothing without them.
const OPENING: [&str; 2] = ["open", "openat"];
/// File systems that the kernel makes up; rules for what lies on disks are not about them.
const MADE_UP: [&str; 9] =
    ["debugfs", "tracefs", "sysfs", "proc", "cgroup", "cgroup2", "securityfs", "0x64626720", "0x74726163"];
/// Numbers of people; the one behind the last says that nobody has signed in.
const PEOPLE: std::ops::Range<u32> = 1_000..u32::MAX;
/// Folders above a place that are looked at; paths of people have some dozens at most.
const MAX_FOLDERS: usize = 64;

/// The places of rules for which no call is left.
pub(super) fn left_out(rules: &[&str]) -> HashSet<usize> {
    let is_nameless = rules.iter().any(|rule| takes_names(rule));
    let is = |place: &usize, wanted: &[&str]| wanted.contains(&option_of(rules[*place]).0);
    let prepended = (0..rules.len()).rev().filter(|place| is(place, &["-A"]));
    let appended = (0..rules.len()).filter(|place| is(place, &["-a", "-w"]));
    let mut silenced = Silenced::default();
    let mut left_out = HashSet::new();
    for place in prepended.chain(appended) {
        let (option, rest) = option_of(rules[place]);
        let is_watch = option == "-w";
        if !is_watch && !list_has(rest, "exit") {
            continue;
        }
        let asked = Asked::of(is_watch, rest);
        if !is_watch && list_has(rest, "never") {
            silenced.add(&asked);
        } else if silenced.has(&asked) || is_nameless && asked.place.is_some() {
            left_out.insert(place);
        }
    }
    left_out
}

/// Whether the kernel keeps no names of files on a disk by this rule.
fn takes_names(rule: &str) -> bool {
    let (option, rest) = option_of(rule);
    let is_about_disk = || {
        rest.split(' ')
            .filter_map(|word| word.trim_start_matches("-F").strip_prefix("fstype="))
            .any(|kind| !MADE_UP.contains(&kind))
    };
    matches!(option, "-a" | "-A") && list_has(rest, "filesystem") && list_has(rest, "never") && is_about_disk()
}

/// Whether such a condition is about somebody who signs in, whose acts rules are there to record.
pub(super) fn is_person(field: &str, value: &str) -> bool {
    let is_account = || !matches!(value, "root" | "unset") && !value.starts_with('-');
    matches!(field, "auid" | "loginuid")
        && value.parse::<u32>().map_or_else(|_| is_account(), |number| PEOPLE.contains(&number))
}

/// What a rule on that list asks for.
#[derive(Debug, Default)]
struct Asked<'a> {
    /// Whether it names the calls of 32 bits, or those of 64.
    is_32: Option<bool>,
    /// None for all.
    calls: Vec<&'a str>,
    place: Option<&'a str>,
    /// Whether the place is a folder with all that lies below.
    is_folder: bool,
    /// Whether a condition picks few things out: `uid=123` does, `auid>=0`, `uid!=123`, `uid=0` and `auid=1000` do not.
    is_narrow: bool,
}

impl<'a> Asked<'a> {
    fn of(is_watch: bool, rest: &'a str) -> Self {
        let mut asked = Asked::default();
        if is_watch {
            asked.place = rest.split(' ').next().map(without_slash);
            return asked;
        }
        let mut names_all = false;
        for (option, argument) in audit_words::conditions(rest) {
            match option {
                "-F" => asked.narrow(argument),
                "-S" => {
                    names_all |= argument.split(',').any(|call| call == "all");
                    asked.calls.extend(argument.split(','));
                }
                _ => asked.is_narrow = true,
            }
        }
        if names_all {
            asked.calls.clear();
        }
        asked
    }

    fn narrow(&mut self, argument: &'a str) {
        match audit_words::parts(argument) {
            ("arch", _, value) => self.is_32 = Some(value == "b32" || value.starts_with('i')),
            (field @ ("path" | "dir"), "=", value) => {
                self.place = Some(without_slash(value));
                self.is_folder = field == "dir";
            }
            (field, "=", value) => self.is_narrow |= !is_common(field, value),
            _ => {}
        }
    }

    fn is_about_files(&self) -> bool {
        self.calls.is_empty() || self.calls.iter().any(|call| OPENING.contains(call))
    }
}

/// Whether a condition holds for what rules are there for: what root does, what people do, and what succeeds.
fn is_common(field: &str, value: &str) -> bool {
    match field {
        "auid" | "loginuid" => is_person(field, value),
        "key" | "perm" | "filetype" => true,
        "uid" | "euid" | "suid" | "fsuid" | "gid" | "egid" | "sgid" | "fsgid" => matches!(value, "0" | "root"),
        "success" => !matches!(value, "0" | "no"),
        "exit" => value == "0",
        _ => false,
    }
}

fn without_slash(path: &str) -> &str {
    path.trim_end_matches('/')
}

/// What is not recorded; of each two, calls of 64 bits and those of 32.
#[derive(Debug, Default)]
struct Silenced {
    is_all: [bool; 2],
    calls: [HashSet<String>; 2],
    files: [HashSet<String>; 2],
    folders: [HashSet<String>; 2],
}

impl Silenced {
    fn add(&mut self, asked: &Asked<'_>) {
        if asked.is_narrow {
            return;
        }
        let widths: &[bool] = match asked.is_32 {
            Some(true) => &[true],
            Some(false) => &[false],
            None => &[false, true],
        };
        for width in widths.iter().map(|is_32| usize::from(*is_32)) {
            match asked.place {
                Some(_) if !asked.is_about_files() => {}
                Some(place) => {
                    let places = if asked.is_folder { &mut self.folders } else { &mut self.files };
                    places[width].insert(place.to_owned());
                }
                None if asked.calls.is_empty() => self.is_all[width] = true,
                None => self.calls[width].extend(asked.calls.iter().map(|call| (*call).to_owned())),
            }
        }
    }

    /// Whether what a rule asks for is not recorded. One that names no width is there for calls of 64 bits.
    fn has(&self, asked: &Asked<'_>) -> bool {
        let width = usize::from(asked.is_32.unwrap_or(false));
        let has_call = |call: &&str| self.calls[width].contains(*call);
        self.is_all[width]
            || asked.calls.iter().any(has_call)
            || asked.place.is_some_and(|place| {
                asked.calls.is_empty() && OPENING.iter().any(has_call)
                    || self.files[width].contains(place)
                    || self.folders[width].contains(place)
                    || place
                        .match_indices('/')
                        .take(MAX_FOLDERS)
                        .any(|(end, _)| self.folders[width].contains(&place[..end]))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: &str = "-w /etc/passwd -p wa -k x";
    const FILE: &str = "-a always,exit -F path=/etc/passwd -F perm=wa";
    const CALLS: &str = "-a always,exit -F arch=b64 -S chmod,chown -F auid>=1000";
    const OLD_CALLS: &str = "-a always,exit -F arch=b32 -S chmod,chown -F auid>=1000";

    #[test]
    fn a_rule_that_says_never_stands_before_all_behind_it() {
        for (never, expected) in [
            ("-a never,exit", "1234"),
            ("-a exit,never -S all", "1234"),
            ("-a never,exit -F uid=0", "1234"),
            ("-a never,exit -Fauid>=0", "1234"),
            ("-a never,exit -F uid!=123 -k x", "1234"),
            ("-a never,exit -F success=1", "1234"),
            ("-a never,exit -F arch=b64", "123"),
            ("-a never,exit -F arch=b32", "4"),
            ("-a never,exit -F path=/etc/passwd", "12"),
            ("-a never,exit -F dir=/etc/ -F perm=wa", "12"),
            ("-a never,exit -F dir=/", "12"),
            ("-a never,exit -F path=/etc/shadow", ""),
            ("-a never,exit -F dir=/etc/pass", ""),
            ("-a never,exit -F arch=b64 -S openat", "12"),
            ("-a never,exit -S chown", "34"),
            ("-a never,exit -F arch=b64 -S adjtimex", ""),
            ("-a never,exit -F uid=123", ""),
            ("-a never,exit -F exe=/usr/bin/x", ""),
            ("-a never,exit -F auid=unset", ""),
            ("-a never,exit -F auid=4294967295", ""),
            ("-a never,exit -F auid=-1", ""),
            ("-a never,exit -F auid=0", ""),
            ("-a never,exit -F auid=1000 -S all", "1234"),
            ("-a never,exit -F auid=alice", "1234"),
            ("-a never,exit -F auid=1000 -F exe=/usr/bin/x", ""),
            ("-a never,filesystem -F fstype=tracefs", ""),
            ("-a always,filesystem -F fstype=ext4", ""),
            ("-a never,exit -C uid!=euid", ""),
            ("-a never,user", ""),
        ] {
            let mut places: Vec<usize> = left_out(&[never, WATCH, FILE, CALLS, OLD_CALLS]).into_iter().collect();
            places.sort_unstable();
            assert_eq!(places.iter().map(ToString::to_string).collect::<String>(), expected, "{never}");
            assert!(left_out(&[WATCH, FILE, CALLS, OLD_CALLS, never]).is_empty(), "it comes too late: {never}");
        }
    }

    #[test]
    fn without_names_of_files_nothing_is_left_to_watches() {
        for never in ["-a never,filesystem -F fstype=ext4", "-A filesystem,never -Ffstype=0xef53"] {
            assert_eq!(left_out(&[WATCH, FILE, CALLS, never]), HashSet::from([0, 1]), "{never}");
        }
    }

    #[test]
    fn what_is_put_first_stands_before_all() {
        assert_eq!(left_out(&[WATCH, "-A never,exit -F uid=0"]), HashSet::from([0]));
        assert!(left_out(&["-A never,exit", "-A always,exit -F path=/etc/passwd"]).is_empty(), "the last is the first");
    }
}
