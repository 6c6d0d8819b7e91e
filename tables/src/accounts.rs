//! The account files that many tables need: `/etc/passwd`, `/etc/group`, `/etc/shadow` (`passwd(5)`, `group(5)`, `shadow(5)`),
//! read as the C library reads them.

use crate::nss::{self, Fields};
use crate::reader::Scan;
use crate::root::Follow;
use crate::windows::machine::Machine;

pub(crate) const USERS: &str = "/etc/passwd";
pub(crate) const GROUPS: &str = "/etc/group";
pub(crate) const PASSWORDS: &str = "/etc/shadow";

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub description: String,
    pub home: String,
    pub shell: String,
}

/// A line of `/etc/group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub name: String,
    pub gid: u32,
    pub members: Vec<String>,
}

/// A line of `/etc/shadow`. Ages and limits are -1 where they are not set. The digest is a secret: it is not shown.
pub(crate) struct Shadow {
    pub name: String,
    pub password: String,
    pub last_change: i64,
    pub min: i64,
    pub max: i64,
    pub warning: i64,
    pub inactive: i64,
    pub expire: i64,
    pub flag: i64,
}

/// Accounts that are held at once; a table of all of them has no such limit.
const MAX_HELD: usize = 50_000;

/// Says that a file is missing that every Linux has: a host of which nothing is known is not one without accounts. Tables
/// that only want names for numbers do not ask.
pub(crate) fn expect_file(scan: &Scan, path: &'static str) {
    let is_there = scan.metadata(path, Follow::Links).is_some_and(|found| found.is_file());
    if !is_there && Machine::of(scan).is_none() {
        scan.warn(format!("there is no file {path}; what it would say is not known"));
    }
}

/// The accounts as they stand in the file, one at a time.
pub(crate) fn each_user(scan: &Scan) -> impl Iterator<Item = User> + use<> {
    nss::entries(scan, USERS, parse_user)
}

/// The groups as they stand in the file, one at a time.
pub(crate) fn each_group(scan: &Scan) -> impl Iterator<Item = Group> + use<> {
    nss::entries(scan, GROUPS, parse_group)
}

/// The passwords as they stand in the file, one at a time.
pub(crate) fn each_shadow(scan: &Scan) -> impl Iterator<Item = Shadow> + use<> {
    nss::entries(scan, PASSWORDS, parse_shadow)
}

pub(crate) fn users(scan: &Scan) -> Vec<User> {
    held(scan, each_user(scan), USERS)
}

pub(crate) fn groups(scan: &Scan) -> Vec<Group> {
    held(scan, each_group(scan), GROUPS)
}

fn held<T>(scan: &Scan, mut all: impl Iterator<Item = T>, file: &str) -> Vec<T> {
    let held: Vec<T> = all.by_ref().take(MAX_HELD).collect();
    if all.next().is_some() {
        scan.warn(format!("{file} has more than {MAX_HELD} entries; what follows from the others is not looked at"));
    }
    held
}

/// Accounts for a table that reads in home folders: those that the query asks for by `uid`, else all.
pub(crate) fn users_asked_for(scan: &Scan) -> Vec<User> {
    expect_file(scan, USERS);
    let wanted = scan.numbers("uid");
    let asked = each_user(scan).filter(|user| wanted.is_empty() || wanted.contains(&i64::from(user.uid)));
    held(scan, asked, USERS)
}

/// `nss_files`: the two numbers must be there, what follows them need not.
fn parse_user(entry: &str) -> Option<User> {
    let mut fields = Fields::of(entry);
    let name = fields.text().to_owned();
    fields.text();
    Some(User {
        name,
        uid: fields.number()?,
        gid: fields.number()?,
        description: fields.text().to_owned(),
        home: fields.text().to_owned(),
        shell: fields.rest().to_owned(),
    })
}

