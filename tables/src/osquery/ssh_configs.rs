//! `ssh_configs`: the SSH client's settings of users and of the system (`ssh_config(5)`).

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::shell_glob;

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
    let mut texts: Vec<(u32, String, String)> = Vec::new();
    let mut files = vec![PathBuf::from(SYSTEM)];
    files.extend(shell_glob::glob(scan, "/etc/ssh/ssh_config.d/*.conf"));
    for file in files {
        texts.push((0, paths::display(&file), scan.text(&file).unwrap_or_default()));
    }
    for user in accounts::users_asked_for(scan) {
        if let Some(text) = scan.home_text(&user.home, ".ssh/config") {
            texts.push((user.uid, paths::display(&Path::new(&user.home).join(".ssh/config")), text));
        }
    }
    Box::new(texts.into_iter().flat_map(|(uid, file, text)| {
        parse(&text)
            .into_iter()
            .map(move |(block, option)| row! { uid, block: &*block, option, ssh_config_file: file.as_str() })
    }))
}

/// Options with their block. The block is shared: a long one may have many.
fn parse(text: &str) -> Vec<(Rc<str>, String)> {
    let mut block: Rc<str> = "".into();
    let mut options = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with("host ") || lower.starts_with("host\t") || lower.starts_with("match ") {
            block = lower.into();
        } else {
            options.push((Rc::clone(&block), lower));
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
        assert_eq!(options[0], ("".into(), "forwardagent no".to_owned()));
        assert_eq!(options[1], ("host x".into(), "user me".to_owned()));
    }
}
