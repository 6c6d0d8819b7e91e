//! SCAP's files as streams: the benchmark of a data stream (or of plain XCCDF), from which a module is made, and the
//! scanner's report (ARF), from which verdicts are read. No IO: bytes come from whoever opened the file.
//!
//! Both come from somewhere else, so nothing is believed of them: no DTD, no entity but those of XML, bounds on bytes,
//! depth, the length of a tag or text, and on how much of it is kept.

pub mod arf;
pub mod benchmark;
pub mod evidence;
pub mod verdict;
mod xml;

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
pub use xml::Error;

/// Largest data stream that is read, in bytes: the largest that are published have about 40 MiB.
pub const MAX_CONTENT_BYTES: u64 = 128 << 20;
/// Largest report that is read, in bytes. It holds the content, and what was collected for every rule.
pub const MAX_REPORT_BYTES: u64 = 384 << 20;
/// Longest identifier of SCAP content: those that are published have at most 150 letters.
const MAX_ID_BYTES: usize = 300;

/// `xs:NCName` in ASCII, as every identifier of SCAP is.
pub(crate) fn is_identifier(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    text.len() <= MAX_ID_BYTES
        && text.bytes().all(is_letter)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
}

/// A name in one folder.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'+');
    name.len() <= 200
        && name.bytes().all(is_letter)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}

/// SHA-256 of what is left of a file, in hexadecimal; an error beyond [`MAX_CONTENT_BYTES`].
pub fn sha256(input: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut input = input.take(MAX_CONTENT_BYTES + 1);
    let mut chunk = vec![0; 64 << 10];
    let mut length = 0_u64;
    loop {
        match input.read(&mut chunk)? {
            0 if length > MAX_CONTENT_BYTES => return Err(io::Error::other(Error::Size(MAX_CONTENT_BYTES))),
            0 => return Ok(hex::encode(hasher.finalize())),
            count => {
                hasher.update(&chunk[..count]);
                length += count as u64;
            }
        }
    }
}

/// The rule's short name: what stands behind `_rule_` in its identifier.
pub fn short(id: &str, kind: &str) -> String {
    let mark = format!("_{kind}_");
    id.split_once(&mark).map_or(id, |(_, short)| short).to_owned()
}

/// White space as one blank each, cut at a whole letter.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let words =
        text.split(|letter: char| letter.is_whitespace() || letter.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    let mut length = 0;
    for word in words {
        let added = word.chars().count() + usize::from(!line.is_empty());
        if length + added > most {
            if line.is_empty() {
                line.extend(word.chars().take(most.saturating_sub(1)));
            }
            line.push('…');
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        length += added;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_becomes_an_argument_is_no_option_and_no_path() {
        for (text, id, file) in [
            ("xccdf_org.ssgproject.content_profile_cis_level1_server", true, true),
            ("ssg-debian12-ds.xml", true, true),
            ("--fetch-remote-resources", false, false),
            ("../../etc/shadow", false, false),
            ("..", false, false),
            (".hidden", false, false),
            ("a b", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_identifier(text), is_file_name(text)), (id, file), "{text}");
        }
        assert!(!is_identifier(&"x".repeat(301)));
    }

    #[test]
    fn a_rule_has_a_short_name() {
        assert_eq!(short("xccdf_org.ssgproject.content_rule_sshd_idle", "rule"), "sshd_idle");
        assert_eq!(short("V-1234", "rule"), "V-1234");
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        assert_eq!(one_line(" a\n\tb  c ", 10), "a b c");
        assert_eq!(one_line("one two three", 8), "one two…");
        assert_eq!(one_line(&"ä".repeat(20), 5), "ääää…");
        assert_eq!(one_line("", 5), "");
    }
}
