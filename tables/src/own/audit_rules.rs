//! `audit_rules`: the rules that are loaded at boot, as written on disk. `augenrules` makes `audit.rules` anew of `rules.d`, so that
//! what stands in the former alone is lost; where the service asks `auditctl` instead, `rules.d` is not read. A rule that
//! a later one takes back (`-d`, `-W`, and `-D` but for `augenrules`, which puts it first) is not there, and neither is one that
//! another makes void: with `-e 0` or `-a never,task` the kernel records nothing of what rules ask for. Nor is one behind a line
//! that `auditctl` refuses. Where the service loads none, there are none.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::own::audit_words::{self, list_has, option_of};
use crate::own::{audit_lines, audit_silenced};
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::units;

table! {
    /// Audit rules that are loaded at boot and in force: those of /etc/audit/rules.d or of audit.rules, whichever the service reads, but for those that another takes back or makes void, or that stand behind a line that auditctl refuses; white space reduced to one blank.
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
    let rules = in_force(kept(accepted(rules, loader), loader), loader);
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
        let (option, rest) = option_of(text);
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

/// The rules that the kernel heeds: none once auditing is off, for no task or without its records, and none that an earlier one
/// leaves no call to. Of several `-e` the last counts, but that nothing follows `-e 2` where `auditctl` reads the file.
fn in_force(rules: Vec<Rule>, loader: Option<Loader>) -> Vec<Rule> {
    let switches = || (0..).zip(&rules).filter(|(_, rule)| option_of(&rule.text).0 == "-e");
    let locked = switches().find(|(_, rule)| loader == Some(Loader::Auditctl) && option_of(&rule.text).1 == "2");
    let switch: Option<usize> = locked.or_else(|| switches().last()).map(|(place, _)| place);
    let is_off = switch.and_then(|place| rules.get(place)).is_some_and(|rule| option_of(&rule.text).1 == "0");
    let is_void = is_off || rules.iter().any(|rule| silences_all(&rule.text));
    let texts: Vec<&str> = rules.iter().map(|rule| rule.text.as_str()).collect();
    let left_out = audit_silenced::left_out(&texts);
    let mut kept = Vec::with_capacity(rules.len());
    for (place, rule) in rules.into_iter().enumerate() {
        let (option, rest) = option_of(&rule.text);
        let is_kept = match option {
            "-e" => Some(place) == switch,
            "-w" => !is_void && !left_out.contains(&place),
            "-a" | "-A" => is_silencer(rest) || !is_void && !left_out.contains(&place),
            _ => true,
        };
        if is_kept {
            kept.push(rule);
        }
    }
    kept
}

/// The rules that are loaded at all: none behind a line that `auditctl` refuses, unless it is told to go on. What `augenrules`
/// puts together begins with the settings and ends with `-e`.
fn accepted(rules: Vec<Rule>, loader: Option<Loader>) -> Vec<Rule> {
    let rank = |place: &usize| match option_of(&rules[*place].text).0 {
        _ if loader == Some(Loader::Auditctl) => 1,
        "-D" | "-b" | "-f" => 0,
        "-e" => 2,
        _ => 1,
    };
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(rank);
    let mut goes_on = false;
    let mut accepted: HashSet<usize> = HashSet::with_capacity(rules.len());
    for place in order {
        let text = rules[place].text.as_str();
        if !audit_lines::is_refused(text) {
            goes_on |= audit_lines::goes_on(text);
            accepted.insert(place);
        } else if !goes_on {
            break;
        }
    }
    rules.into_iter().enumerate().filter(|(place, _)| accepted.contains(place)).map(|(_, rule)| rule).collect()
}

/// Whether a rule is about what is not to be recorded.
fn is_silencer(rest: &str) -> bool {
    list_has(rest, "never") || list_has(rest, "exclude")
}

/// Whether a rule takes the records of all tasks away, or those of all calls.
fn silences_all(text: &str) -> bool {
    let (option, rest) = option_of(text);
    matches!(option, "-a" | "-A")
        && is_about_all(rest)
        && (list_has(rest, "task") && list_has(rest, "never") || list_has(rest, "exclude") && rest.contains(" -F"))
}

/// Whether no condition of a rule picks one thing out: `uid=123` does, `auid>=0`, `uid!=123` and somebody who signs in do not.
fn is_about_all(rest: &str) -> bool {
    !audit_words::conditions(rest).any(|(option, argument)| match option {
        "-F" => picks_one_out(argument),
        "-S" => argument != "all",
        _ => true,
    })
}

fn picks_one_out(condition: &str) -> bool {
    let Some((field, value)) = condition.split_once('=') else { return false };
    match field {
        "arch" | "key" => false,
        // Without it no record of a call is left.
        "msgtype" => !value.eq_ignore_ascii_case("SYSCALL") && value != "1300",
        field => !field.ends_with(['!', '<', '>', '&']) && !audit_silenced::is_person(field, value),
    }
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
        Some(Loader::Nobody) => Vec::new(),
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
    /// The service starts neither.
    Nobody,
}

/// None where there is no such service.
fn loader(scan: &Scan) -> Option<Loader> {
    ["audit-rules.service", "auditd.service"].iter().find_map(|unit| {
        let started = ["ExecStartPre", "ExecStart", "ExecStartPost"];
        let commands: Vec<String> = started.iter().flat_map(|key| units::values(scan, unit, "Service", key)).collect();
        loader_in(&commands).or_else(|| (*unit == "auditd.service" && !commands.is_empty()).then_some(Loader::Nobody))
    })
}

fn loader_in(commands: &[String]) -> Option<Loader> {
    if commands.iter().any(|command| loads(command, "augenrules", "--load")) {
        Some(Loader::Augenrules)
    } else if commands.iter().any(|command| loads(command, "auditctl", "-R")) {
        Some(Loader::Auditctl)
    } else {
        None
    }
}

/// Whether a command, which a shell may run, is this program with the option that has it load rules.
fn loads(command: &str, program: &str, option: &str) -> bool {
    let words = command.split([' ', '\t', '"', '\'', ';', '&', '|']).filter(|word| !word.is_empty());
    let mut behind = words.skip_while(|word| {
        let word = word.trim_start_matches(['-', '@', ':', '+', '!']);
        word.rsplit('/').next() != Some(program)
    });
    behind.next().is_some() && behind.any(|word| word == option)
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
    let loader = Some(Loader::Auditctl);
    in_force(kept(accepted(rules.collect(), loader), loader), loader);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_which_program_loads_the_rules() {
        for (commands, expected) in [
            (&["/sbin/auditd", "-/sbin/augenrules --load"][..], Some(Loader::Augenrules)),
            (&["-/sbin/auditctl -R /etc/audit/audit.rules"][..], Some(Loader::Auditctl)),
            (&["/bin/sh -c '/sbin/augenrules --load; true'"][..], Some(Loader::Augenrules)),
            (&["/sbin/auditd"][..], None),
            (&["/sbin/augenrules --check"][..], None),
            (&["/bin/echo not-augenrules --load"][..], None),
        ] {
            let commands: Vec<String> = commands.iter().map(|command| (*command).to_owned()).collect();
            assert_eq!(loader_in(&commands), expected, "{commands:?}");
        }
    }

    #[test]
    fn a_rule_that_another_makes_void_is_not_there() {
        let left = |text: &str, loader: Option<Loader>| {
            let rules = parse(text).into_iter().map(|(line, text)| Rule { file: "/x".to_owned(), line, text });
            in_force(kept(rules.collect(), loader), loader)
                .into_iter()
                .map(|rule| rule.text)
                .collect::<Vec<_>>()
                .join("|")
        };
        let augenrules = Some(Loader::Augenrules);
        let both = "-w /a -p wa\n-a always,exit -S open\n";
        for (more, expected) in [
            ("-e 0\n", "-e 0"),
            ("-e0\n", "-e0"),
            ("-a never,task\n", "-a never,task"),
            ("-A task,never\n", "-A task,never"),
            ("-a never,task -F auid>=0\n", "-a never,task -F auid>=0"),
            ("-A exclude,always -F msgtype=SYSCALL\n", "-A exclude,always -F msgtype=SYSCALL"),
            ("-a never,task -F auid=1000\n", "-a never,task -F auid=1000"),
            ("-a always,exclude -F auid=1000\n", "-a always,exclude -F auid=1000"),
            ("-A never,exit -F arch=b64 -S all\n", "-A never,exit -F arch=b64 -S all"),
        ] {
            assert_eq!(left(&format!("{both}{more}"), augenrules), expected, "{more}");
        }
        for more in [
            "-e 2",
            "-a never,task -F uid=123",
            "-a always,exclude -F msgtype=CWD",
            "-a never,exit -F arch=b64 -S adjtimex",
            "-a never,exit",
        ] {
            let expected = format!("-w /a -p wa|-a always,exit -S open|{more}");
            assert_eq!(left(&format!("{both}{more}\n"), augenrules), expected);
        }
        assert_eq!(left("-a never,exit\n-w /a -p wa\n-a always,exit -S open\n", augenrules), "-a never,exit");
        assert_eq!(left("-e 2\n-w /a -p wa\n-e 0\n", augenrules), "-e 0", "the last counts");
        assert_eq!(left("-e 2\n-e 0\n", Some(Loader::Auditctl)), "-e 2", "it locks");
    }

    #[test]
    fn no_rule_behind_a_line_that_is_refused_is_loaded() {
        let left = |text: &str, loader: Option<Loader>| {
            let rules = parse(text).into_iter().map(|(line, text)| Rule { file: "/x".to_owned(), line, text });
            accepted(rules.collect(), loader).into_iter().map(|rule| rule.text).collect::<Vec<_>>().join("|")
        };
        let (augenrules, auditctl) = (Some(Loader::Augenrules), Some(Loader::Auditctl));
        let text = "-w /a -p wa\n-a nonsense\n-w /b -p wa\n-b 8192\n-e 2\n";
        assert_eq!(left(text, auditctl), "-w /a -p wa");
        assert_eq!(left(text, augenrules), "-w /a -p wa|-b 8192", "it puts -b first and -e last");
        for goes_on in ["-c", "-i"] {
            let expected = format!("{goes_on}|-w /a -p wa|-w /b -p wa|-b 8192|-e 2");
            assert_eq!(left(&format!("{goes_on}\n{text}"), auditctl), expected);
        }
        assert_eq!(left("-f nonsense\n-w /a -p wa\n", augenrules), "");
        assert_eq!(left("-w /a -p wa\n-e nonsense\n", augenrules), "-w /a -p wa");
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
