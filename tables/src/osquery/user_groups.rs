//! `user_groups`: which account is in which group, by its own group and by the lists of members.

use crate::accounts;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::windows::{self, machine::Machine};

table! {
    /// Members of local groups.
    user_groups {
        uid: BigInt [index],
        gid: BigInt [index],
    }
}

fn rows(scan: &Scan) -> Rows {
    if let Some(machine) = Machine::of(scan) {
        let pairs = windows::accounts::memberships(&machine);
        return Box::new(pairs.into_iter().map(|(uid, gid)| row! { uid, gid }));
    }
    let users = accounts::users(scan);
    let groups = accounts::groups(scan);
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    for user in &users {
        let first = pairs.len();
        pairs.push((user.uid, user.gid));
        for group in groups.iter().filter(|group| group.members.contains(&user.name)) {
            if !pairs[first..].contains(&(user.uid, group.gid)) {
                pairs.push((user.uid, group.gid));
            }
        }
    }
    Box::new(pairs.into_iter().map(|(uid, gid)| row! { uid, gid }))
}
