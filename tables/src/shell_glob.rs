//! `glob(3)` below a root: what a configuration file means by `Include conf.d/*.conf`. Unlike a pattern of SQL, it does not
//! find names that begin with a dot unless it has one there too.

use std::path::PathBuf;

use crate::paths::Pattern;
use crate::posix::OsStrExt;
use crate::reader::Scan;
use crate::root::Follow;

/// The paths that are there, in the order of their names.
pub(crate) fn glob(scan: &Scan, pattern: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let pattern = plain(pattern);
    let parts: Vec<String> =
        pattern.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect();
    let scan = scan.clone();
    Pattern::glob(&pattern)
        .expand(&scan)
        .filter(move |path| !is_hidden_from(&parts, path.as_os_str().as_bytes()))
        .filter(move |path| scan.metadata(path, Follow::Never).is_some())
}

/// The pattern without `\` before letters, and with `*` for `**`, which is no more in `glob(3)`.
fn plain(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some(special @ ('*' | '?' | '[')) => plain.extend(['[', special, ']']),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
            '*' if plain.ends_with('*') => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a name of the path begins with a dot where the pattern has a wildcard.
fn is_hidden_from(parts: &[String], path: &[u8]) -> bool {
    let names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty());
    names.zip(parts).any(|(name, part)| name.starts_with(b".") && part.starts_with(['*', '?', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_does_not_stand_for_a_dot_at_the_beginning() {
        let parts = |pattern: &str| pattern.split('/').skip(1).map(str::to_owned).collect::<Vec<_>>();
        for (pattern, path, expected) in [
            ("/etc/a.d/*.conf", "/etc/a.d/.00.conf", true),
            ("/etc/a.d/*.conf", "/etc/a.d/00.conf", false),
            ("/etc/a.d/.*.conf", "/etc/a.d/.00.conf", false),
            ("/etc/.a.d/*", "/etc/.a.d/x", false),
        ] {
            assert_eq!(is_hidden_from(&parts(pattern), path.as_bytes()), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_backslash_takes_a_letter_as_itself() {
        assert_eq!(plain(r"/etc/\a/**/\*.c"), "/etc/a/*/[*].c");
    }
}
