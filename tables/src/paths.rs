//! Patterns of paths, expanded below a root: `*` and `?` stay within one folder, `**` reaches all folders below. Yields one
//! path at a time and keeps only the folders still to visit.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::posix::{FileType, OsStrExt, OsStringExt};
use crate::reader::Scan;
use crate::root::{Entry, Follow};

/// Names of folders within each other that are held at once.
const MAX_HELD: usize = 300_000;

/// A part of a path between two slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(Vec<u8>),
    Wild(Vec<u8>),
    Deep,
}

/// A path with wildcards.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
    ends_in_slash: bool,
}

impl Pattern {
    /// Wildcards of the shell: `*`, `?`, `[…]`, `**`.
    pub fn glob(text: &str) -> Self {
        Self::of(text, |part| match part {
            "**" => Part::Deep,
            wild if is_pattern(wild) => Part::Wild(bytes_of(wild)),
            literal => Part::Literal(bytes_of(literal)),
        })
    }

    /// Wildcards of osquery's LIKE: `%` within a folder, `%%` at the end all below. `_` is a letter of most names, so it
    /// is taken as itself where nothing else is a wildcard.
    pub fn like(text: &str) -> Self {
        Self::of(text, |part| match part {
            "%%" => Part::Deep,
            wild if wild.contains('%') => {
                let escaped = wild.replace('[', "[[]").replace('*', "[*]").replace('?', "[?]");
                Part::Wild(bytes_of(&escaped.replace("%%", "%").replace('%', "*").replace('_', "?")))
            }
            literal => Part::Literal(bytes_of(literal)),
        })
    }

    /// A path without wildcards.
    pub fn exact(text: &str) -> Self {
        Self::of(text, |part| Part::Literal(bytes_of(part)))
    }

    fn of(text: &str, part: impl Fn(&str) -> Part) -> Self {
        Pattern { parts: split(text).map(part).collect(), ends_in_slash: text.ends_with('/') }
    }

    /// Whether it asks for folders only, as `/home/*/` does. To see to that is left to who expands it.
    pub fn ends_in_slash(&self) -> bool {
        self.ends_in_slash
    }

    /// Whether a path matches, without a look at what exists.
    pub fn matches(&self, path: &[u8]) -> bool {
        let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect();
        parts_match(&self.parts, &names)
    }

    /// The existing paths that match. A path without wildcards is yielded without a look whether it exists.
    pub fn expand(self, scan: &Scan) -> Expansion {
        Expansion { scan: scan.clone(), stack: vec![Step::Enter(PathBuf::from("/"), 0)], parts: self.parts, held: 0 }
    }
}

/// Like [`matches`] for a name, with folders for letters.
fn parts_match(parts: &[Part], names: &[&[u8]]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let is_match = match (parts.get(at), names.get(here)) {
            (None, None) => return true,
            (Some(Part::Deep), _) => {
                retry = Some((at, here));
                at += 1;
                continue;
            }
            (Some(Part::Literal(part)), Some(name)) => part == name,
            (Some(Part::Wild(part)), Some(name)) => matches(part, name),
            _ => false,
        };
        match retry {
            _ if is_match => (at, here) = (at + 1, here + 1),
            // `**` takes one name more.
            Some((deep, from)) if from < names.len() => {
                retry = Some((deep, from + 1));
                (at, here) = (deep + 1, from + 1);
            }
            _ => return false,
        }
    }
}

fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// A folder to look into, or one whose names are being gone through.
enum Step {
    Enter(PathBuf, usize),
    Within(Level),
}

/// The names of a folder that are still to come, for the part of the pattern at `index`.
struct Level {
    folder: PathBuf,
    index: usize,
    entries: std::vec::IntoIter<Entry>,
    /// Names it began with.
    names: usize,
}

/// See [`Pattern::expand`].
pub(crate) struct Expansion {
    scan: Scan,
    parts: Vec<Part>,
    stack: Vec<Step>,
    /// Names in all levels of the stack.
    held: usize,
}

impl Iterator for Expansion {
    type Item = PathBuf;

