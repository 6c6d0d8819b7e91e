//! What rules of sudo allow: for whom, as whom, which commands, with a password or without. Aliases are resolved, and tags hold
//! for the commands after them, as in sudo.

use std::collections::{HashMap, HashSet};

use super::{Line, find, split, unescaped, without_comment};
use crate::reader::cut;

/// A command that a rule allows, or forbids where it begins with `!`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allowed {
    pub users: String,
    pub runas: String,
    pub command: String,
    pub needs_password: bool,
    pub may_execute: bool,
}

/// Names that one list, and commands that one rule stands for; sudoers of people have some dozens.
const MAX_NAMES: usize = 2_000;
/// What is said of whom a rule is for.
const MAX_USERS_BYTES: usize = 4_000;

const TAGS: [&str; 18] = [
    "EXEC",
    "NOEXEC",
    "FOLLOW",
    "NOFOLLOW",
    "INTERCEPT",
    "NOINTERCEPT",
    "LOG_INPUT",
    "NOLOG_INPUT",
    "LOG_OUTPUT",
    "NOLOG_OUTPUT",
    "MAIL",
    "NOMAIL",
    "PASSWD",
    "NOPASSWD",
    "SETENV",
    "NOSETENV",
    "MONITOR",
    "NOMONITOR",
];
const OPTIONS: [&str; 10] =
    ["ROLE", "TYPE", "PRIVS", "LIMITPRIVS", "CWD", "CHROOT", "TIMEOUT", "NOTBEFORE", "NOTAFTER", "APPARMOR_PROFILE"];
const DIGESTS: [&str; 4] = ["sha224", "sha256", "sha384", "sha512"];

/// The aliases that rules may name, wherever they stand.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    users: HashMap<String, Vec<String>>,
    commands: HashMap<String, Vec<String>>,
}

impl Rules {
    pub fn of(lines: &[Line]) -> Self {
        let mut rules = Rules::default();
        for line in lines {
            let Some((kind, definitions)) = alias(&line.text) else { continue };
            let aliases = match kind {
                "User_Alias" => &mut rules.users,
                "Cmnd_Alias" | "Cmd_Alias" => &mut rules.commands,
                _ => continue,
            };
            // `A = x, y : B = z`; a digest has a colon as well, and no `=` follows it.
            let mut name = String::new();
            for part in split(definitions, ':') {
                let members = match find(part, '=') {
                    Some(place) if is_alias(part[..place].trim()) => {
                        part[..place].trim().clone_into(&mut name);
                        &part[place + 1..]
                    }
                    _ => part,
                };
                let members = split(members, ',').into_iter().map(str::to_owned);
                aliases.entry(name.clone()).or_default().extend(members);
            }
        }
        rules
    }

    /// What a rule allows; none if it is none that can be understood. `is_cut` tells that it allows more.
    pub fn allowed(&self, line: &Line, is_cut: &mut bool) -> Option<Vec<Allowed>> {
        let text = without_comment(&line.text);
        let (left, right) = text.split_at(find(text, '=').filter(|_| is_rule(text))?);
        let mut users = names(users_of(left), &self.users, is_cut).join(", ");
        if users.len() > MAX_USERS_BYTES {
            *is_cut = true;
            cut(&mut users, MAX_USERS_BYTES);
        }
        let mut allowed = Vec::new();
        let mut state = State::default();
        for item in split(&right[1..], ',') {
            for one in state.take(item) {
                for command in names(vec![one.command.clone()], &self.commands, is_cut) {
                    allowed.push(Allowed { users: users.clone(), command, ..one.clone() });
                }
            }
            if allowed.len() > MAX_NAMES {
                *is_cut = true;
                break;
            }
        }
        Some(allowed)
    }
}

/// Whether a line is a rule, and nothing else.
pub(crate) fn is_rule(text: &str) -> bool {
    !text.starts_with("Defaults") && !text.starts_with('@') && !text.starts_with("#include") && alias(text).is_none()
}

