//! The SQL functions and collations that osquery has beyond SQLite's, by what they are about. `concat`, `concat_ws`, JSON and
//! dates are SQLite's own. The decision to question: where osquery's function ends the query for a cell that a table may
//! well hold (no address, no text), the answer here is NULL; what the author of the query got wrong ends it.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error, Result};

mod encodings;
mod mathematics;
mod networks;
mod patterns;
mod versions;

pub(crate) use encodings::hex;

/// Compiled size of a pattern; a longer one is refused.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// The same arguments always give the same answer, so that SQLite may ask once.
const PURE: FunctionFlags = FunctionFlags::SQLITE_UTF8.union(FunctionFlags::SQLITE_DETERMINISTIC);

pub(crate) fn register(connection: &Connection) -> Result<()> {
    patterns::register(connection)?;
    encodings::register(connection)?;
    mathematics::register(connection)?;
    networks::register(connection)?;
    versions::register(connection)
}

/// Compiles a pattern of a query; the error says what is wrong with it.
pub(crate) fn compile(pattern: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|error| format!("the pattern is not a regular expression: {error}"))
}

/// Ends the query; the sentence is what its author reads.
fn refusal(message: impl Into<String>) -> Error {
    Error::UserFunctionError(message.into().into())
}

/// The argument as SQLite itself would write it; NULL is none, what is not UTF-8 is replaced.
fn text(context: &Context<'_>, index: usize) -> Option<String> {
    bytes(context, index).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The bytes of the argument; of a number, those of its digits.
fn bytes<'a>(context: &'a Context<'_>, index: usize) -> Option<Cow<'a, [u8]>> {
    match context.get_raw(index) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
        ValueRef::Real(number) => Some(Cow::Owned(format!("{number:?}").into_bytes())),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(Cow::Borrowed(bytes)),
    }
}

/// The argument as a whole number; text counts as far as it is one, as in SQLite.
#[allow(clippy::cast_possible_truncation)] // a fraction is cut, as in SQLite
fn integer(context: &Context<'_>, index: usize) -> Option<i64> {
    match context.get_raw(index) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number),
        ValueRef::Real(number) => Some(number as i64),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(leading_number(bytes) as i64),
    }
}

/// The argument as a number with a fraction; text counts as far as it is one.
#[allow(clippy::cast_precision_loss)] // SQLite does the same
fn real(context: &Context<'_>, index: usize) -> Option<f64> {
    match context.get_raw(index) {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number as f64),
        ValueRef::Real(number) => Some(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(leading_number(bytes)),
    }
}

/// `12.5 MiB` is 12.5, `none` is 0.
fn leading_number(bytes: &[u8]) -> f64 {
    /// Longer than any number that a cell means.
    const MAX_DIGITS: usize = 64;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_DIGITS)]);
    let text = text.trim_start();
    let is_part = |letter: char| letter.is_ascii_digit() || matches!(letter, '+' | '-' | '.' | 'e' | 'E');
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    (0..=end).rev().find_map(|end| text.get(..end)?.parse().ok()).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_counts_as_far_as_it_is_a_number() {
        for (text, expected) in
            [("12.5 MiB", 12.5), ("-3", -3.0), ("1e2x", 100.0), ("none", 0.0), ("", 0.0), ("1-2", 1.0)]
        {
            assert!((leading_number(text.as_bytes()) - expected).abs() < f64::EPSILON, "{text}");
        }
    }
}
