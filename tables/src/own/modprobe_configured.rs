//! `modprobe_configured`: what `modprobe.d(5)` says of kernel modules, in reading order.

use crate::drop_in;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Directives for kernel modules (blacklist, install, options, …); names with `_`, as the kernel shows them.
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
    Box::new(files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        parse(&scan.text(&file).unwrap_or_default()).into_iter().map(move |[directive, module, value]| {
            row! { module, directive, value, source: shown.as_str() }
        })
    }))
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
    fn a_directive_names_a_module() {
        let parsed = parse("install usb-storage /bin/false\nblacklist cramfs # no\n#x y\noptions a \\\n b=1\n");
        assert_eq!(parsed[0], ["install", "usb_storage", "/bin/false"]);
        assert_eq!(parsed[1][..2], ["blacklist", "cramfs"]);
        assert_eq!(parsed[2], ["options", "a", "b=1"]);
    }
}
