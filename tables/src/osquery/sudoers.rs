//! `sudoers`: the rules of sudo, with the files that they include (`sudoers(5)`).

use std::path::{Path, PathBuf};

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Rules of sudo: header is the first word of a rule, rule_details the rest.
    sudoers {
        source: Text,
        header: Text,
        rule_details: Text,
    }
}

const MAX_INCLUDE_DEPTH: usize = 16;
/// Files in all: a few that include each other would otherwise be read without end.
const MAX_FILES: usize = 256;

fn rows(scan: &Scan) -> Rows {
    let mut rules = Rules { scan, rows: Vec::new(), files_read: 0 };
    rules.read(&PathBuf::from("/etc/sudoers"), 0);
    Box::new(rules.rows.into_iter())
}

struct Rules<'a> {
    scan: &'a Scan,
    rows: Vec<Row>,
    files_read: usize,
}

impl Rules<'_> {
    fn read(&mut self, path: &Path, depth: usize) {
        self.files_read += 1;
        if self.files_read > MAX_FILES {
            self.scan.warn("more than 256 files are included; the rest is not read");
            return;
        }
        let Some(text) = self.scan.text(path) else { return };
        let source = paths::display(path);
        for line in text.replace("\\\n", " ").lines() {
            let Some((header, details)) = parse(line.trim()) else { continue };
            if !self.scan.budget().is_open() {
                return;
            }
            self.rows.push(row! { source: source.as_str(), header, rule_details: details });
            if depth < MAX_INCLUDE_DEPTH {
                self.include(header, details, depth + 1);
            }
        }
    }

    fn include(&mut self, header: &str, details: &str, depth: usize) {
        let target = Path::new("/etc").join(details.trim_matches('"'));
        match header {
            "#include" | "@include" => self.read(&target, depth),
            "#includedir" | "@includedir" => {
                for file in self.scan.paths(&target, "") {
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
}

/// The first word of a rule and the rest; none for a comment.
fn parse(line: &str) -> Option<(&str, &str)> {
    let is_include = line.starts_with("#include");
    // `#1000` is a user by number.
    let is_number = line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()));
    if line.is_empty() || line.starts_with('#') && !is_include && !is_number {
        return None;
    }
    let (header, details) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    Some((header, details.trim()))
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    text.replace("\\\n", " ").lines().filter_map(|line| parse(line.trim())).count();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_and_numbers_are_no_comments() {
        assert_eq!(parse("#includedir /etc/sudoers.d"), Some(("#includedir", "/etc/sudoers.d")));
        assert_eq!(parse("#1000 ALL=(ALL) ALL"), Some(("#1000", "ALL=(ALL) ALL")));
        assert_eq!(parse("Defaults\tuse_pty"), Some(("Defaults", "use_pty")));
        assert_eq!(parse("# a comment"), None);
    }
}
