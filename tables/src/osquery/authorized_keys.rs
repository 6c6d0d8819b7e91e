//! `authorized_keys`: keys that open accounts over SSH (`sshd(8)`). A link in a home folder is not
//! followed: its owner must not choose what the agent reads.

use std::path::Path;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Keys that open accounts over SSH.
    authorized_keys {
        uid: BigInt [index],
        algorithm: Text,
        key: Text,
        options: Text,
        comment: Text,
        key_file: Text,
        pid_with_namespace: Integer [hidden],
    }
}

const FILES: [&str; 2] = [".ssh/authorized_keys", ".ssh/authorized_keys2"];
const ALGORITHMS: [&str; 4] = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    let users = accounts::users_asked_for(&scan).into_iter();
    let files = users.flat_map(|user| FILES.map(|file| (user.uid, user.home.clone(), file)));
    Box::new(files.collect::<Vec<_>>().into_iter().flat_map(move |(uid, home, file)| {
        let text = scan.home_text(&home, file).unwrap_or_default();
        let key_file = paths::display(&Path::new(&home).join(file));
        let keys: Vec<AuthorizedKey> = text.lines().filter_map(parse).collect();
        keys.into_iter().map(move |key| {
            row! { uid, algorithm: key.algorithm, key: key.encoded, options: key.options, comment: key.comment, key_file: key_file.as_str() }
        })
    }))
}

#[derive(Debug, PartialEq, Eq)]
struct AuthorizedKey {
    algorithm: String,
    encoded: String,
    options: String,
    comment: String,
}

fn parse(line: &str) -> Option<AuthorizedKey> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let is_algorithm = |word: &str| ALGORITHMS.iter().any(|start| word.starts_with(start));
    let (options, rest) = if is_algorithm(line) { ("", line) } else { split_options(line)? };
    let mut words = rest.splitn(3, char::is_whitespace);
    let algorithm = words.next().filter(|word| is_algorithm(word))?;
    Some(AuthorizedKey {
        algorithm: algorithm.to_owned(),
        encoded: words.next()?.to_owned(),
        options: options.to_owned(),
        comment: words.next().unwrap_or_default().trim().to_owned(),
    })
}

/// Options end at the first blank outside of quotes.
fn split_options(line: &str) -> Option<(&str, &str)> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for (position, letter) in line.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            blank if blank.is_whitespace() && !is_quoted => {
                return Some((&line[..position], line[position..].trim_start()));
            }
            _ => {}
        }
    }
    None
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    text.lines().filter_map(parse).count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn options_may_hold_blanks() {
        let key = parse("from=\"10.0.0.1\",command=\"a \\\"b\\\" c\" ssh-ed25519 AAAA me@host laptop").unwrap();
        assert_eq!(key.options, "from=\"10.0.0.1\",command=\"a \\\"b\\\" c\"");
        assert_eq!((key.encoded.as_str(), key.comment.as_str()), ("AAAA", "me@host laptop"));
        assert_eq!(parse("nonsense"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            parse(&line);
        }
    }
}
