//! What the service gives sshd on its command line: that of `ssh.service` or `sshd.service` with its drop-ins, and what variables
//! such as `SSHD_OPTS` bring into it. A setting there comes before any file, and `-f` names another file. Where no such unit is,
//! the variables that Debian's and Red Hat's units read are taken. A service for each connection (`ssh@.service`) that gives other
//! options is told, because which of the two runs is not in files alone, and so is a unit of another name that does.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::Chars;

use crate::own::sshd_effective_config::MAIN;
use crate::own::sshd_words;
use crate::paths;
use crate::reader::Scan;
use crate::shell_glob;
use crate::units;

const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];
const TEMPLATES: [&str; 2] = ["ssh@.service", "sshd@.service"];
/// What may stand before the program of a command (`systemd.service(5)`); behind `@` the next word is its name.
const PREFIXES: [char; 6] = ['@', '-', ':', '+', '!', '|'];
/// Programs that start the one that is among their words.
const STARTERS: [&str; 6] = ["sh", "bash", "dash", "env", "nice", "setsid"];
const VARIABLES: [(&str, &str); 2] = [("/etc/default/ssh", "SSHD_OPTS"), ("/etc/sysconfig/sshd", "OPTIONS")];
/// Options of sshd that take an argument.
const WITH_ARGUMENT: &str = "CEbcfghkopu";

/// What the command line says of the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The file that is read instead of `/etc/ssh/sshd_config`.
    pub file: Option<PathBuf>,
    /// Settings as lines of such a file, each with the unit, or the file of variables, that gives it.
    pub settings: Vec<(String, String)>,
}

/// A word of the command line, and where it comes from.
type Word = (String, String);

pub(super) fn of_service(scan: &Scan) -> Options {
    let server = UNITS.iter().find_map(|unit| of_unit(scan, unit));
    let each = TEMPLATES.iter().find_map(|unit| of_unit(scan, unit));
    let found = match (server, each) {
        (Some(server), Some(each)) => {
            if !server.says_the_same(&each) {
                scan.warn("a service for each connection starts sshd with other options than the server has");
            }
            server
        }
        (Some(found), None) | (None, Some(found)) => found,
        (None, None) => {
            let mut options = Options::default();
            options.take(words_without_a_unit(scan));
            options
        }
    };
    tell_of_others(scan, &found);
    found
}

/// Says which units of other names start sshd with other options: what holds for the server need not hold for those.
fn tell_of_others(scan: &Scan, server: &Options) {
    for unit in units::services_with(scan, "sshd") {
        if UNITS.contains(&unit.as_str()) || TEMPLATES.contains(&unit.as_str()) {
            continue;
        }
        let commands = units::values(scan, &unit, "Service", "ExecStart");
        if commands.iter().any(|command| is_of_sshd(command))
            && of_unit(scan, &unit).is_some_and(|other| !other.says_the_same(server))
        {
            scan.warn(format!("{unit} starts sshd with other options than the server has, which are not looked at"));
        }
    }
}

/// Whether a command starts sshd, by itself or through another program.
fn is_of_sshd(command: &str) -> bool {
    let mut names = command
        .split([' ', '\t', '"', '\'', ';'])
        .map(|word| word.trim_start_matches(PREFIXES))
        .filter_map(|word| Path::new(word).file_name()?.to_str());
    let program = names.next();
    program == Some("sshd")
        || program.is_some_and(|program| STARTERS.contains(&program)) && names.any(|name| name == "sshd")
}

/// What a unit gives; none where there is no such unit.
fn of_unit(scan: &Scan, unit: &str) -> Option<Options> {
    let command = units::values(scan, unit, "Service", "ExecStart").pop()?;
    let service = Service { scan, unit, variables: files_of_variables(scan, unit) };
    let mut options = Options::default();
    options.take(service.words(&command));
    Some(options)
}

fn words_without_a_unit(scan: &Scan) -> Vec<Word> {
    let mut words = Vec::new();
    for (file, variable) in VARIABLES {
        if let Some(value) = scan.text(file).and_then(|text| value_of(&text, variable)) {
            words.extend(split(scan, &value, file));
        }
    }
    words
}

