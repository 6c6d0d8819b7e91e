//! `audit_rules`: the rules that are loaded at boot, as written on disk. `augenrules` makes `audit.rules` anew of `rules.d`, so that
//! what stands in the former alone is lost; where the service asks `auditctl` instead, `rules.d` is not read. A rule that
//! a later one takes back (`-d`, `-W`, and `-D` but for `augenrules`, which puts it first) is not there.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Audit rules that are loaded at boot: those of /etc/audit/rules.d or of audit.rules, whichever the service reads; white space reduced to one blank.
    audit_rules: kept {
        file: Text,
        line: BigInt,
        rule: Text,
    }
}

/// Rules that are held at once; the kernel goes through all of them at each call.
const MAX_RULES: usize = 100_000;

fn rows(scan: &Scan) -> Rows {
    let loader = loader(scan);
    let mut rules = Vec::new();
    for path in files(scan, loader) {
        let file = paths::display(&path);
        let found = parse(&scan.text(&path).unwrap_or_default());
        let room = MAX_RULES.saturating_sub(rules.len());
        if found.len() > room || !scan.budget().is_open() {
            scan.warn(format!("more than {MAX_RULES} rules; those from {file} on are not read"));
            break;
        }
        rules.extend(found.into_iter().map(|(line, text)| Rule { file: file.clone(), line, text }));
    }
    let rules = kept(rules, loader);
    Box::new(rules.into_iter().map(|rule| row! { file: rule.file, line: rule.line, rule: rule.text }))
}

/// A line of a file of rules.
#[derive(Debug)]
struct Rule {
    file: String,
    line: i64,
    text: String,
}

/// The rules that no later one takes back.
fn kept(rules: Vec<Rule>, loader: Option<Loader>) -> Vec<Rule> {
    let mut taken_back: HashSet<String> = HashSet::new();
    let mut is_cleared = false;
    let mut kept = Vec::new();
    // From the end: what is taken back is known before the rule comes.
    for rule in rules.into_iter().rev() {
        let text = rule.text.as_str();
        let (option, rest) = text.split_once(' ').unwrap_or((text, ""));
        let is_loaded = match option {
            "-D" => {
                is_cleared |= loader == Some(Loader::Auditctl);
                true
            }
            "-W" | "-d" => {
                taken_back.extend(watched(option, rest));
                taken_back.insert(conditions(rest));
                true
            }
            "-w" => !is_cleared && !watched(option, rest).is_some_and(|path| taken_back.contains(&path)),
            "-a" | "-A" => !is_cleared && !taken_back.contains(&conditions(rest)),
            _ => true,
        };
        if is_loaded {
            kept.push(rule);
        }
    }
    kept.reverse();
    kept
}

/// The path that a watch is about, however it is written: `-w /etc/passwd`, or `-F path=/etc/passwd`.
fn watched(option: &str, rest: &str) -> Option<String> {
    let path = if option.eq_ignore_ascii_case("-w") {
        rest.split(' ').next()
    } else {
        rest.split(' ').find_map(|word| word.strip_prefix("path=").or_else(|| word.strip_prefix("dir=")))
    }?;
    Some(path.trim_end_matches('/').to_owned())
}

/// What a rule says, in whatever order it says it: `exit,always` is `always,exit`.
fn conditions(rest: &str) -> String {
    let mut words: Vec<String> = rest
        .split(' ')
        .filter(|word| !word.is_empty() && *word != "-F" && *word != "-S")
        .map(|word| {
            let mut parts: Vec<&str> = word.split(',').collect();
            parts.sort_unstable();
            parts.join(",")
        })
        .collect();
    words.sort_unstable();
    words.join(" ")
}

fn files(scan: &Scan, loader: Option<Loader>) -> Vec<PathBuf> {
    let main = PathBuf::from("/etc/audit/audit.rules");
    let mut files = scan.paths("/etc/audit/rules.d", ".rules");
    // `ls`, which augenrules asks, does not show them.
    files.retain(|path| !path.file_name().is_some_and(|name| paths::name(name).starts_with('.')));
    match loader {
        Some(Loader::Augenrules) if files.is_empty() => vec![main],
        Some(Loader::Augenrules) => files,
        Some(Loader::Auditctl) => vec![main],
        None => {
            files.push(main);
            files
        }
    }
}

/// The program that a service starts to load the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loader {
    Augenrules,
    Auditctl,
}

/// None where no service says it.
fn loader(scan: &Scan) -> Option<Loader> {
    const FOLDERS: [&str; 3] = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    ["audit-rules.service", "auditd.service"]
        .iter()
        .filter_map(|unit| FOLDERS.iter().find_map(|folder| scan.text(Path::new(folder).join(unit))))
        .find_map(|text| loader_in(&text))
}

fn loader_in(unit: &str) -> Option<Loader> {
    let started = || unit.lines().map(str::trim).filter(|line| line.starts_with("ExecStart"));
    if started().any(|line| line.contains("augenrules")) {
        Some(Loader::Augenrules)
    } else if started().any(|line| line.contains("auditctl")) {
        Some(Loader::Auditctl)
    } else {
        None
    }
}

fn parse(text: &str) -> Vec<(i64, String)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|(number, line)| (number, line.split_whitespace().collect::<Vec<_>>().join(" ")))
        .collect()
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let rules = parse(&text).into_iter().map(|(line, text)| Rule { file: "/x".to_owned(), line, text });
    kept(rules.collect(), Some(Loader::Auditctl));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_which_program_loads_the_rules() {
        for (unit, expected) in [
            ("[Service]\nExecStart=/sbin/auditd\nExecStartPost=-/sbin/augenrules --load\n", Some(Loader::Augenrules)),
            (
                "#ExecStartPost=-/sbin/augenrules --load\nExecStartPost=-/sbin/auditctl -R /etc/audit/audit.rules\n",
                Some(Loader::Auditctl),
            ),
            ("[Service]\nExecStart=/sbin/auditd\n", None),
        ] {
            assert_eq!(loader_in(unit), expected, "{unit}");
        }
    }

    #[test]
    fn a_rule_that_a_later_one_takes_back_is_not_there() {
        let left = |text: &str, loader: Option<Loader>| {
            let rules = parse(text).into_iter().map(|(line, text)| Rule { file: "/x".to_owned(), line, text });
            kept(rules.collect(), loader).into_iter().map(|rule| rule.text).collect::<Vec<_>>().join("|")
        };
        let augenrules = Some(Loader::Augenrules);
        assert_eq!(left("-w /a -p wa -k x\n-W /a -k x -p wa\n", augenrules), "-W /a -k x -p wa");
        assert_eq!(
            left("-w /a -p wa\n-w /b -p wa\n-d exit,always -F path=/a\n", augenrules),
            "-w /b -p wa|-d exit,always -F path=/a"
        );
        assert_eq!(
            left("-a always,exit -F arch=b64 -S open -k x\n-d exit,always -S open -F arch=b64 -k x\n", augenrules),
            "-d exit,always -S open -F arch=b64 -k x"
        );
        assert_eq!(left("-W /a -p wa\n-w /a -p wa\n", augenrules), "-W /a -p wa|-w /a -p wa", "in that order");
        assert_eq!(left("-w /a -p wa\n-D\n-e 2\n", Some(Loader::Auditctl)), "-D|-e 2");
        assert_eq!(left("-w /a -p wa\n-D\n", augenrules), "-w /a -p wa|-D", "augenrules puts it first");
    }
}
