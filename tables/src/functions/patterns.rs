//! `split`, `regex_match`, `regex_split` and `REGEXP`. Patterns may look around and back, as osquery's (ECMAScript) do; one
//! that tries too many ways ends the query instead of holding it up. A pattern that does neither is matched in one pass.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::functions::Context;
use rusqlite::{Connection, Result};

use super::{PURE, bytes, integer, refusal, text};

/// Steps of one match of a pattern that looks around, before it is given up: some tens of milliseconds.
const MAX_STEPS: usize = 200_000;
/// Longer patterns are not compiled: each letter takes a hundred bytes on the way.
const MAX_SOURCE_BYTES: usize = 64 << 10;
/// Each of those steps may go through all the text, and each part of the pattern takes memory.
const MAX_TEXT_BYTES: usize = 16 << 10;
const MAX_PATTERN_LETTERS: usize = 2 << 10;
const MAX_PART_BYTES: usize = 256 << 10;
const MAX_SEPARATORS: usize = 256;
/// How long one call may look for matches after each other.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a group of a match begins and ends; none if it had no part in it.
type Group = Option<(usize, usize)>;

/// A compiled pattern.
enum Pattern {
    /// Matched in time that grows with the text only.
    Plain(regex::Regex),
    /// With looking around, or references back to a group.
    Looking(fancy_regex::Regex),
}

impl Pattern {
    fn is_match(&self, text: &str) -> Result<bool> {
        match self {
            Pattern::Plain(pattern) => Ok(pattern.is_match(text)),
            Pattern::Looking(pattern) => pattern.is_match(short(text)?).map_err(|error| too_costly(&error)),
        }
    }

    /// The groups of the first match, as places in the text; the first group is the match itself.
    fn groups(&self, text: &str) -> Result<Option<Vec<Group>>> {
        Ok(match self {
            Pattern::Plain(pattern) => pattern
                .captures(text)
                .map(|found| found.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()),
            Pattern::Looking(pattern) => pattern
                .captures(short(text)?)
                .map_err(|error| too_costly(&error))?
                .map(|found| found.iter().map(|group| group.map(|group| (group.start(), group.end()))).collect()),
        })
    }

