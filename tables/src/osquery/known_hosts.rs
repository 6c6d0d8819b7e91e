//! `known_hosts`: hosts that users connected to.

use std::path::Path;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Lines of the known_hosts of users.
    known_hosts {
        uid: BigInt [index],
        key: Text,
        key_file: Text,
    }
}

const FILE: &str = ".ssh/known_hosts";

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    Box::new(accounts::users_asked_for(&scan).into_iter().flat_map(move |user| {
        let key_file = paths::display(&Path::new(&user.home).join(FILE));
        let text = scan.home_text(&user.home, FILE).unwrap_or_default();
        let keys: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        keys.into_iter().map(move |key| row! { uid: user.uid, key, key_file: key_file.as_str() })
    }))
}
