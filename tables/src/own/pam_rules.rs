//! `pam_rules`: the lines of `/etc/pam.d`, of `/usr/lib/pam.d` for what the former has no file, and of `/etc/pam.conf` where neither
//! folder is (`pam.d(5)`). `@include` and the controls `include` and `substack` are shown as lines, not followed: a check
//! names the file it is about.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Lines of /etc/pam.d, and of /usr/lib/pam.d or /etc/pam.conf where libpam reads these; of `@include` the type is `@include` and the module the file.
    pam_rules {
        file: Text [index],
        line: BigInt,
        r#type: Text,
        control: Text,
        module: Text,
        arguments: Text,
    }
}

/// Of files with one name the first counts.
const FOLDERS: [&str; 2] = ["/etc/pam.d", "/usr/lib/pam.d"];
const ONE_FILE: &str = "/etc/pam.conf";

/// Whether a file is about one service, or names one in each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    OfOneService,
    OfAll,
}

fn rows(scan: &Scan) -> Rows {
    let wanted = scan.texts("file", crate::constraints::Operator::Equals);
    let (form, mut files) = files(scan);
    files.retain(|path| wanted.is_empty() || wanted.contains(&paths::display(path)));
    let scan = scan.clone();
    Box::new(files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        parse(&scan.text(&file).unwrap_or_default(), form).into_iter().map(move |rule| {
            row! {
                file: shown.as_str(),
                line: rule.line,
                r#type: rule.kind,
                control: rule.control,
                module: rule.module,
                arguments: rule.arguments,
            }
        })
    }))
}

fn files(scan: &Scan) -> (Form, Vec<PathBuf>) {
    if !FOLDERS.iter().any(|folder| scan.exists(folder)) {
        return (Form::OfAll, vec![PathBuf::from(ONE_FILE)]);
    }
    let mut names = HashSet::new();
    let mut files: Vec<PathBuf> = FOLDERS.iter().flat_map(|folder| scan.paths(folder, "")).collect();
    files.retain(|path| path.file_name().is_some_and(|name| names.insert(name.to_owned())));
    (Form::OfOneService, files)
}

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    line: i64,
    kind: String,
    control: String,
    module: String,
    arguments: String,
}

fn parse(text: &str, form: Form) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, first)) = lines.next() {
        let mut whole = without_comment(first).to_owned();
        while whole.ends_with('\\') {
            whole.pop();
            whole.push(' ');
            let Some((_, next)) = lines.next() else { break };
            whole.push_str(without_comment(next));
        }
        let whole = whole.trim();
        let content = match form {
            Form::OfOneService => whole,
            Form::OfAll => whole.split_once(char::is_whitespace).unwrap_or_default().1.trim_start(),
        };
        if let Some(rule) = parse_rule(line, content) {
            rules.push(rule);
        }
    }
    rules
}

/// A comment ends with its line: a backslash in it continues nothing.
fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim_end()
}

fn parse_rule(line: i64, content: &str) -> Option<Rule> {
    let (kind, rest) = content.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    if kind == "@include" {
        return Some(Rule {
            line,
            kind: kind.to_owned(),
            control: String::new(),
            module: rest.to_owned(),
            arguments: String::new(),
        });
    }
    // `[success=1 default=ignore]` has blanks inside.
    let (control, rest) = if rest.starts_with('[') {
        let end = rest.find(']')? + 1;
        rest.split_at(end)
    } else {
        rest.split_once(char::is_whitespace)?
    };
    let rest = rest.trim();
    let (module, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    Some(Rule {
        line,
        // A dash in front keeps the log quiet when the module is missing.
        kind: kind.trim_start_matches('-').to_ascii_lowercase(),
        control: control.split_whitespace().collect::<Vec<_>>().join(" "),
        module: module.to_owned(),
        arguments: arguments.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    parse(&text, Form::OfOneService);
    parse(&text, Form::OfAll);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rule_has_its_parts() {
        let rules = parse(
            "# x\nauth\t[success=1 default=ignore]\tpam_unix.so nullok  try_first_pass\n@include common-session\n-session optional \\\n pam_x.so\n",
            Form::OfOneService,
        );
        let parts: Vec<_> = rules
            .iter()
            .map(|rule| {
                (rule.line, rule.kind.as_str(), rule.control.as_str(), rule.module.as_str(), rule.arguments.as_str())
            })
            .collect();
        assert_eq!(
            parts,
            [
                (2, "auth", "[success=1 default=ignore]", "pam_unix.so", "nullok try_first_pass"),
                (3, "@include", "", "common-session", ""),
                (4, "session", "optional", "pam_x.so", ""),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            fuzz(text.as_bytes());
        }
    }
}
