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

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    let users = accounts::users_asked_for(&scan).into_iter().filter(|user| user.home.starts_with('/'));
    Box::new(users.collect::<Vec<_>>().into_iter().flat_map(move |user| {
        let file = Path::new(&user.home).join(".ssh/known_hosts");
        let key_file = paths::display(&file);
        let text = scan.users_text(&file).unwrap_or_default();
        let keys: Vec<String> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        keys.into_iter().map(move |key| row! { uid: user.uid, key, key_file: key_file.as_str() })
    }))
}
