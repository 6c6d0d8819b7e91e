//! Who else decides what sudo allows: directory services that `/etc/nsswitch.conf` names behind `sudoers:`, and plugins of
//! `/etc/sudo.conf` that are not sudo's own. What these allow is in no file, so that the tables say that they do not know it.

use super::{CONFIGURATION, is_plugin};
use crate::reader::Scan;

const SOURCES: &str = "/etc/nsswitch.conf";

/// Warns of each of them.
pub(super) fn say(scan: &Scan) {
    for source in directories(&scan.text(SOURCES).unwrap_or_default()) {
        scan.warn(format!("sudo has rules of {source} as well, as {SOURCES} says; they are not seen"));
    }
    for plugin in foreign_plugins(&scan.text(CONFIGURATION).unwrap_or_default()) {
        scan.warn(format!("{CONFIGURATION} loads {plugin}; what that allows is not seen"));
    }
}

/// The sources of rules that are no files; the first line of `sudoers:` counts.
fn directories(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim().to_ascii_lowercase());
    let mut rules = lines.filter_map(|line| line.strip_prefix("sudoers:").map(str::to_owned));
    let sources = rules.next().unwrap_or_default();
    sources.split_whitespace().filter(|word| matches!(*word, "ldap" | "sss")).map(str::to_owned).collect()
}

/// The files of plugins that do not read `sudoers`.
fn foreign_plugins(text: &str) -> Vec<&str> {
    let files = text.lines().filter(|line| is_plugin(line)).filter_map(|line| line.split_whitespace().nth(2));
    files.filter(|file| file.rsplit('/').next() != Some("sudoers.so")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_what_is_elsewhere() {
        for (text, expected) in [
            ("passwd: files sss\n#sudoers: ldap\nsudoers:\tfiles # ldap\nsudoers: sss\n", ""),
            ("Sudoers: files [SUCCESS=return] SSS\n", "sss"),
            ("sudoers: ldap sss\n", "ldap sss"),
            ("", ""),
        ] {
            assert_eq!(directories(text).join(" "), expected, "{text}");
        }
    }

    #[test]
    fn the_plugin_of_sudo_is_told_from_others() {
        let text = "# Plugin a b.so\nPlugin sudoers_policy sudoers.so sudoers_mode=0400\n\
                    plugin sudoers_io /usr/libexec/sudo/sudoers.so\nPlugin python_policy python_plugin.so ModulePath=/x\n\
                    Path askpass /usr/bin/ask\n";
        assert_eq!(foreign_plugins(text), ["python_plugin.so"]);
    }
}
