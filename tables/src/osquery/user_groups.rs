//! `user_groups`: which account is in which group, by its own group and by the lists of members.

use std::collections::{HashMap, HashSet};

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
    accounts::expect_file(scan, accounts::USERS);
    accounts::expect_file(scan, accounts::GROUPS);
    let users = accounts::users(scan);
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (position, user) in users.iter().enumerate() {
        by_name.entry(&user.name).or_default().push(position);
    }
    // By the place of the account in the file, in the order of the groups.
    let mut pairs: Vec<(usize, u32, u32)> =
        users.iter().enumerate().map(|(position, user)| (position, user.uid, user.gid)).collect();
    let mut seen: HashSet<(usize, u32)> = pairs.iter().map(|(position, _, gid)| (*position, *gid)).collect();
    for group in accounts::each_group(scan) {
        if !scan.budget().is_open() {
            break;
        }
        for position in group.members.iter().filter_map(|name| by_name.get(name.as_str())).flatten() {
            if seen.insert((*position, group.gid)) {
                pairs.push((*position, users[*position].uid, group.gid));
            }
        }
    }
    pairs.sort_by_key(|(position, ..)| *position);
    Box::new(pairs.into_iter().map(|(_, uid, gid)| row! { uid, gid }))
}
