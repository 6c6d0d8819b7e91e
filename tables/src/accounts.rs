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

pub(crate) fn users(scan: &Scan) -> Vec<User> {
    scan.text("/etc/passwd").map(|text| parse_users(&text)).unwrap_or_default()
}

pub(crate) fn groups(scan: &Scan) -> Vec<Group> {
    scan.text("/etc/group").map(|text| parse_groups(&text)).unwrap_or_default()
}

/// Accounts for a table that reads in home folders: those that the query asks for by `uid`, else all.
pub(crate) fn users_asked_for(scan: &Scan) -> Vec<User> {
    let wanted = scan.numbers("uid");
    users(scan).into_iter().filter(|user| wanted.is_empty() || wanted.contains(&i64::from(user.uid))).collect()
}

/// Lines that are not of seven fields, or whose numbers are none, are not accounts; the C library skips them as well.
fn parse_users(text: &str) -> Vec<User> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
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
        })
        .collect()
}

fn parse_groups(text: &str) -> Vec<Group> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, gid, members] = fields[..] else { return None };
            if name.is_empty() || name.starts_with(['#', '+', '-']) {
                return None;
            }
            Some(Group {
                name: name.to_owned(),
                gid: gid.parse().ok()?,
                members: members.split(',').filter(|member| !member.is_empty()).map(str::to_owned).collect(),
            })
        })
        .collect()
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    parse_users(&text);
    parse_groups(&text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_of_another_shape_is_no_account() {
        let users = parse_users("root:x:0:0:root:/root:/bin/bash\nbroken\n+nis::::::\nbad:x:minus:0:::\n#c:x:1:1:::\n");
        assert_eq!(users.len(), 1);
        assert_eq!((users[0].name.as_str(), users[0].uid, users[0].shell.as_str()), ("root", 0, "/bin/bash"));
    }

    #[test]
    fn a_group_lists_its_members() {
        assert_eq!(parse_groups("sudo:x:27:alice,bob\n")[0].members, ["alice", "bob"]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            parse_users(&text);
            parse_groups(&text);
        }
    }
}
