//! `/etc/sudoers` with the files that it includes, as sudo reads them (`sudoers(5)`): its lines, what `Defaults` set, and what
//! rules allow once aliases are resolved. Files that others than root can have written are left out, as sudo leaves them out.

mod defaults;
mod elsewhere;
mod rules;
mod trust;

use std::path::{Path, PathBuf};

pub(crate) use self::defaults::{Setting, defaults};
pub(crate) use self::rules::{Allowed, Rules, is_rule};
use self::trust::Owners;
use crate::included::Included;
use crate::paths;
use crate::reader::Scan;

const MAIN: &str = "/etc/sudoers";
/// It can name another file than [`MAIN`] for the plugin that reads the rules.
const CONFIGURATION: &str = "/etc/sudo.conf";
const PROGRAM: &str = "/usr/bin/sudo";

/// A line that is no comment, joined with those that a backslash continues it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub source: String,
    pub text: String,
}

/// All lines, each include followed by what it names.
pub(crate) fn lines(scan: &Scan) -> Vec<Line> {
    let configuration = scan.text(CONFIGURATION).unwrap_or_default();
    let number = |name: &str| argument(&configuration, name).and_then(|number| number.parse::<u32>().ok());
    let owners = Owners::of(scan, number("sudoers_uid="), number("sudoers_gid="));
    let mut reading = Reading { scan, owners, lines: Vec::new(), included: Included::default() };
    let main = main_file(scan, &configuration);
    if scan.exists(&main) || scan.exists(PROGRAM) {
        elsewhere::say(scan);
    }
    reading.read(&main, 0);
    reading.lines
}

/// The file of rules: of those that `sudoers_file` in a line `Plugin` of `sudo.conf(5)` names, the first that is there.
fn main_file(scan: &Scan, configuration: &str) -> PathBuf {
    let named = argument(configuration, "sudoers_file=").unwrap_or(MAIN);
    let found = named.split(':').find(|file| scan.exists(file));
    PathBuf::from(found.unwrap_or(named))
}

/// What a line of `sudo.conf` gives a plugin behind such a name.
fn argument<'a>(configuration: &'a str, name: &str) -> Option<&'a str> {
    configuration
        .lines()
        .filter(|line| is_plugin(line))
        .flat_map(str::split_whitespace)
        .find_map(|word| word.strip_prefix(name))
}

/// Whether a line of `sudo.conf` loads a plugin.
fn is_plugin(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("plugin"))
}

struct Reading<'a> {
    scan: &'a Scan,
    owners: Owners,
    lines: Vec<Line>,
    included: Included,
}

impl Reading<'_> {
    fn read(&mut self, path: &Path, depth: usize) {
        if !self.included.may_read(self.scan, depth) {
            return;
        }
        if !self.owners.trust(self.scan, path) {
            return;
        }
        let Some(text) = self.scan.text(path) else { return };
        let source = paths::display(path);
        let mut begun = String::new();
        for line in text.lines() {
            if begun.is_empty() && !is_said(line.trim()) {
                continue;
            }
            if let Some(continued) = continued(line) {
                begun.push_str(continued);
                begun.push(' ');
                continue;
            }
            begun.push_str(line);
            self.take(&std::mem::take(&mut begun), &source, path, depth);
            if !self.scan.budget().is_open() {
                return;
            }
        }
        self.take(&begun, &source, path, depth);
    }

    fn take(&mut self, text: &str, source: &str, path: &Path, depth: usize) {
        let text = text.trim();
        if !text.is_empty() {
            self.lines.push(Line { source: source.to_owned(), text: text.to_owned() });
            self.include(text, path, depth + 1);
        }
    }

    fn include(&mut self, line: &str, from: &Path, depth: usize) {
        let Some((header, target)) = line.split_once(char::is_whitespace) else { return };
        if !matches!(header, "#include" | "@include" | "#includedir" | "@includedir") {
            return;
        }
        let target = without_comment(target.trim()).trim_matches('"').replace("\\ ", " ");
        let target = self.with_host_name(target);
        // One that is no whole path lies beside the file that names it.
        let target = from.parent().unwrap_or(Path::new("/etc")).join(target);
        match header {
            "#include" | "@include" => self.read(&target, depth),
            "#includedir" | "@includedir" if self.owners.trust(self.scan, &target) => {
                let files: Vec<PathBuf> = self.scan.paths(&target, "");
                for file in files {
                    // sudo skips names with a dot and backups.
                    let name = file.file_name().map(paths::name).unwrap_or_default();
                    if !name.contains('.') && !name.ends_with('~') {
                        self.read(&file, depth);
                    }
                }
            }
            _ => {}
        }
    }

    /// `%h` in the name of an included file is the host's name without its domain.
    fn with_host_name(&self, target: String) -> String {
        if !target.contains("%h") {
            return target;
        }
        let name = self.scan.proc("sys/kernel/hostname").or_else(|| self.scan.text("/etc/hostname"));
        let short = name.as_deref().unwrap_or_default().trim().split('.').next().unwrap_or_default();
        if short.is_empty() {
            self.scan.warn(format!("{target} is included by the host's name, which is not known"));
        }
        target.replace("%h", short)
    }
}