    /// The places of all matches, until one is not wanted.
    fn each(&self, text: &str, mut wants_more: impl FnMut(usize, usize) -> bool) -> Result<()> {
        let begun = Instant::now();
        let mut take = |start: usize, end: usize| {
            if begun.elapsed() > PATIENCE {
                return Err(refusal("the pattern cannot be matched: it takes too long on this text"));
            }
            Ok(wants_more(start, end))
        };
        match self {
            Pattern::Plain(pattern) => {
                for found in pattern.find_iter(text) {
                    if !take(found.start(), found.end())? {
                        break;
                    }
                }
            }
            Pattern::Looking(pattern) => {
                for found in pattern.find_iter(short(text)?) {
                    let found = found.map_err(|error| too_costly(&error))?;
                    if !take(found.start(), found.end())? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The text, if a pattern that looks around may be tried on it.
fn short(text: &str) -> Result<&str> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(refusal("a pattern that looks around or back is not matched on more than 16 KiB of text"));
    }
    Ok(text)
}

pub(super) fn register(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("split", 3, PURE, split)?;
    connection.create_scalar_function("regex_match", 3, PURE, regex_match)?;
    connection.create_scalar_function("regex_split", 3, PURE, regex_split)?;
    // `text REGEXP pattern` calls regexp(pattern, text).
    connection.create_scalar_function("regexp", 2, PURE, |context| {
        let (Some(pattern), Some(text)) = (pattern(context, 0)?, text(context, 1)) else { return Ok(None) };
        pattern.is_match(&text).map(Some)
    })
}

/// `split(text, separators, index)`: each letter of the second separates; parts are trimmed, empty ones do not count.
fn split(context: &Context<'_>) -> Result<Option<String>> {
    let (Some(text), Some(separators), Some(index)) = (text(context, 0), text(context, 1), integer(context, 2)) else {
        return Ok(None);
    };
    if separators.is_empty() {
        return Err(refusal("split needs at least one separator"));
    }
    if separators.len() > MAX_SEPARATORS {
        return Err(refusal("split takes no more than 256 separators"));
    }
    let mut parts = text.split(|letter| separators.contains(letter)).map(str::trim).filter(|part| !part.is_empty());
    Ok(usize::try_from(index).ok().and_then(|index| parts.nth(index)).map(str::to_owned))
}

/// `regex_match(text, pattern, group)`: a group of the first match, 0 for all of it; NULL without a match, empty text for
/// a group that had no part in it.
fn regex_match(context: &Context<'_>) -> Result<Option<String>> {
    let (Some(text), Some(index)) = (text(context, 0), integer(context, 2)) else { return Ok(None) };
    let Some(pattern) = pattern(context, 1)? else { return Ok(None) };
    Ok(pattern.groups(&text)?.and_then(|groups| {
        let group = groups.get(usize::try_from(index).ok()?)?;
        Some(group.and_then(|(start, end)| text.get(start..end)).unwrap_or_default().to_owned())
    }))
}

/// `regex_split(text, pattern, index)`: what lies between matches; only an empty last part does not count.
fn regex_split(context: &Context<'_>) -> Result<Option<String>> {
    let (Some(text), Some(index)) = (text(context, 0), integer(context, 2)) else { return Ok(None) };
    let Some(pattern) = pattern(context, 1)? else { return Ok(None) };
    if bytes(context, 1).is_some_and(|pattern| pattern.is_empty()) {
        return Err(refusal("regex_split needs a pattern"));
    }
    let Ok(mut left) = usize::try_from(index) else { return Ok(None) };
    let mut start = 0;
    let mut part = None;
    pattern.each(&text, |from, to| {
        if left == 0 {
            part = text.get(start..from).map(str::to_owned);
            return false;
        }
        left -= 1;
        start = to;
        true
    })?;
    if part.is_some() {
        return Ok(part);
    }
    let is_counted = start == 0 || start < text.len();
    Ok(text.get(start..).filter(|_| left == 0 && is_counted).map(str::to_owned))
}

/// The compiled pattern, kept while the statement runs if it is a constant.
fn pattern(context: &Context<'_>, index: usize) -> Result<Option<Arc<Pattern>>> {
    let Some(pattern) = text(context, index) else { return Ok(None) };
    let argument = i32::try_from(index).unwrap_or(i32::MAX);
    context.get_or_create_aux(argument, |_| compile(&pattern)).map(Some)
}

fn compile(pattern: &str) -> std::result::Result<Pattern, Box<dyn std::error::Error + Send + Sync>> {
    if pattern.len() > MAX_SOURCE_BYTES {
        return Err("the pattern is too long".into());
    }
    let translated = translated(pattern);
    if let Ok(plain) = super::compile(&translated) {
        return Ok(Pattern::Plain(plain));
    }
    if pattern.len() > MAX_PATTERN_LETTERS {
        return Err("the pattern is no regular expression, or looks around and is too long for that".into());
    }
    fancy_regex::RegexBuilder::new(&translated)
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(MAX_PART_BYTES)
        .delegate_dfa_size_limit(MAX_PART_BYTES)
        .build()
        .map(Pattern::Looking)
        .map_err(|error| format!("the pattern is not a regular expression: {error}").into())
}

/// Where a set (`[a-z]`) is read: what a `-` that comes next would mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InSet {
    /// A letter: nothing stands before it that could begin a range.
    Start,
    /// A range, from the letter before it.
    Letter,
    /// The end of the range that has begun.
    Range,
}

impl InSet {
    /// What follows a letter.
    fn after_letter(self) -> Self {
        if self == InSet::Range { InSet::Start } else { InSet::Letter }
    }
}

/// The pattern in the dialect of the crate `regex`. `\w` and `\d` stand for letters and digits of ASCII, as in osquery's
/// dialect; those of Unicode would also make `\w{40,}` a pattern of a megabyte. `&&`, `--`, `~~` and `[` within a set are
/// letters, not operations with sets.
fn translated(pattern: &str) -> String {
    const WORD: &str = "0-9A-Za-z_";
    const DIGIT: &str = "0-9";
    let mut translated = String::with_capacity(pattern.len());
    let mut letters = pattern.chars().peekable();
    let mut set: Option<InSet> = None;
    while let Some(letter) = letters.next() {
        set = match (letter, set) {
            ('\\', Some(at)) => match letters.next() {
                Some('w') => {
                    translated.push_str(WORD);
                    Some(InSet::Start)
                }
                Some('d') => {
                    translated.push_str(DIGIT);
                    Some(InSet::Start)
                }
                escaped => {
                    translated.push('\\');
                    translated.extend(escaped);
                    let is_class = matches!(escaped, Some('W' | 'D' | 's' | 'S'));
                    Some(if is_class { InSet::Start } else { at.after_letter() })
                }
            },
            ('\\', None) => {
                match letters.next() {
                    Some('w') => translated.extend(["[", WORD, "]"]),
                    Some('d') => translated.extend(["[", DIGIT, "]"]),
                    Some('W') => translated.extend(["[^", WORD, "]"]),
                    Some('D') => translated.extend(["[^", DIGIT, "]"]),
                    escaped => {
                        translated.push('\\');
                        translated.extend(escaped);
                    }
                }
                None
            }
            ('[', None) => {
                translated.push('[');
                // `[]a]` and `[^]a]` hold a bracket.
                translated.extend(letters.next_if_eq(&'^'));
                if letters.next_if_eq(&']').is_some() {
                    translated.push_str("\\]");
                    Some(InSet::Letter)
                } else {
                    Some(InSet::Start)
                }
            }
            // `[:alpha:]`, with a bracket of its own.
            ('[', Some(_)) if letters.peek() == Some(&':') => {
                translated.push('[');
                for letter in letters.by_ref() {
                    translated.push(letter);
                    if letter == ']' {
                        break;
                    }
                }
                Some(InSet::Start)
            }
            (']', Some(_)) => {
                translated.push(']');
                None
            }
            ('-', Some(at)) if letters.peek() == Some(&']') && at != InSet::Range => {
                translated.push('-');
                Some(at)
            }
            ('-', Some(InSet::Letter)) => {
                translated.push('-');
                Some(InSet::Range)
            }
            ('[' | '-' | '&' | '~', Some(at)) => {
                translated.extend(['\\', letter]);
                Some(at.after_letter())
            }
            (other, at) => {
                translated.push(other);
                at.map(InSet::after_letter)
            }
        };
    }
    translated
}

fn too_costly(error: &fancy_regex::Error) -> rusqlite::Error {
    refusal(format!("the pattern cannot be matched: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_are_of_ascii() {
        for (pattern, expected) in [
            (r"\w+\d", "[0-9A-Za-z_]+[0-9]"),
            (r"[\w.-]\W\D", "[0-9A-Za-z_.-][^0-9A-Za-z_][^0-9]"),
            (r"\\w\.\b", r"\\w\.\b"),
            (r"[^]\d]x[[:alpha:]\d]", r"[^\]0-9]x[[:alpha:]0-9]"),
            (r"[[]a", r"[\[]a"),
            ("a\\", "a\\"),
        ] {
            assert_eq!(translated(pattern), expected, "{pattern}");
        }
        for (pattern, expected) in [
            ("[a&&b]", r"[a\&\&b]"),
            ("[a~~b]", r"[a\~\~b]"),
            ("[a-z--9]", r"[a-z\--9]"),
            ("[+--]", r"[+-\-]"),
            ("[--/]x", r"[\--/]x"),
            ("[a-z-]", "[a-z-]"),
            (r"[\w-.]", r"[0-9A-Za-z_\-.]"),
            ("a&&b--c", "a&&b--c"),
        ] {
            assert_eq!(translated(pattern), expected, "{pattern}");
        }
        let holds = |pattern: &str, text: &str| compile(pattern).is_ok_and(|one| one.is_match(text).unwrap_or(false));
        assert!(holds("^[a&&b]$", "&") && holds("^[a&&b]$", "a"));
        assert!(holds("^[a-z--9]$", "/") && holds("^[+--]$", ",") && !holds("^[+--]$", "a"));
        assert!(compile(r"(\w{40,})").is_ok_and(|pattern| pattern.is_match(&"a".repeat(40)).unwrap_or(false)));
        assert!(matches!(compile(r"^a(?!b)"), Ok(Pattern::Looking(_))));
    }

    proptest! {
        #[test]
        fn any_pattern_is_translated_without_panic(pattern in r"[\[\]\^:\\wdWDa(){}*+?|.-]{0,16}") {
            if let Ok(pattern) = compile(&pattern) {
                pattern.is_match("a [1]").ok();
            }
        }
    }
}
