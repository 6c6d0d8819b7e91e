//! The account files that many tables need: `/etc/passwd`, `/etc/group` (`passwd(5)`, `group(5)`).

use crate::reader::Scan;

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

/// Accounts that are held at once; a table of all of them has no such limit.
const MAX_HELD: usize = 50_000;

/// The accounts as they stand in the file, one at a time.
pub(crate) fn each_user(scan: &Scan) -> impl Iterator<Item = User> + use<> {
    scan.lines("/etc/passwd").into_iter().flatten().filter_map(|line| parse_user(&line))
}

/// The groups as they stand in the file, one at a time.
pub(crate) fn each_group(scan: &Scan) -> impl Iterator<Item = Group> + use<> {
    scan.lines("/etc/group").into_iter().flatten().filter_map(|line| parse_group(&line))
}

pub(crate) fn users(scan: &Scan) -> Vec<User> {
    held(scan, each_user(scan), "/etc/passwd")
}

pub(crate) fn groups(scan: &Scan) -> Vec<Group> {
    held(scan, each_group(scan), "/etc/group")
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
    let wanted = scan.numbers("uid");
    let asked = each_user(scan).filter(|user| wanted.is_empty() || wanted.contains(&i64::from(user.uid)));
    held(scan, asked, "/etc/passwd")
}

/// A line that is not of seven fields, or whose numbers are none, is no account; the C library skips it as well.
fn parse_user(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').take(8).collect();
    let [name, _, uid, gid, description, home, shell] = fields[..] else { return None };
    if name.is_empty() || name.starts_with(['#', '+', '-']) {
        return None;
    }
    Some(User {
        name: name.to_owned(),
        uid: uid.parse().ok()?,
        gid: gid.parse().ok()?,
        description: description.to_owned(),
        home: home.to_owned(),
        shell: shell.to_owned(),
    })
}

fn parse_group(line: &str) -> Option<Group> {
    let fields: Vec<&str> = line.split(':').take(5).collect();
    let [name, _, gid, members] = fields[..] else { return None };
    if name.is_empty() || name.starts_with(['#', '+', '-']) {
        return None;
    }
    Some(Group {
        name: name.to_owned(),
        gid: gid.parse().ok()?,
        members: members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect(),
    })
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    text.lines().filter_map(parse_user).count();
    text.lines().filter_map(parse_group).count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_another_shape_is_no_account() {
        let text = "root:x:0:0:root:/root:/bin/bash\nbroken\n+nis::::::\nbad:x:minus:0:::\n#c:x:1:1:::\n";
        let users: Vec<User> = text.lines().filter_map(parse_user).collect();
        assert_eq!(users.len(), 1);
        assert_eq!((users[0].name.as_str(), users[0].uid, users[0].shell.as_str()), ("root", 0, "/bin/bash"));
    }

    #[test]
    fn a_group_lists_its_members() {
        assert_eq!(parse_group("sudo:x:27:alice,bob").unwrap().members, ["alice", "bob"]);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            parse_user(&line);
            parse_group(&line);
        }
    }
}
