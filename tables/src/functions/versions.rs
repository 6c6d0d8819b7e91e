//! Versions: the function `version_compare` and the collations `version`, `version_dpkg`, `version_rhel`, `version_arch`.
//! The first two compare any versions as osquery does; the others by the rules of the packages' own tools.

use std::cmp::Ordering;

use rusqlite::functions::Context;
use rusqlite::{Connection, Result};

use super::{PURE, integer, refusal, text};

pub(super) fn register(connection: &Connection) -> Result<()> {
    // Two arguments: -1, 0 or 1 by the rules of Debian. Three and more: as in osquery, `version_compare(a, '<', b)`.
    connection.create_scalar_function("version_compare", 2, PURE, |context| {
        let (Some(left), Some(right)) = (text(context, 0), text(context, 1)) else { return Ok(None) };
        Ok(Some(compare_debian(&left, &right) as i64))
    })?;
    for arguments in 3..=7 {
        connection.create_scalar_function("version_compare", arguments, PURE, version_compare)?;
    }
    connection.create_collation("version", |left, right| compare_any(left, right, Rules::default()))?;
    connection.create_collation("version_dpkg", compare_debian)?;
    connection.create_collation("version_rhel", compare_rpm)?;
    connection.create_collation("version_arch", compare_rpm)
}

/// `version_compare(left, operator, right [, epoch, delimiters, rest, rest by digits])`.
fn version_compare(context: &Context<'_>) -> Result<Option<bool>> {
    let (Some(left), Some(operator), Some(right)) = (text(context, 0), text(context, 1), text(context, 2)) else {
        return Ok(None);
    };
    let option = |index| context.len() > index && integer(context, index).unwrap_or(0) != 0;
    let rules = Rules {
        has_epochs: option(3),
        ranks_delimiters: option(4),
        looks_at_rest: option(5),
        measures_rest_after_digits: option(6),
    };
    let order = compare_any(&left, &right, rules);
    match operator.as_str() {
        "<" => Ok(Some(order.is_lt())),
        "<=" => Ok(Some(order.is_le())),
        "=" | "==" => Ok(Some(order.is_eq())),
        ">=" => Ok(Some(order.is_ge())),
        ">" => Ok(Some(order.is_gt())),
        "!=" | "<>" => Ok(Some(order.is_ne())),
        other => Err(refusal(format!("version_compare: {other:?} is none of <, <=, =, >=, >"))),
    }
}

/// What `version_compare` is told beside the versions.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools)] // osquery's function takes four flags
struct Rules {
    /// A version with an epoch (`1:2.0`) is above one without.
    has_epochs: bool,
    /// `~` is below `-` is below `^` is below `.` is below `:`.
    ranks_delimiters: bool,
    /// What the longer version has after the end of the shorter decides: `~` means less.
    looks_at_rest: bool,
    /// After a digit the longer version is the greater, whatever the digits.
    measures_rest_after_digits: bool,
}

/// Versions of any kind: letter by letter to the next delimiter, where the longer part is the greater.
fn compare_any(left: &str, right: &str, rules: Rules) -> Ordering {
    if left == right || left.is_empty() || right.is_empty() {
        return left.len().cmp(&right.len());
    }
    if rules.has_epochs {
        match (left.find(':'), right.find(':')) {
            (Some(left), Some(right)) if left != right => return left.cmp(&right),
            (Some(_), None) => return Ordering::Greater,
            (None, Some(_)) => return Ordering::Less,
            _ => {}
        }
    }
    let mut first_difference = Ordering::Equal;
    for (one, other) in left.bytes().zip(right.bytes()) {
        match (rank(one), rank(other)) {
            (None, None) => first_difference = first_difference.then(one.cmp(&other)),
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(one), Some(other)) => {
                let by_rank = if rules.ranks_delimiters { one.cmp(&other) } else { Ordering::Equal };
                match first_difference.then(by_rank) {
                    Ordering::Equal => {}
                    different => return different,
                }
            }
        }
    }
    if left.len() == right.len() {
        return first_difference;
    }
    let by_rest = if rules.looks_at_rest { compare_rest(left, right, first_difference, rules) } else { None };
    by_rest.unwrap_or_else(|| left.len().cmp(&right.len()))
}

/// What the rest of the longer version says; none if its length decides.
fn compare_rest(left: &str, right: &str, first_difference: Ordering, rules: Rules) -> Option<Ordering> {
    let shorter = left.len().min(right.len());
    let (longer, is_left_longer) = if left.len() > right.len() { (left, true) } else { (right, false) };
    let for_the_longer = |order: Ordering| if is_left_longer { order } else { order.reverse() };
    match longer.as_bytes().get(shorter) {
        Some(b'~') => Some(for_the_longer(Ordering::Less)),
        Some(b'-') => Some(Ordering::Equal),
        Some(b'^') => Some(for_the_longer(Ordering::Greater)),
        _ => {
            let ends_in_digit = longer.as_bytes().get(shorter.wrapping_sub(1)).is_some_and(u8::is_ascii_digit);
            let is_by_length = rules.measures_rest_after_digits && ends_in_digit;
            (first_difference.is_ne() && !is_by_length).then_some(first_difference)
        }
    }
}

const fn rank(byte: u8) -> Option<u8> {
    match byte {
        b'~' => Some(1),
        b'-' => Some(2),
        b'^' => Some(3),
        b'.' => Some(4),
        b':' => Some(5),
        _ => None,
    }
}

