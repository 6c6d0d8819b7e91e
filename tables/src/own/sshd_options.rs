//! What the service gives sshd on its command line: `SSHD_OPTS` of Debian's `ssh.service`, `OPTIONS` of Red Hat's. A setting there
//! comes before any file, and `-f` names another file. Only what these two variables hold is seen, not a unit of somebody's own.

use std::path::PathBuf;

use crate::own::sshd_words;
use crate::reader::Scan;

const VARIABLES: [(&str, &str); 2] = [("/etc/default/ssh", "SSHD_OPTS"), ("/etc/sysconfig/sshd", "OPTIONS")];
/// Options of sshd that take an argument.
const WITH_ARGUMENT: &str = "CEbcfghkopu";

/// What the command line says of the configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// The file that is read instead of `/etc/ssh/sshd_config`.
    pub file: Option<PathBuf>,
    /// Settings as lines of such a file, each with the file that sets the variable.
    pub settings: Vec<(String, &'static str)>,
}

pub(super) fn of_service(scan: &Scan) -> Options {
    let mut options = Options::default();
    for (file, variable) in VARIABLES {
        let Some(value) = scan.text(file).and_then(|text| value_of(&text, variable)) else { continue };
        match sshd_words::split(&value) {
            Ok(words) => options.take(words, file),
            Err(refused) => scan.warn(format!("{variable} in {file} has {}", refused.reason())),
        }
    }
    options
}

impl Options {
    fn take(&mut self, words: Vec<String>, source: &'static str) {
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let Some(letters) = word.strip_prefix('-') else { continue };
            // Letters without an argument may stand before one that has some.
            let Some(position) = letters.find(|letter| WITH_ARGUMENT.contains(letter)) else { continue };
            let (option, joined) = letters[position..].split_at(1);
            let argument = if joined.is_empty() { words.next() } else { Some(joined.to_owned()) };
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

/// The value that a file of variables gives last, without the quotes around it (`systemd.exec(5)`, `EnvironmentFile=`).
fn value_of(text: &str, variable: &str) -> Option<String> {
    let mut values = text.lines().filter_map(|line| line.trim().strip_prefix(variable)?.trim_start().strip_prefix('='));
    let value = values.next_back()?.trim();
    let inner = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    Some(match (inner('"'), inner('\'')) {
        (Some(quoted), _) => quoted.replace("\\\"", "\""),
        (None, Some(quoted)) => quoted.to_owned(),
        (None, None) => value.to_owned(),
    })
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
        options.take(words, "/x");
        let lines: Vec<&str> = options.settings.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!(lines, ["PermitRootLogin=yes", "UsePAM no", "LoginGraceTime 0"]);
        assert_eq!(options.file, Some(PathBuf::from("/etc/own")));
        assert_eq!(value_of("SSHD_OPTS=\n", "SSHD_OPTS").as_deref(), Some(""));
        assert_eq!(value_of("OTHER=1\n", "SSHD_OPTS"), None);
    }
}