/// The names with aliases resolved; `!` before an alias is one before each of its members.
fn names(names: Vec<String>, aliases: &HashMap<String, Vec<String>>, is_cut: &mut bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let mut left = names;
    left.reverse();
    while let Some(name) = left.pop() {
        let bare = name.trim_start_matches(['!', ' ', '\t']);
        let is_negated = name[..name.len() - bare.len()].matches('!').count() % 2 == 1;
        match aliases.get(bare) {
            // One that names itself ends here.
            Some(_) if seen.contains(&name) => {}
            Some(members) if members.len() > MAX_NAMES => *is_cut = true,
            Some(members) => {
                let sign = if is_negated { "!" } else { "" };
                left.extend(members.iter().rev().map(|member| format!("{sign}{member}")));
                seen.insert(name);
            }
            None => found.push(name),
        }
        if left.len() + found.len() > MAX_NAMES {
            *is_cut = true;
            break;
        }
    }
    found
}

/// What holds from one command of a rule to the next.
#[derive(Debug, Default)]
struct State {
    runas: String,
    has_no_password: bool,
    has_no_execution: bool,
    /// After ` : `, another list of hosts is to come.
    is_at_hosts: bool,
}

impl State {
    /// The commands in a part between commas: none in a list of hosts, two around ` : `.
    fn take(&mut self, item: &str) -> Vec<Allowed> {
        let mut rest = item;
        let mut commands = Vec::new();
        loop {
            if self.is_at_hosts {
                let Some(place) = find(rest, '=') else { return commands };
                rest = &rest[place + 1..];
                *self = State::default();
            }
            rest = self.after_tags(rest);
            let end = find(rest, ':').unwrap_or(rest.len());
            let command = rest[..end].trim();
            if !command.is_empty() {
                commands.push(Allowed {
                    users: String::new(),
                    runas: self.runas.clone(),
                    command: command.to_owned(),
                    needs_password: !self.has_no_password,
                    may_execute: !self.has_no_execution,
                });
            }
            if end == rest.len() {
                return commands;
            }
            self.is_at_hosts = true;
            rest = &rest[end + 1..];
        }
    }

    /// What follows the account to run as, tags, options and digests at the beginning.
    fn after_tags<'a>(&mut self, text: &'a str) -> &'a str {
        let mut rest = text;
        loop {
            rest = rest.trim_start();
            if let Some((runas, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
                runas.trim().clone_into(&mut self.runas);
                rest = after;
            } else if let Some((tag, after)) = tagged(rest) {
                match tag {
                    "NOPASSWD" => self.has_no_password = true,
                    "PASSWD" => self.has_no_password = false,
                    "NOEXEC" => self.has_no_execution = true,
                    "EXEC" => self.has_no_execution = false,
                    _ => {}
                }
                rest = after;
            } else if let Some(after) = after_named(rest, '=', &OPTIONS).or_else(|| after_named(rest, ':', &DIGESTS)) {
                rest = after;
            } else {
                return rest;
            }
        }
    }
}

/// `NOPASSWD:` at the beginning, with blanks before the colon or without.
fn tagged(text: &str) -> Option<(&str, &str)> {
    let (tag, after) = text.split_once(':')?;
    TAGS.contains(&tag.trim_end()).then_some((tag.trim_end(), after))
}

/// What follows the value of one of these names, such as `TIMEOUT = 5`: blanks may stand on either side of the separator.
fn after_named<'a>(text: &'a str, separator: char, names: &[&str]) -> Option<&'a str> {
    let (name, value) = text.split_once(separator)?;
    names.contains(&name.trim_end()).then(|| after_value(value.trim_start()))
}

/// A quoted value ends with its quote, another at a blank that no backslash stands before.
fn after_value(text: &str) -> &str {
    if let Some(quoted) = text.strip_prefix('"') {
        return unescaped(quoted, &['"']).map_or("", |end| &quoted[end + 1..]);
    }
    unescaped(text, &[' ', '\t']).map_or("", |end| &text[end..])
}