fn parse_group(entry: &str) -> Option<Group> {
    let mut fields = Fields::of(entry);
    let name = fields.text().to_owned();
    fields.text();
    Some(Group { name, gid: fields.number()?, members: fields.names().map(str::to_owned).collect() })
}

/// `nss_files`: a line may end after the greatest age, as it did once; else it must go on to the eighth field.
pub(crate) fn parse_shadow(entry: &str) -> Option<Shadow> {
    let mut fields = Fields::of(entry);
    let name = fields.text().to_owned();
    let password = fields.text().to_owned();
    let last_change = fields.number_or_unset()?;
    let min = fields.number_or_unset()?;
    let max = fields.number_or_unset()?;
    let (mut warning, mut inactive, mut expire, mut flag) = (-1, -1, -1, -1);
    if !fields.is_over() {
        warning = fields.number_or_unset()?;
        inactive = fields.number_or_unset()?;
        expire = fields.number_or_unset()?;
        flag = fields.last_number()?;
    }
    Some(Shadow { name, password, last_change, min, max, warning, inactive, expire, flag })
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let entries = || text.lines().filter_map(nss::entry);
    entries().filter_map(parse_user).count();
    entries().filter_map(parse_group).count();
    entries().filter_map(parse_shadow).count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Name, number and shell of each account in a text.
    fn users_of(text: &str) -> Vec<(String, u32, String)> {
        let users = text.lines().filter_map(nss::entry).filter_map(parse_user);
        users.map(|user| (user.name, user.uid, user.shell)).collect()
    }

    #[test]
    fn an_account_is_what_getpwent_says_it_is() {
        let text = "root:x:0:0:root:/root:/bin/bash\nbroken\n+nis::::::\nbad:x:minus:0:::\n#c:x:1:1:::\nno:x:0\n\
            toor:x:0:0\nevil:x: 0:0::/root:/bin/sh\nmore:x:0:0::/root:/bin/sh:\n  plus:x:+0:0:::/bin/sh\n:x:0:0:::\n";
        let found = users_of(text);
        let found: Vec<(&str, u32, &str)> =
            found.iter().map(|(name, uid, shell)| (name.as_str(), *uid, shell.as_str())).collect();
        assert_eq!(
            found,
            [
                ("root", 0, "/bin/bash"),
                ("toor", 0, ""),
                ("evil", 0, "/bin/sh"),
                ("more", 0, "/bin/sh:"),
                ("plus", 0, "/bin/sh"),
                ("", 0, ""),
            ]
        );
    }

    #[test]
    fn a_group_is_what_getgrent_says_it_is() {
        let members = |line| parse_group(line).map(|group| (group.gid, group.members.join("+")));
        for (line, expected) in [
            ("sudo:x:27:alice,bob", Some((27, "alice+bob".to_owned()))),
            ("sudo:x:27: evil, ok", Some((27, "evil+ok".to_owned()))),
            ("shadow:x: 42:ok", Some((42, "ok".to_owned()))),
            ("sudo:x:27", Some((27, String::new()))),
            ("sudo:x:", None),
        ] {
            assert_eq!(members(line), expected, "{line}");
        }
    }

    #[test]
    fn a_password_is_what_getspent_says_it_is() {
        let ages = |line| parse_shadow(line).map(|shadow| (shadow.password, shadow.max, shadow.warning, shadow.expire));
        for (line, expected) in [
            ("ada:*:19000:0:99999:7:::", Some(("*".to_owned(), 99_999, 7, -1))),
            ("ada:*:19000:0:99999:7::20000:", Some(("*".to_owned(), 99_999, 7, 20_000))),
            ("toor::19000:0:99999", Some((String::new(), 99_999, -1, -1))),
            ("toor:::::", Some((String::new(), -1, -1, -1))),
            ("toor::19000:0:99999:7", None),
            ("toor:", None),
        ] {
            assert_eq!(ages(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            parse_user(&line);
            parse_group(&line);
            parse_shadow(&line);
        }
    }
}
