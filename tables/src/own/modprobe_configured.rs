//! `modprobe_configured`: what `modprobe.d(5)` says of kernel modules, in reading order. Of the lines of `install` that fit a module
//! kmod takes the first; the others are left out.

use std::collections::HashSet;

use crate::drop_in;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Directives for kernel modules (blacklist, install, options, …); names with `_`, as the kernel shows them; of several install lines for a module only the first, as kmod takes it.
    modprobe_configured: kept {
        module: Text,
        directive: Text,
        value: Text,
        source: Text,
    }
}

const FOLDERS: [&str; 5] =
    ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];

fn rows(scan: &Scan) -> Rows {
    let files = drop_in::files(scan, &FOLDERS, ".conf");
    let scan = scan.clone();
    let mut installed = FirstOfEach::default();
    let lines = files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        parse(&scan.text(&file).unwrap_or_default()).into_iter().map(move |line| (line, shown.clone()))
    });
    Box::new(
        lines
            .filter(move |([directive, module, _], _)| directive != "install" || installed.is_first(module))
            .map(|([directive, module, value], source)| row! { module, directive, value, source }),
    )
}

/// The modules, and patterns of modules, that a line of `install` was seen for.
#[derive(Debug, Default)]
struct FirstOfEach {
    names: HashSet<String>,
    patterns: Vec<String>,
}

impl FirstOfEach {
    /// Each is compared with every line that follows.
    const MAX_PATTERNS: usize = 200;

    /// Whether no earlier line fits the module; it counts from now on.
    fn is_first(&mut self, module: &str) -> bool {
        if self.patterns.iter().any(|pattern| paths::matches(pattern.as_bytes(), module.as_bytes())) {
            return false;
        }
        if paths::is_pattern(module) && self.patterns.len() < Self::MAX_PATTERNS {
            self.patterns.push(module.to_owned());
        }
        self.names.insert(module.to_owned())
    }
}

/// Directive, module and the rest of each line; a backslash continues a line.
fn parse(text: &str) -> Vec<[String; 3]> {
    text.replace("\\\n", " ")
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.first().is_some_and(|word| !word.starts_with('#')))
        .filter_map(|words| {
            let [directive, module, rest @ ..] = &words[..] else { return None };
            Some([(*directive).to_owned(), module.replace('-', "_"), rest.join(" ")])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_install_line_of_a_module_counts() {
        let mut seen = FirstOfEach::default();
        let found = ["cramfs", "cramfs", "usb*", "usb_storage", "hfs"].map(|module| seen.is_first(module));
        assert_eq!(found, [true, false, true, false, true]);
    }

    #[test]
    fn a_directive_names_a_module() {
        let parsed = parse("install usb-storage /bin/false\nblacklist cramfs # no\n#x y\noptions a \\\n b=1\n");
        assert_eq!(parsed[0], ["install", "usb_storage", "/bin/false"]);
        assert_eq!(parsed[1][..2], ["blacklist", "cramfs"]);
        assert_eq!(parsed[2], ["options", "a", "b=1"]);
    }
}