/// The kind of an alias and its definitions.
fn alias(text: &str) -> Option<(&str, &str)> {
    let (kind, rest) = text.split_once(char::is_whitespace)?;
    matches!(kind, "User_Alias" | "Runas_Alias" | "Host_Alias" | "Cmnd_Alias" | "Cmd_Alias")
        .then(|| (kind, without_comment(rest)))
}

fn is_alias(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_uppercase())
        && name.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
}

/// The list of users before the hosts: commas may have blanks beside them, the hosts follow a blank.
fn users_of(text: &str) -> Vec<String> {
    let mut users = Vec::new();
    for part in split(text, ',') {
        let end = find(part, ' ').into_iter().chain(find(part, '\t')).min();
        users.push(part[..end.unwrap_or(part.len())].trim_matches('"').to_owned());
        // What follows is hosts.
        if end.is_some() {
            break;
        }
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str) -> Vec<String> {
        let lines: Vec<Line> =
            text.lines().map(|text| Line { source: "/x".to_owned(), text: text.to_owned() }).collect();
        let rules = Rules::of(&lines);
        let mut is_cut = false;
        lines
            .iter()
            .filter_map(|line| rules.allowed(line, &mut is_cut))
            .flatten()
            .map(|one| {
                let password = if one.needs_password { "asks" } else { "free" };
                format!("{}|{}|{}|{password}", one.users, one.runas, one.command)
            })
            .collect()
    }

    #[test]
    fn a_rule_allows_what_sudo_allows() {
        for (text, expected) in [
            ("#1000 ALL=(#0) NOPASSWD : ALL", "#1000|#0|ALL|free"),
            (
                "ada, %sudo ALL = (root : adm) NOPASSWD: /bin/ls -l, PASSWD: /bin/cat",
                "ada, %sudo|root : adm|/bin/ls -l|free;ada, %sudo|root : adm|/bin/cat|asks",
            ),
            ("ada ALL=/bin/ls, NOPASSWD: /bin/a, /bin/b", "ada||/bin/ls|asks;ada||/bin/a|free;ada||/bin/b|free"),
            ("ada ALL=CWD=/x NOPASSWD: sha256:ab= /bin/a", "ada||/bin/a|free"),
            ("eve ALL=(ALL) TIMEOUT = 5 NOPASSWD: ALL", "eve|ALL|ALL|free"),
            ("eve ALL=(ALL) CHROOT =\t* NOPASSWD: sha256 : ab= ALL", "eve|ALL|ALL|free"),
            (r#"eve ALL=(ALL) ROLE= "x z"TYPE=y CWD=/x\ y NOPASSWD : ALL"#, "eve|ALL|ALL|free"),
            (
                "ada A = NOPASSWD: /bin/a : B, C = /bin/b, NOPASSWD: /bin/c",
                "ada||/bin/a|free;ada||/bin/b|asks;ada||/bin/c|free",
            ),
            ("ada ALL=ALL # NOPASSWD: ALL", "ada||ALL|asks"),
            ("Defaults:ada !authenticate", ""),
            ("@includedir /etc/sudoers.d", ""),
        ] {
            assert_eq!(allowed(text).join(";"), expected, "{text}");
        }
    }

    #[test]
    fn aliases_are_resolved_wherever_they_stand() {
        let text = "PEOPLE ALL=(ALL) NOPASSWD: SHELLS, !NEVER\nUser_Alias PEOPLE = ada, bob\n\
            Cmnd_Alias SHELLS = /bin/sh, MORE : NEVER = /bin/su\nCmnd_Alias MORE = /bin/bash, SHELLS";
        assert_eq!(
            allowed(text),
            ["ada, bob|ALL|/bin/sh|free", "ada, bob|ALL|/bin/bash|free", "ada, bob|ALL|!/bin/su|free"]
        );
    }
}
