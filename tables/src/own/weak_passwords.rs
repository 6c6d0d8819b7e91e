//! `weak_passwords`: accounts of `/etc/shadow` whose password is found by trying: the account's own names, passwords that
//! are common everywhere, and those of a file that the query names. The password itself is in no cell.
//!
//! A digest chooses what one try costs. One that asks for more memory or rounds than a host's own defaults do by far is
//! not tried, and the table says so: a file of the scanned host must not spend the scanner.

mod digest;

use std::time::Duration;

use self::digest::{Digest, Untried};
use crate::accounts;
use crate::constraints::Operator;
use crate::reader::{Lines, Scan};
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Accounts whose password is found by trying: nothing, their own names, common passwords, and those of the file `list` (=), one on a line. Costs some ten milliseconds a try.
    weak_passwords {
        username: Text [index],
        hash_alg: Text,
        found: Text,
        list: Text [index],
    }
}

/// What is left of a query's time for SQLite, and for the try that is under way.
const SPARE: Duration = Duration::from_secs(3);

const COMMON: &str = include_str!("weak_passwords/common.txt");

/// An account that may sign in with a password.
struct Account {
    name: String,
    algorithm: String,
    digest: Digest,
    /// What is said of it: its name, words of its description.
    names: Vec<String>,
    found: Option<&'static str>,
}

fn rows(scan: &Scan) -> Rows {
    let mut accounts = accounts_with_password(scan);
    let listed = scan.texts("list", Operator::Equals);
    try_names(scan, &mut accounts, "the account's own names");
    in_turn(scan, &mut accounts, &mut COMMON.lines().map(str::to_owned), "a common password");
    for path in listed.iter().filter(|path| !path.is_empty()) {
        match scan.lines(path) {
            Some(lines) => in_turn(scan, &mut accounts, &mut words(lines), "a password of the list"),
            None => scan.warn(format!("there is no list of passwords at {path}")),
        }
    }
    let list = listed.first().cloned();
    Box::new(accounts.into_iter().filter_map(move |account| describe(account, list.as_deref())))
}

fn words(lines: Lines) -> impl Iterator<Item = String> {
    lines.map(|line| line.trim_end_matches(['\r', '\n']).to_owned()).filter(|line| !line.is_empty())
}

fn describe(account: Account, list: Option<&str>) -> Option<Row> {
    Some(row! { username: account.name, hash_alg: account.algorithm, found: account.found?, list: list })
}

/// Accounts whose digest can be tried. Of the others it is said why not.
fn accounts_with_password(scan: &Scan) -> Vec<Account> {
    accounts::expect_file(scan, accounts::PASSWORDS);
    let wanted = scan.texts("username", Operator::Equals);
    let users = accounts::users(scan);
    let hostname = scan.text("/etc/hostname").unwrap_or_default();
    accounts::each_shadow(scan)
        .filter_map(|shadow| {
            let (name, password) = (shadow.name.as_str(), shadow.password.as_str());
            if !may_sign_in(password) || !(wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)) {
                return None;
            }
            let (digest, found) = match Digest::parse(password) {
                Ok(digest) => (digest, None),
                Err(Untried::Obsolete) => (Digest::None, Some("an obsolete digest")),
                Err(Untried::Unknown) => {
                    scan.warn(format!("the password of {name} has a digest of a kind that cannot be tried"));
                    return None;
                }
                Err(Untried::Costly) => {
                    scan.warn(format!(
                        "the digest of {name}'s password asks for more time or memory than a try may take"
                    ));
                    return None;
                }
            };
            let description = users.iter().find(|user| user.name == name).map_or("", |user| user.description.as_str());
            let names = std::iter::once(name).chain(description.split([' ', ',', '.'])).chain(hostname.lines().take(1));
            Some(Account {
                name: name.to_owned(),
                algorithm: digest::kind(password).to_owned(),
                digest,
                names: names.filter(|name| name.len() >= 2).map(str::to_owned).collect(),
                found,
            })
        })
        .collect()
}

/// An empty password is found by whoever looks for it, and `!` or `*` before a digest locks it. What is shorter than any
/// digest, such as `x`, is the digest of nothing; an `x` may well begin one.
fn may_sign_in(password: &str) -> bool {
    const SHORTEST_DIGEST: usize = 13;
    password.len() >= SHORTEST_DIGEST && !password.starts_with(['!', '*'])
}

impl Account {
    /// Nothing, its names as they are, in small letters, backwards and with the usual ends.
    fn guesses(&self) -> Vec<String> {
        let mut guesses = vec![String::new()];
        for name in &self.names {
            let small = name.to_lowercase();
            guesses.push(name.clone());
            guesses.push(small.chars().rev().collect());
            guesses.extend(
                ["1", "123", "1234", "12345", "123456", "!", "@123", "2025", "2026"].map(|end| format!("{small}{end}")),
            );
            guesses.push(small);
        }
        guesses.sort_unstable();
        guesses.dedup();
        guesses
    }

    fn attempt(&mut self, guess: &str, found: &'static str) {
        if self.found.is_none() && self.digest.is_of(guess.as_bytes()) {
            self.found = Some(if guess.is_empty() { "nothing" } else { found });
        }
    }
}

fn try_names(scan: &Scan, accounts: &mut [Account], found: &'static str) {
    for account in accounts {
        for guess in account.guesses() {
            if account.found.is_some() || !may_go_on(scan) {
                break;
            }
            account.attempt(&guess, found);
        }
    }
}

/// Each guess for all accounts before the next one: the likely ones come first.
fn in_turn(scan: &Scan, accounts: &mut [Account], guesses: &mut dyn Iterator<Item = String>, found: &'static str) {
    while accounts.iter().any(|account| account.found.is_none()) {
        let Some(guess) = guesses.next() else { return };
        for account in accounts.iter_mut().filter(|account| account.found.is_none()) {
            if !may_go_on(scan) {
                return;
            }
            account.attempt(&guess, found);
        }
    }
}

fn may_go_on(scan: &Scan) -> bool {
    let may = scan.budget().left() > SPARE && scan.budget().is_open();
    if !may {
        scan.warn("the time of the query ended before every password was tried");
    }
    may
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let _ = Digest::parse(&String::from_utf8_lossy(input));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_are_listed_once_and_short_enough_to_try() {
        let mut all: Vec<&str> = COMMON.lines().collect();
        assert!((100..=400).contains(&all.len()), "{}", all.len());
        let before = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), before);
        assert!(all.iter().all(|word| !word.is_empty() && word.trim() == *word));
    }

    #[test]
    fn a_digest_may_begin_with_any_letter() {
        for (password, expected) in [
            ("x", false),
            ("", false),
            ("!xyJnggxhB/yWI", false),
            ("*", false),
            ("xyJnggxhB/yWI", true),
            ("$6$abcdefgh$a", true),
        ] {
            assert_eq!(may_sign_in(password), expected, "{password}");
        }
    }

    #[test]
    fn names_are_guessed_with_their_usual_ends() {
        let account = Account {
            name: "ada".to_owned(),
            algorithm: "6".to_owned(),
            digest: Digest::None,
            names: vec!["ada".to_owned(), "Lovelace".to_owned()],
            found: None,
        };
        let guesses = account.guesses();
        for guess in ["", "ada", "ada123", "ecalevol", "Lovelace", "lovelace1"] {
            assert!(guesses.iter().any(|one| one == guess), "{guess}");
        }
    }
}