    fn next(&mut self) -> Option<PathBuf> {
        while let Some(step) = self.stack.pop() {
            if !self.scan.budget().is_open() {
                return None;
            }
            match step {
                Step::Enter(folder, index) => match self.parts.get(index) {
                    None => return Some(folder),
                    Some(Part::Literal(name)) => {
                        self.stack.push(Step::Enter(folder.join(OsStr::from_bytes(name)), index + 1));
                    }
                    Some(Part::Wild(_)) => self.look_into(folder, index),
                    Some(Part::Deep) => {
                        self.look_into(folder.clone(), index);
                        if index + 1 < self.parts.len() {
                            self.stack.push(Step::Enter(folder, index + 1));
                        }
                    }
                },
                Step::Within(level) => {
                    if let Some(found) = self.step(level) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }
}

impl Expansion {
    fn look_into(&mut self, folder: PathBuf, index: usize) {
        let entries = self.scan.list(&folder);
        if entries.is_empty() {
            return;
        }
        if self.held + entries.len() > MAX_HELD {
            self.scan.warn(format!(
                "{}: the folders above it hold too many names; what is in it is not looked at",
                folder.display()
            ));
            return;
        }
        self.held += entries.len();
        self.stack.push(Step::Within(Level { folder, index, names: entries.len(), entries: entries.into_iter() }));
    }

    /// Takes the next name of a level; the path, if it is one that was asked for.
    fn step(&mut self, mut level: Level) -> Option<PathBuf> {
        let Some(entry) = level.entries.next() else {
            self.held -= level.names;
            return None;
        };
        let index = level.index;
        let path = match self.parts.get(index) {
            Some(Part::Wild(pattern)) if !matches(pattern, entry.name.as_bytes()) => None,
            _ => Some(level.folder.join(&entry.name)),
        };
        self.stack.push(Step::Within(level));
        let path = path?;
        if !matches!(self.parts.get(index), Some(Part::Deep)) {
            self.stack.push(Step::Enter(path, index + 1));
            return None;
        }
        // Some file systems do not say what an entry is.
        let is_folder = match entry.kind {
            FileType::Unknown => self.scan.metadata(&path, Follow::Never).is_some_and(|found| found.is_dir()),
            kind => kind == FileType::Directory,
        };
        let is_last = index + 1 >= self.parts.len();
        let yielded = is_last.then(|| path.clone());
        if is_folder {
            self.stack.push(Step::Enter(path, index));
        }
        yielded
    }
}

/// Whether a text has a wildcard of the shell in it.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name matches a pattern of the shell (`*`, `?`, `[a-z]`, `[!a]`).
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut here) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while here < name.len() {
        let step = match pattern.get(at) {
            Some(b'*') => {
                retry = Some((at, here));
                at += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => set(&pattern[at..], name[here]),
            Some(byte) => (*byte == name[here]).then_some(1),
            None => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                at += length;
                here += 1;
            }
            (None, Some((star, from))) => {
                retry = Some((star, from + 1));
                at = star + 1;
                here = from + 1;
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// The length of the set at the start of a pattern if it holds the byte. A set without an end is a plain `[`.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let inverted = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if inverted { 2 } else { 1 };
    let Some(end) = pattern.iter().skip(start + 1).position(|byte| *byte == b']').map(|position| position + start + 1)
    else {
        return (byte == b'[').then_some(1);
    };
    let mut members = &pattern[start..end];
    let mut holds = false;
    while let Some((first, rest)) = members.split_first() {
        if let [b'-', last, rest @ ..] = rest {
            holds |= (*first..=*last).contains(&byte);
            members = rest;
        } else {
            holds |= *first == byte;
            members = rest;
        }
    }
    (holds != inverted).then_some(end + 1)
}

/// The path as text, for a cell, and such that [`path_of`] finds the path again: a byte that is not UTF-8 becomes `\xff`,
/// and the backslash of a name that looks like one of these becomes `\x5c`.
pub(crate) fn display(path: &Path) -> String {
    written(path.as_os_str(), |rest| escaped(rest).is_some())
}

/// A name as text, for a cell. Unit names such as `mnt-\xc3\xa4.mount` stay as systemd writes them.
pub(crate) fn name(name: &OsStr) -> String {
    written(name, |_| false)
}

/// The reverse of [`display`].
pub(crate) fn path_of(text: &str) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes_of(text)))
}

fn written(name: &OsStr, is_misleading: impl Fn(&[u8]) -> bool) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        let valid = chunk.valid();
        for (at, letter) in valid.char_indices() {
            if letter == '\\' && is_misleading(&valid.as_bytes()[at..]) {
                text.push_str("\\x5c");
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a text cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

fn bytes_of(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((first, after)) = rest.split_first() {
        if let Some(byte) = escaped(rest) {
            bytes.push(byte);
            rest = &rest[4..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// The byte that a text begins with if it begins with `\x` and its two digits: one that ASCII has not, or a backslash. Others
/// are letters of the name, as in systemd's `dev-disk-by\x2duuid.swap`.
fn escaped(text: &[u8]) -> Option<u8> {
    let [b'\\', b'x', high, low, ..] = text else { return None };
    let digit = |letter: &u8| match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    };
    let byte = (digit(high)? << 4) | digit(low)?;
    (byte >= 0x80 || byte == b'\\').then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_pattern_matches_as_in_the_shell() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", "a.config", false),
            ("a*b*c", "aXbYbZc", true),
            ("?", "é", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[", "[", true),
            ("[]]", "]", true),
            ("", "", true),
            ("**", "anything", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn an_underscore_stays_itself_in_a_literal_part_of_like() {
        assert_eq!(Pattern::like("/etc/a_b/%").parts[1], Part::Literal(b"a_b".to_vec()));
    }

    #[test]
    fn a_name_that_is_not_utf8_is_found_again_by_its_text() {
        for (bytes, shown) in [
            (&b"/tmp/.x\xff"[..], r"/tmp/.x\xff"),
            (b"/tmp/\xc3\xa4", "/tmp/\u{e4}"),
            (br"/tmp/.x\xff", r"/tmp/.x\x5cxff"),
            (br"/tmp/.x\x5cxff", r"/tmp/.x\x5cx5cxff"),
            (br"/etc/systemd/system/dev-disk-by\x2duuid.swap", r"/etc/systemd/system/dev-disk-by\x2duuid.swap"),
        ] {
            let path = Path::new(OsStr::from_bytes(bytes));
            assert_eq!(display(path), shown);
            assert_eq!(path_of(shown), path);
        }
        assert_eq!(name(OsStr::from_bytes(br"mnt-\xc3\xa4.mount")), r"mnt-\xc3\xa4.mount");
    }

    proptest! {
        #[test]
        fn any_name_is_found_again_by_its_text(choices in proptest::collection::vec(0_usize..9, 0..12)) {
            let path = PathBuf::from(OsString::from_vec(choices.iter().map(|at| b"\\x5cf8\xff\xc3\xa4"[*at]).collect()));
            prop_assert_eq!(path_of(&display(&path)), path);
        }

        #[test]
        fn matching_ends_for_any_pattern(pattern in "[a*?\\[\\]!-]{0,12}", name in "[ab\\[\\]-]{0,12}") {
            matches(pattern.as_bytes(), name.as_bytes());
        }
    }
}