/// What a line says that goes on behind it: blanks may follow the backslash at its end. A comment ends with its line, whatever
/// its last letter.
fn continued(line: &str) -> Option<&str> {
    let line = line.trim_end_matches([' ', '\t', '\r']);
    line.strip_suffix('\\').filter(|_| without_comment(line).len() == line.len())
}

/// Whether nothing is made of a line: it is no include, no alias, no settings and no rule, and sudo passes over it.
pub(crate) fn is_strange(line: &Line) -> bool {
    let text = without_comment(&line.text);
    if text.starts_with("Defaults") {
        defaults(line).is_empty()
    } else {
        is_rule(&line.text) && find(text, '=').is_none()
    }
}

/// Whether a line is no comment: `#include` is none, and `#1000` is a user by number.
pub(crate) fn is_said(line: &str) -> bool {
    !line.is_empty() && (!line.starts_with('#') || line.starts_with("#include") || is_number(line))
}

/// `#1000` and `#-1` name an account or a group.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    digits.strip_prefix('-').unwrap_or(digits).starts_with(|letter: char| letter.is_ascii_digit())
}

/// The text without the comment at its end: a `#` that is neither quoted nor the beginning of a number.
fn without_comment(text: &str) -> &str {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (place, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '#' if !is_quoted && !is_number(&text[place..]) => return text[..place].trim_end(),
            _ => {}
        }
    }
    text.trim_end()
}

/// The parts between separators that are neither quoted, escaped nor in parentheses, but for empty ones.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = parts(text, separator);
    parts.retain(|part| !part.is_empty());
    parts
}

/// The same with empty ones.
fn parts(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(place) = find(&text[from..], separator) {
        parts.push(text[from..from + place].trim());
        from += place + separator.len_utf8();
    }
    parts.push(text[from..].trim());
    parts
}

/// Where the first of these letters is that no backslash stands before.
fn unescaped(text: &str, wanted: &[char]) -> Option<usize> {
    let mut is_escaped = false;
    for (place, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            letter if wanted.contains(&letter) => return Some(place),
            _ => {}
        }
    }
    None
}

/// Where such a separator is.
fn find(text: &str, separator: char) -> Option<usize> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    let mut depth = 0_usize;
    for (place, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            letter if letter == separator && depth == 0 => return Some(place),
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input).replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| is_said(line));
    let lines: Vec<Line> = lines.map(|text| Line { source: "/x".to_owned(), text: text.to_owned() }).collect();
    lines.iter().flat_map(defaults).count();
    let rules = Rules::of(&lines);
    let mut is_cut = false;
    lines.iter().filter_map(|line| rules.allowed(line, &mut is_cut)).flatten().count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_no_comment() {
        assert_eq!(without_comment("#1000 ALL=(#0) ALL # why"), "#1000 ALL=(#0) ALL");
        assert_eq!(
            without_comment(r##"Defaults badpass_message="#1 no # yes" # c"##),
            r##"Defaults badpass_message="#1 no # yes""##
        );
        assert_eq!(without_comment(r"ada ALL=/bin/x \#y"), r"ada ALL=/bin/x \#y");
        assert!(is_said("#includedir /etc/sudoers.d") && is_said("#0 ALL=ALL") && !is_said("# ALL=ALL"));
    }

    #[test]
    fn a_backslash_continues_a_line_with_blanks_behind_it() {
        assert_eq!(continued("Defaults use_pty, \\ \t"), Some("Defaults use_pty, "));
        assert_eq!(continued("Defaults use_pty,\\"), Some("Defaults use_pty,"));
        assert_eq!(continued("Defaults use_pty # why \\"), None);
        assert_eq!(continued("Defaults use_pty"), None);
    }

    #[test]
    fn a_line_of_which_nothing_is_made_is_told_from_others() {
        let is_strange = |text: &str| is_strange(&Line { source: "/x".to_owned(), text: text.to_owned() });
        for text in ["!use_pty, !authenticate", "Defaults use_pty !authenticate", "Defaults", "DefaultsX a", "eve ALL"]
        {
            assert!(is_strange(text), "{text}");
        }
        for text in ["Defaults use_pty", "eve ALL=ALL", "@includedir /x", "User_Alias A = eve", "#includedir /x"] {
            assert!(!is_strange(text), "{text}");
        }
    }

    #[test]
    fn separators_count_where_they_are_free() {
        assert_eq!(split(r#"a="1,2", (b,c) d , e\,f"#, ','), [r#"a="1,2""#, "(b,c) d", r"e\,f"]);
        assert_eq!(split("", ','), [""; 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[#\"\\\\,:=()!A-Za-z/ \n-]{0,80}") {
            fuzz(text.as_bytes());
        }
    }
}
