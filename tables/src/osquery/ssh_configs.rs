//! `ssh_configs`: the SSH client's settings of users and of the system (`ssh_config(5)`).

use std::path::{Path, PathBuf};

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::root::Follow;
use crate::schema::{Rows, row, table};

table! {
    /// Options of the SSH client; block is the Host or Match line before them.
    ssh_configs {
        uid: BigInt [index],
        block: Text,
        option: Text,
        ssh_config_file: Text,
    }
}

const SYSTEM: &str = "/etc/ssh/ssh_config";

fn rows(scan: &Scan) -> Rows {
    let mut files: Vec<(u32, PathBuf, Follow)> = vec![(0, PathBuf::from(SYSTEM), Follow::Links)];
    files.extend(scan.paths("/etc/ssh/ssh_config.d", ".conf").into_iter().map(|path| (0, path, Follow::Links)));
    let users = accounts::users_asked_for(scan).into_iter().filter(|user| user.home.starts_with('/'));
    files.extend(users.map(|user| (user.uid, Path::new(&user.home).join(".ssh/config"), Follow::Never)));
    let scan = scan.clone();
    Box::new(files.into_iter().flat_map(move |(uid, file, follow)| {
        let text = if follow == Follow::Links { scan.text(&file) } else { scan.users_text(&file) };
        let shown = paths::display(&file);
        parse(&text.unwrap_or_default())
            .into_iter()
            .map(move |(block, option)| row! { uid, block, option, ssh_config_file: shown.as_str() })
    }))
}

fn parse(text: &str) -> Vec<(String, String)> {
    let mut block = String::new();
    let mut options = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("host ") || lower.starts_with("host\t") || lower.starts_with("match ") {
            block = lower;
        } else {
            options.push((block.clone(), lower));
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_belong_to_the_block_before_them() {
        let options = parse("ForwardAgent no\nHost x\n  User me\n");
        assert_eq!(options[0], (String::new(), "forwardagent no".to_owned()));
        assert_eq!(options[1], ("host x".to_owned(), "user me".to_owned()));
    }
}
