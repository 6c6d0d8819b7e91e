//! Secrets by where they stand: after a name, after an option, in an address, or on their own in a column of any text. Each
//! function reads a text once.

use super::names::{is_in_name, is_no_secret, promises_secret};

/// What stands in a secret's place.
pub(super) const SECRET: &str = "[secret]";
/// Lengths of words that can be keys.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 20..=512;

/// Takes out of `name=secret`, `name: "secret"`, `"name" => 'secret'`.
pub(super) fn hide_assigned(text: &str) -> String {
    let mut shown = Shown::of(text);
    let mut at = 0;
    while let Some(found) = text[at..].find(['=', ':']) {
        let separator = at + found;
        at = separator + 1;
        let name = name_before(&text[shown.kept..separator]);
        if !promises_secret(name) || text[separator..].starts_with("://") {
            continue;
        }
        let rest = text[at..].strip_prefix(['=', '>', ':']).unwrap_or(&text[at..]).trim_start_matches([' ', '\t']);
        if let Some(end) = shown.hide_word(name, text.len() - rest.len()) {
            at = end;
        }
    }
    shown.finish()
}

/// Takes out of `--password secret`, `-pw secret`.
pub(super) fn hide_options(text: &str) -> String {
    let mut shown = Shown::of(text);
    let mut at = 0;
    while let Some(found) = text[at..].find('-') {
        let start = at + found;
        let length = text[start..].bytes().take_while(|byte| is_in_name(*byte)).count();
        at = start + length;
        let is_apart = text[..start].ends_with([' ', '\t', '\n', '"', '\'', '(', '`']) || start == 0;
        let rest = text[at..].trim_start_matches([' ', '\t']);
        let begins = text.len() - rest.len();
        let name = text[start..at].trim_start_matches('-');
        if !is_apart || begins == at || rest.starts_with('-') || !promises_secret(name) {
            continue;
        }
        if let Some(end) = shown.hide_word(name, begins) {
            at = end;
        }
    }
    shown.finish()
}

/// Takes out of `scheme://user:secret@host`. By RFC 3986 §3.2 a password ends with the last `@` before the path; people write
/// passwords with a slash in them too, and only a port is taken for what it is.
pub(super) fn hide_in_addresses(text: &str) -> String {
    let mut shown = Shown::of(text);
    let mut at = 0;
    while let Some(found) = text[at..].find("://") {
        let start = at + found + 3;
        at = start;
        let region = &text[start..];
        let region = &region[..region.find("://").unwrap_or(region.len())];
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>');
        let region = &region[..region.find(ends).unwrap_or(region.len())];
        let Some((user, rest)) = region.split_once(':').filter(|(user, _)| !user.contains(['/', '@', '?', '#', '[']))
        else {
            continue;
        };
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let is_port = authority.bytes().all(|byte| byte.is_ascii_digit());
        let end = authority.rfind('@').or_else(|| rest.rfind('@').filter(|_| !is_port || authority.is_empty()));
        if let Some(end) = end.filter(|end| *end > 0) {
            let begins = start + user.len() + 1;
            shown.hide(begins, begins + end);
            at = begins + end;
        }
    }
    shown.finish()
}

/// Takes out words that are made of letters as keys are: of both cases and digits, with no order in them. Public keys stay.
pub(super) fn hide_random(text: &str) -> String {
    let mut shown = Shown::of(text);
    let is_in_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'_' | b'-' | b'=' | b'/');
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| is_in_key(**byte)).count();
        let word = &bytes[at..at + length];
        if KEY_BYTES.contains(&length) && !word.starts_with(b"/") && !word.starts_with(b"AAAA") && is_random(word) {
            shown.hide(at, at + length);
        }
        at += length + 1;
    }
    shown.finish()
}

/// In what a person wrote, letters of one kind follow each other; among random ones three of five do not.
fn is_random(word: &[u8]) -> bool {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let has = |wanted: i32| word.iter().any(|byte| kind(*byte) == wanted);
    let changes = word.windows(2).filter(|pair| kind(pair[0]) != kind(pair[1])).count();
    let slashes = word.split(|byte| *byte == b'/').count() - 1;
    has(0) && has(1) && has(2) && changes * 3 >= word.len() && slashes * 8 <= word.len()
}

/// A text of which parts are replaced from the left to the right.
struct Shown<'a> {
    text: &'a str,
    done: String,
    /// Up to here the text is done.
    kept: usize,
}

impl<'a> Shown<'a> {
    fn of(text: &'a str) -> Self {
        Shown { text, done: String::new(), kept: 0 }
    }

    /// Both are where letters begin, and not before what is done.
    fn hide(&mut self, start: usize, end: usize) {
        self.done.push_str(&self.text[self.kept..start]);
        self.done.push_str(SECRET);
        self.kept = end;
    }

    /// Hides the word that begins here if it can be a secret, without its quotes, and gives where it ends.
    fn hide_word(&mut self, name: &str, start: usize) -> Option<usize> {
        let text = self.text;
        let word = word(&text[start..]);
        let quote = ["\\\"", "\"", "'"].into_iter().find(|quote| word.starts_with(*quote)).unwrap_or("");
        let inner = &word[quote.len()..];
        let closing = if inner.ends_with(quote) { quote.len() } else { 0 };
        let inner = &inner[..inner.len() - closing];
        if is_no_secret(name, inner) {
            return None;
        }
        self.hide(start + quote.len(), start + quote.len() + inner.len());
        Some(start + word.len())
    }

    fn finish(mut self) -> String {
        self.done.push_str(&self.text[self.kept..]);
        self.done
    }
}

/// The name at the end of a text, which may be quoted.
fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '\t']).trim_end_matches(['"', '\'', '\\', ']']);
    let length = text.bytes().rev().take_while(|byte| is_in_name(*byte)).count();
    text[text.len() - length..].trim_start_matches('-')
}

/// A value as a shell, JSON or a configuration writes it: to its closing quote, or to a blank that no quote holds.
fn word(text: &str) -> &str {
    let line = &text[..text.find('\n').unwrap_or(text.len())];
    if let Some(rest) = text.strip_prefix("\\\"") {
        return rest.find("\\\"").map_or(line, |end| &text[..end + 4]);
    }
    let bytes = text.as_bytes();
    let is_quoted = text.starts_with(['"', '\'']);
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            // It closes what was opened before the name.
            b'"' | b'\'' if !is_quoted && bytes.get(at + 1).is_none_or(|next| b" \t\n,;)}]".contains(next)) => break,
            b'"' | b'\'' => match closing(&bytes[at + 1..], *byte) {
                Some(length) => {
                    at += length + 2;
                    let is_last = bytes.get(at).is_none_or(|next| b",;:&|)}]".contains(next));
                    if is_quoted && is_last {
                        break;
                    }
                }
                // Cut off: the secret goes on to the end.
                None if at == 0 => return line,
                None => at += 1,
            },
            b'\\' => at += 2,
            b' ' | b'\t' | b'\n' | b'\r' => break,
            _ => at += 1,
        }
    }
    &text[..text.floor_char_boundary(at)]
}

/// Where the quote ends. Only double quotes can hold themselves.
fn closing(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut is_escaped = false;
    bytes.iter().position(|byte| {
        let closes = *byte == quote && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped && quote == b'"';
        closes
    })
}
