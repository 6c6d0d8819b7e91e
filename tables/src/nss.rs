//! Lines of `/etc/passwd`, `/etc/group` and `/etc/shadow` as glibc's `nss_files` cuts them (`nss/nss_files/files-parse.c`):
//! fields at the end may be missing, numbers may have blanks and signs before them, and the last field takes the rest of
//! the line. Who reads them more strictly does not see accounts that can sign in.

use crate::reader::Scan;

/// The entries of such a file, one at a time. A line that is none to the C library is left out, which is said once: what
/// somebody meant by it is not known.
pub(crate) fn entries<T>(
    scan: &Scan,
    path: &'static str,
    parse: fn(&str) -> Option<T>,
) -> impl Iterator<Item = T> + use<T> {
    let scan = scan.clone();
    let lines = scan.lines(path).into_iter().flatten();
    let mut is_said = false;
    (1_u64..).zip(lines).filter_map(move |(number, line)| {
        let line = entry(&line)?;
        let parsed = parse(line);
        if parsed.is_none() && !is_said {
            is_said = true;
            scan.warn(format!("line {number} of {path} is no entry as the C library reads it, and is left out"));
        }
        parsed
    })
}

/// The entry in a line: none in a blank one and a comment, and none for `nss_compat`, which `nss_files` leaves out.
pub(crate) fn entry(line: &str) -> Option<&str> {
    // To C a text ends there.
    let line = line.split('\0').next().unwrap_or_default().trim_start_matches(is_space);
    (!line.is_empty() && !line.starts_with(['#', '+', '-'])).then_some(line)
}

/// What `isspace` says.
fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// The fields of an entry, from the first to the last.
pub(crate) struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    pub fn of(entry: &'a str) -> Self {
        Fields { rest: entry }
    }

    /// `STRING_FIELD`: empty if it is missing.
    pub fn text(&mut self) -> &'a str {
        let (field, rest) = self.rest.split_once(':').unwrap_or((self.rest, ""));
        self.rest = rest;
        field
    }

    /// `INT_FIELD`: none makes the line no entry.
    pub fn number(&mut self) -> Option<u32> {
        let (number, after) = leading_number(self.rest)?;
        self.rest = after_colon(after)?;
        Some(number)
    }

    /// `INT_FIELD_MAYBE_NULL`: -1 where nothing stands between two colons; none makes the line no entry.
    pub fn number_or_unset(&mut self) -> Option<i64> {
        if self.rest.is_empty() {
            return None;
        }
        let (number, after) = leading_number(self.rest)
            .map_or((-1, self.rest), |(number, after)| (i64::from(number.cast_signed()), after));
        self.rest = after_colon(after)?;
        Some(number)
    }

    /// The last number, -1 where nothing is left.
    pub fn last_number(self) -> Option<i64> {
        if self.rest.is_empty() {
            return Some(-1);
        }
        let (number, after) = leading_number(self.rest)?;
        after.is_empty().then_some(i64::from(number))
    }

    /// Whether nothing but blanks is left.
    pub fn is_over(&mut self) -> bool {
        self.rest = self.rest.trim_start_matches(is_space);
        self.rest.is_empty()
    }

    /// All that is left, with its colons.
    pub fn rest(self) -> &'a str {
        self.rest
    }

    /// A list with commas: blanks before a name do not count, those after it do.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.rest.split(',').map(|name| name.trim_start_matches(is_space)).filter(|name| !name.is_empty())
    }
}

/// What follows the colon after a number; a field may also be the line's last.
fn after_colon(after: &str) -> Option<&str> {
    if after.is_empty() { Some(after) } else { after.strip_prefix(':') }
}

/// `strtou32`: the number at the beginning, and what follows it.
fn leading_number(text: &str) -> Option<(u32, &str)> {
    let text = text.trim_start_matches(is_space);
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    if end == 0 {
        return None;
    }
    // strtoul turns -1 into its greatest number, and so does what is too great for it.
    let number = match digits[..end].parse::<u64>() {
        Ok(number) if is_negative => number.wrapping_neg(),
        Ok(number) => number,
        Err(_) => u64::MAX,
    };
    Some((u32::try_from(number).unwrap_or(u32::MAX), &digits[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_strtoul_reads_it() {
        for (text, expected) in [
            ("0:x", Some((0, ":x"))),
            (" 0", Some((0, ""))),
            ("+0", Some((0, ""))),
            ("-1:", Some((u32::MAX, ":"))),
            ("-18446744073709551615", Some((1, ""))),
            ("99999999999999999999", Some((u32::MAX, ""))),
            ("0x1", Some((0, "x1"))),
            (" - 1", None),
            ("", None),
        ] {
            assert_eq!(leading_number(text), expected, "{text}");
        }
    }

    #[test]
    fn blanks_before_a_line_and_what_follows_a_zero_do_not_count() {
        assert_eq!(entry(" \ttoor:x:0:0\0::"), Some("toor:x:0:0"));
        for nothing in ["", "  ", "# a", " #a", "+::::::", "-eve"] {
            assert_eq!(entry(nothing), None, "{nothing}");
        }
    }
}
