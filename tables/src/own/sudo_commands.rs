//! `sudo_commands`: what rules of sudo allow, a command each, aliases resolved. Rules of directory services are not in files.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::sudo::{self, Allowed, Rules};

table! {
    /// Commands that sudo allows, one a row, with aliases of users and commands resolved; a command that begins with `!` is forbidden.
    sudo_commands {
        source: Text,
        users: Text,
        runas: Text,
        command: Text,
        needs_password: Integer,
        may_execute: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let lines = sudo::lines(scan);
    let rules = Rules::of(&lines);
    let scan = scan.clone();
    Box::new(lines.into_iter().flat_map(move |line| {
        let mut is_cut = false;
        let allowed = rules.allowed(&line, &mut is_cut);
        if is_cut {
            scan.warn(format!("a rule in {} allows more than is looked at", line.source));
        } else if allowed.is_none() && sudo::is_rule(&line.text) {
            scan.warn(format!("{} has a line that is no rule of sudo", line.source));
        }
        allowed.unwrap_or_default().into_iter().map(move |one| {
            let Allowed { users, runas, command, needs_password, may_execute } = one;
            row! {
                source: line.source.as_str(),
                users,
                runas,
                command,
                needs_password: i64::from(needs_password),
                may_execute: i64::from(may_execute),
            }
        })
    }))
}
