//! The SQL functions that osquery has beyond SQLite's: text, patterns, digests, versions, addresses.

use std::cmp::Ordering;
use std::net::Ipv4Addr;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::{Connection, Result};
use sha2::Digest;

/// Compiled size of a pattern; a longer one is refused.
const MAX_PATTERN_BYTES: usize = 1 << 20;

pub(crate) fn register(connection: &Connection) -> Result<()> {
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    // `text REGEXP pattern` calls regexp(pattern, text).
    connection.create_scalar_function("regexp", 2, pure, |context| {
        let Some(text) = text(context, 1) else { return Ok(None) };
        pattern(context, 0).map(|pattern| pattern.map(|pattern| pattern.is_match(&text)))
    })?;
    connection.create_scalar_function("regex_match", 3, pure, |context| {
        let (Some(text), Some(group)) = (text(context, 0), position(context, 2)?) else { return Ok(None) };
        let Some(pattern) = pattern(context, 1)? else { return Ok(None) };
        Ok(pattern.captures(&text).and_then(|found| found.get(group)).map(|part| part.as_str().to_owned()))
    })?;
    connection.create_scalar_function("regex_split", 3, pure, |context| {
        let (Some(text), Some(index)) = (text(context, 0), position(context, 2)?) else { return Ok(None) };
        let Some(pattern) = pattern(context, 1)? else { return Ok(None) };
        Ok(pattern.split(&text).filter(|part| !part.is_empty()).nth(index).map(str::to_owned))
    })?;
    connection.create_scalar_function("split", 3, pure, |context| {
        let (Some(text), Some(index)) = (text(context, 0), position(context, 2)?) else { return Ok(None) };
        let Some(separators) = self::text(context, 1) else { return Ok(None) };
        let mut parts = text.split(|letter| separators.contains(letter)).map(str::trim).filter(|part| !part.is_empty());
        Ok(parts.nth(index).map(str::to_owned))
    })?;
    connection.create_scalar_function("inet_aton", 1, pure, |context| {
        let address = text(context, 0).and_then(|text| text.parse::<Ipv4Addr>().ok());
        Ok(address.map(|address| i64::from(u32::from(address))))
    })?;
    connection.create_scalar_function("version_compare", 2, pure, |context| {
        let (Some(left), Some(right)) = (text(context, 0), text(context, 1)) else { return Ok(None) };
        Ok(Some(compare_versions(&left, &right) as i64))
    })?;
    connection.create_scalar_function("md5", 1, pure, digest::<md5::Md5>)?;
    connection.create_scalar_function("sha1", 1, pure, digest::<sha1::Sha1>)?;
    connection.create_scalar_function("sha256", 1, pure, digest::<sha2::Sha256>)?;
    Ok(())
}

fn text(context: &Context<'_>, index: usize) -> Option<String> {
    match crate::vtab::from_sqlite(context.get_raw(index)) {
        crate::Value::Null => None,
        value => Some(value.to_string()),
    }
}

fn position(context: &Context<'_>, index: usize) -> Result<Option<usize>> {
    Ok(context.get::<Option<i64>>(index)?.and_then(|number| usize::try_from(number).ok()))
}

fn pattern(context: &Context<'_>, index: usize) -> Result<Option<Arc<Regex>>> {
    if text(context, index).is_none() {
        return Ok(None);
    }
    let argument = i32::try_from(index).unwrap_or(i32::MAX);
    let compiled: Arc<Regex> = context.get_or_create_aux(argument, |value| {
        compile(value.as_str()?).map_err(|message| Box::from(message) as Box<dyn std::error::Error + Send + Sync>)
    })?;
    Ok(Some(compiled))
}

/// Compiles a pattern of a query; the error says what is wrong with it.
pub(crate) fn compile(pattern: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(MAX_PATTERN_BYTES)
        .dfa_size_limit(MAX_PATTERN_BYTES)
        .build()
        .map_err(|error| format!("the pattern is not a regular expression: {error}"))
}

#[allow(clippy::unnecessary_wraps)] // the shape of an SQL function
fn digest<D: Digest>(context: &Context<'_>) -> Result<Option<String>> {
    Ok(text(context, 0).map(|text| hex(&D::digest(text.as_bytes()))))
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// Compares as dpkg does (Debian policy 5.6.12): epoch, then runs of digits as numbers, letters before other signs, and
/// `~` before the end.
pub(crate) fn compare_versions(left: &str, right: &str) -> Ordering {
    let (left_epoch, left) = epoch(left);
    let (right_epoch, right) = epoch(right);
    left_epoch.cmp(&right_epoch).then_with(|| compare_parts(left.as_bytes(), right.as_bytes()))
}

fn epoch(version: &str) -> (u64, &str) {
    version.split_once(':').and_then(|(epoch, rest)| Some((epoch.parse().ok()?, rest))).unwrap_or((0, version))
}

fn compare_parts(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let is_sign = |text: &[u8]| text.first().is_some_and(|byte| !byte.is_ascii_digit());
            if !is_sign(left) && !is_sign(right) {
                break;
            }
            match weight(left.first()).cmp(&weight(right.first())) {
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                different => return different,
            }
        }
        let (left_digits, left_rest) = digits(left);
        let (right_digits, right_rest) = digits(right);
        match left_digits.len().cmp(&right_digits.len()).then_with(|| left_digits.cmp(right_digits)) {
            Ordering::Equal => (left, right) = (left_rest, right_rest),
            different => return different,
        }
    }
    Ordering::Equal
}

fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(digit) if digit.is_ascii_digit() => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// The leading digits without zeros in front, and the rest.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let start = number.iter().position(|byte| *byte != b'0').unwrap_or(number.len());
    (&number[start..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_compare_as_dpkg_says() {
        for (left, right, expected) in [
            ("1.0", "1.0", Ordering::Equal),
            ("1.10", "1.9", Ordering::Greater),
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1:0.5", "2.0", Ordering::Greater),
            ("2.36-9+deb12u10", "2.36-9+deb12u7", Ordering::Greater),
            ("1.0a", "1.0+", Ordering::Less),
            ("01", "1", Ordering::Equal),
        ] {
            assert_eq!(compare_versions(left, right), expected, "{left} and {right}");
        }
    }

    proptest! {
        #[test]
        fn comparing_any_two_texts_ends_and_is_symmetric(left in ".*", right in ".*") {
            prop_assert_eq!(compare_versions(&left, &right), compare_versions(&right, &left).reverse());
        }
    }
}