/// The words of a text that `source` gives.
fn split(scan: &Scan, text: &str, source: &str) -> Vec<Word> {
    match sshd_words::split(text) {
        Ok(words) => words.into_iter().map(|word| (word, source.to_owned())).collect(),
        Err(refused) => {
            scan.warn(format!("the options of sshd in {source} have {}", refused.reason()));
            Vec::new()
        }
    }
}

/// The files of `EnvironmentFile=` with their texts.
fn files_of_variables(scan: &Scan, unit: &str) -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = Vec::new();
    for file in units::values(scan, unit, "Service", "EnvironmentFile") {
        let file = file.trim_start_matches('-');
        if paths::is_pattern(file) {
            files.extend(shell_glob::glob(scan, file));
        } else {
            files.push(PathBuf::from(file));
        }
    }
    files.iter().filter_map(|file| Some((paths::display(file), scan.text(file)?))).collect()
}

/// A unit that starts sshd.
struct Service<'a> {
    scan: &'a Scan,
    unit: &'a str,
    variables: Vec<(String, String)>,
}

impl Service<'_> {
    /// The arguments of its command, with its variables filled in.
    fn words(&self, command: &str) -> Vec<Word> {
        let mut words = split(self.scan, command, self.unit).into_iter();
        let program = words.next().map(|(word, _)| word).unwrap_or_default();
        let path = program.trim_start_matches(PREFIXES);
        if program[..program.len() - path.len()].contains('@') {
            words.next();
        }
        if Path::new(path).file_name().is_none_or(|name| name != "sshd") {
            self.scan.warn(format!("{} starts {path}; with which options that starts sshd is not known", self.unit));
        }
        let mut filled = Vec::new();
        for (word, source) in words {
            match word.strip_prefix('$').filter(|name| is_name(name)) {
                // A variable that is a word of its own is cut into words.
                Some(name) => {
                    let value = self.variable(name);
                    filled.extend(value.map(|(value, source)| split(self.scan, &value, &source)).unwrap_or_default());
                }
                None => filled.push((self.filled(&word), source)),
            }
        }
        filled
    }

    /// The word with the values of `${…}` in it.
    fn filled(&self, word: &str) -> String {
        let mut filled = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else { break };
            filled.push_str(before);
            filled.push_str(&self.variable(name).map(|(value, _)| value).unwrap_or_default());
            rest = behind;
        }
        filled + rest
    }

    /// The value of a variable, and where it comes from: files come before `Environment=`, and the last counts.
    fn variable(&self, name: &str) -> Option<Word> {
        let in_files =
            || self.variables.iter().rev().find_map(|(file, text)| Some((value_of(text, name)?, file.clone())));
        let in_unit = || {
            let assignments = units::values(self.scan, self.unit, "Service", "Environment");
            let words = assignments.iter().flat_map(|words| split(self.scan, words, self.unit));
            let mut values = words.filter_map(|(word, source)| {
                let value = word.strip_prefix(name)?.strip_prefix('=')?.to_owned();
                Some((value, source))
            });
            values.next_back()
        };
        in_files().or_else(in_unit)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl Options {
    /// Whether another command line gives the same, wherever it has it from.
    fn says_the_same(&self, other: &Options) -> bool {
        let lines = |options: &Options| options.settings.iter().map(|(line, _)| line.clone()).collect::<Vec<_>>();
        let file = |options: &Options| options.file.clone().unwrap_or_else(|| MAIN.into());
        file(self) == file(other) && lines(self) == lines(other)
    }

    fn take(&mut self, words: Vec<Word>) {
        let mut words = words.into_iter();
        while let Some((word, source)) = words.next() {
            let Some(letters) = word.strip_prefix('-') else { continue };
            // Letters without an argument may stand before one that has some.
            let Some(position) = letters.find(|letter| WITH_ARGUMENT.contains(letter)) else { continue };
            let (option, joined) = letters[position..].split_at(1);
            let argument = if joined.is_empty() { words.next().map(|(word, _)| word) } else { Some(joined.to_owned()) };
            let Some(argument) = argument else { return };
            match option {
                "f" => self.file = Some(PathBuf::from(argument)),
                "o" => self.settings.push((argument, source)),
                "g" => self.settings.push((format!("LoginGraceTime {argument}"), source)),
                _ => {}
            }
        }
    }
}

/// The value that a file of variables gives last.
fn value_of(text: &str, variable: &str) -> Option<String> {
    variables(text).into_iter().rfind(|(name, _)| name == variable).map(|(_, value)| value)
}

/// The variables of a file as systemd reads them (`EnvironmentFile=` in `systemd.exec(5)`, `parse_env_file_internal`).
fn variables(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(char::is_ascii_whitespace).is_some() {}
        let Some(first) = letters.peek() else { return found };
        let is_comment = matches!(first, '#' | ';');
        let mut name = String::new();
        while let Some(letter) = letters.next_if(|letter| *letter != '\n' && (is_comment || *letter != '=')) {
            name.push(letter);
        }
        if letters.next_if_eq(&'=').is_some() {
            found.push((name.trim_end().to_owned(), value(&mut letters)));
        }
    }
}

