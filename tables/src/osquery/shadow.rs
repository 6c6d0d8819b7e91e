//! `shadow`: the state and age of passwords from `/etc/shadow` (`shadow(5)`). The digest itself is never shown.

use crate::accounts::{self, Shadow};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// State and age of local passwords.
    shadow {
        password_status: Text,
        hash_alg: Text,
        last_change: BigInt,
        min: BigInt,
        max: BigInt,
        warning: BigInt,
        inactive: BigInt,
        expire: BigInt,
        flag: BigInt,
        username: Text [index],
    }
}

fn rows(scan: &Scan) -> Rows {
    accounts::expect_file(scan, accounts::PASSWORDS);
    Box::new(accounts::each_shadow(scan).map(describe))
}

/// A limit that is not set is -1, as in osquery.
fn describe(shadow: Shadow) -> Row {
    row! {
        password_status: status(&shadow.password),
        hash_alg: algorithm(&shadow.password),
        last_change: shadow.last_change,
        min: shadow.min,
        max: shadow.max,
        warning: shadow.warning,
        inactive: shadow.inactive,
        expire: shadow.expire,
        flag: shadow.flag,
        username: shadow.name,
    }
}

fn status(password: &str) -> &'static str {
    match password {
        "" => "empty",
        "!!" => "not_set",
        locked if locked.starts_with(['!', '*']) => "locked",
        _ => "active",
    }
}

/// The name between the first two `$` (`crypt(5)`), as osquery shows it; empty for a password without one.
fn algorithm(password: &str) -> String {
    let digest = password.trim_start_matches(['!', '*']);
    match digest.strip_prefix('$').and_then(|rest| rest.split_once('$')) {
        Some((name, _)) => name.to_owned(),
        None if digest.starts_with('_') => "bsdicrypt".to_owned(),
        None if digest.len() == 13 => "descrypt".to_owned(),
        None => String::new(),
    }
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    text.lines().filter_map(accounts::parse_shadow).map(describe).count();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_a_state_and_a_method() {
        for (password, expected_status, expected_algorithm) in [
            ("", "empty", ""),
            ("!", "locked", ""),
            ("*", "locked", ""),
            ("!!", "not_set", ""),
            ("!$y$j9T$x$y", "locked", "y"),
            ("$6$salt$digest", "active", "6"),
        ] {
            assert_eq!((status(password), algorithm(password).as_str()), (expected_status, expected_algorithm));
        }
    }

    #[test]
    fn the_digest_is_in_no_cell() {
        let row = describe(accounts::parse_shadow("root:$6$salt$digest:19000:0:99999:7:::").unwrap());
        assert!(row.0.iter().all(|cell| !cell.to_string().contains("digest")));
    }
}