/// Compares as dpkg does (Debian policy 5.6.12): epoch, then runs of digits as numbers, letters before other signs, and
/// `~` before the end.
fn compare_debian(left: &str, right: &str) -> Ordering {
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
        match compare_digits(left_digits, right_digits) {
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

fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// The leading digits without zeros in front, and the rest.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    let start = number.iter().position(|byte| *byte != b'0').unwrap_or(number.len());
    (&number[start..], rest)
}

/// Compares as rpm does (`rpmvercmp`), and pacman with it: epoch, version, release; in each, runs of digits or of letters;
/// a number is above letters, `~` below the end, `^` above it.
fn compare_rpm(left: &str, right: &str) -> Ordering {
    let (left_epoch, left) = epoch(left);
    let (right_epoch, right) = epoch(right);
    let (left_version, left_release) = left.split_once('-').map_or((left, None), |(one, two)| (one, Some(two)));
    let (right_version, right_release) = right.split_once('-').map_or((right, None), |(one, two)| (one, Some(two)));
    left_epoch
        .cmp(&right_epoch)
        .then_with(|| compare_segments(left_version.as_bytes(), right_version.as_bytes()))
        .then_with(|| match (left_release, right_release) {
            (Some(left), Some(right)) => compare_segments(left.as_bytes(), right.as_bytes()),
            // Without a release any will do; text decides, so that the order has no loops.
            (left, right) => left.is_some().cmp(&right.is_some()),
        })
}

fn compare_segments(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        left = without_signs(left);
        right = without_signs(right);
        for (mark, of_the_marked) in [(b'~', Ordering::Less), (b'^', Ordering::Greater)] {
            match (left.first() == Some(&mark), right.first() == Some(&mark)) {
                (true, false) => return marked(of_the_marked, mark, right),
                (false, true) => return marked(of_the_marked, mark, left).reverse(),
                (true, true) => (left, right) = (without_signs(&left[1..]), without_signs(&right[1..])),
                (false, false) => {}
            }
        }
        if [left, right].iter().any(|text| matches!(text.first(), Some(b'~' | b'^'))) {
            continue;
        }
        let (Some(one), Some(other)) = (left.first(), right.first()) else {
            return left.is_empty().cmp(&right.is_empty()).reverse();
        };
        let order = match (one.is_ascii_digit(), other.is_ascii_digit()) {
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (true, true) => {
                let ((left_digits, left_rest), (right_digits, right_rest)) = (digits(left), digits(right));
                (left, right) = (left_rest, right_rest);
                compare_digits(left_digits, right_digits)
            }
            (false, false) => {
                let ((left_letters, left_rest), (right_letters, right_rest)) = (letters(left), letters(right));
                (left, right) = (left_rest, right_rest);
                left_letters.cmp(right_letters)
            }
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// `~` is below everything; `^` is above the end and below everything else.
const fn marked(of_the_marked: Ordering, mark: u8, other: &[u8]) -> Ordering {
    if mark == b'^' && !other.is_empty() { Ordering::Less } else { of_the_marked }
}

fn without_signs(text: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^');
    &text[text.iter().position(is_part).unwrap_or(text.len())..]
}

fn letters(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(text.len()))
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
            assert_eq!(compare_debian(left, right), expected, "{left} and {right}");
        }
    }

    #[test]
    fn versions_compare_as_rpm_says() {
        for (left, right, expected) in [
            ("1.0-1", "1.0-1", Ordering::Equal),
            ("1.10-1", "1.9-3", Ordering::Greater),
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1.0^git1", "1.0", Ordering::Greater),
            ("1.0^git1", "1.0.1", Ordering::Less),
            ("1:0.5", "2.0", Ordering::Greater),
            ("5.14.0-70.el9", "5.14.0-162.el9", Ordering::Less),
            ("2a", "2.0", Ordering::Less),
            ("1.0~~", "1.0~", Ordering::Less),
            ("1_0", "1.0", Ordering::Equal),
        ] {
            assert_eq!(compare_rpm(left, right), expected, "{left} and {right}");
        }
    }

    #[test]
    fn any_versions_compare_by_their_parts() {
        for (left, right, expected) in [
            ("1.0", "1.0", Ordering::Equal),
            ("1.10", "1.9", Ordering::Greater),
            ("1.9.3", "1.10.2", Ordering::Less),
            ("", "1", Ordering::Less),
            ("2.0", "10.0", Ordering::Less),
            ("1.0", "1.0.1", Ordering::Less),
        ] {
            assert_eq!(compare_any(left, right, Rules::default()), expected, "{left} and {right}");
        }
        let rest = Rules { looks_at_rest: true, ..Rules::default() };
        assert_eq!(compare_any("1.0~rc1", "1.0", rest), Ordering::Less);
        assert_eq!(compare_any("1.0", "1.0-3", rest), Ordering::Equal);
        let epochs = Rules { has_epochs: true, ..Rules::default() };
        assert_eq!(compare_any("1:1.0", "9.0", epochs), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn comparing_any_two_texts_ends_and_is_symmetric(left in ".*", right in ".*") {
            for compare in [compare_debian, compare_rpm, |left: &str, right: &str| compare_any(left, right, Rules::default())] {
                prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
            }
        }

        #[test]
        fn comparing_versions_ends_and_is_symmetric(left in "[0-9a~^.:-]{0,12}", right in "[0-9a~^.:-]{0,12}") {
            for compare in [compare_debian, compare_rpm, |left: &str, right: &str| compare_any(left, right, Rules::default())] {
                prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
            }
        }
    }
}