/// The value behind a name: a backslash before the end of a line joins it with the next, and quotes count where the value, or
/// another part of it in quotes, begins.
fn value(letters: &mut Peekable<Chars<'_>>) -> String {
    let mut value = String::new();
    // Blanks at its end do not count.
    let mut length = 0;
    let mut quote: Option<char> = None;
    let mut is_bare = false;
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('\\', None | Some('"')) => match letters.next() {
                None | Some('\n') => {}
                Some(next) => {
                    if quote.is_some() && !matches!(next, '"' | '\\' | '`' | '$') {
                        value.push('\\');
                    }
                    value.push(next);
                    (length, is_bare) = (value.len(), quote.is_none());
                }
            },
            (letter, Some(open)) if letter == open => quote = None,
            ('\n', None) => break,
            ('"' | '\'', None) if !is_bare => quote = Some(letter),
            (letter, None) if letter.is_ascii_whitespace() => {
                if is_bare {
                    value.push(letter);
                }
            }
            (letter, _) => {
                value.push(letter);
                (length, is_bare) = (value.len(), quote.is_none());
            }
        }
    }
    value.truncate(length);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_found_among_other_options() {
        let text = "# SSHD_OPTS=\"-o A=1\"\nSSHD_OPTS=\n\
                    SSHD_OPTS=\"-4 -De -oPermitRootLogin=yes -E /x -f /etc/own -o \\\"UsePAM no\\\" -g 0\"\n";
        let words = sshd_words::split(&value_of(text, "SSHD_OPTS").unwrap()).unwrap();
        let mut options = Options::default();
        options.take(words.into_iter().map(|word| (word, "/x".to_owned())).collect());
        let lines: Vec<&str> = options.settings.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, ["PermitRootLogin=yes", "UsePAM no", "LoginGraceTime 0"]);
        assert_eq!(options.file, Some(PathBuf::from("/etc/own")));
        assert_eq!(value_of("SSHD_OPTS=\n", "SSHD_OPTS").as_deref(), Some(""));
        assert_eq!(value_of("OTHER=1\n", "SSHD_OPTS"), None);
    }

    #[test]
    fn a_command_of_sshd_is_told_from_others() {
        for command in [
            "/usr/sbin/sshd -D",
            "-@/usr/sbin/sshd sshd -D",
            "\"/usr/sbin/sshd\" -D",
            "/bin/sh -c 'exec /usr/sbin/sshd'",
        ] {
            assert!(is_of_sshd(command), "{command}");
        }
        for command in
            ["/usr/bin/test -x /usr/sbin/sshd", "/usr/bin/gitlab-sshd -D", "/bin/sh -c 'cat /etc/ssh/sshd_config'", ""]
        {
            assert!(!is_of_sshd(command), "{command}");
        }
    }

    #[test]
    fn a_file_of_variables_is_read_as_systemd_reads_it() {
        for (text, expected) in [
            ("A=-o \\\nX=1 \\\n  -4 \nB=2\n", "-o X=1   -4"),
            ("A=\"-o \\\nX=1\"\n", "-o X=1"),
            ("A=\"x\ny\" 'z'\n", "x\nyz"),
            ("A=x\"y\n", "x\"y"),
            ("A=\"a\\$b\\c\"", "a$b\\c"),
            ("  A = 1\nA=2 # x", "2 # x"),
            ("#A=1\n;A=2\nA=\n", ""),
            ("A\nA=1", "1"),
        ] {
            assert_eq!(value_of(text, "A").as_deref(), Some(expected), "{text}");
        }
    }
}
