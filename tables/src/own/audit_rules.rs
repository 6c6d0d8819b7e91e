//! `audit_rules`: the rules that are loaded at boot, as written on disk. `augenrules` makes `audit.rules` anew of `rules.d`, so that
//! what stands in the former alone is lost; where the service asks `auditctl` instead, `rules.d` is not read.

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

fn rows(scan: &Scan) -> Rows {
    let files = files(scan);
    let scan = scan.clone();
    Box::new(files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        let rules: Vec<(i64, String)> = parse(&scan.text(&file).unwrap_or_default());
        rules.into_iter().map(move |(line, rule)| row! { file: shown.as_str(), line, rule })
    }))
}

fn files(scan: &Scan) -> Vec<PathBuf> {
    let main = PathBuf::from("/etc/audit/audit.rules");
    let mut files = scan.paths("/etc/audit/rules.d", ".rules");
    // `ls`, which augenrules asks, does not show them.
    files.retain(|path| !path.file_name().is_some_and(|name| paths::name(name).starts_with('.')));
    match loader(scan) {
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
    parse(&text);
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
}
