//! `grub_config`: the boot loader's settings: `/etc/default/grub` as key and value, and the commands of the generated
//! `grub.cfg` by their first word (`linux`, `set`, `password_pbkdf2`).

use std::path::PathBuf;

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::shell_glob;
use crate::value::Row;

table! {
    /// Settings of GRUB: defaults, and the commands of the generated configuration. Digests of passwords are left out.
    grub_config {
        path: Text,
        line: BigInt,
        key: Text,
        value: Text,
    }
}

const GENERATED: [&str; 4] =
    ["/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/user.cfg", "/boot/grub2/user.cfg"];

fn rows(scan: &Scan) -> Rows {
    let mut rows: Vec<Row> = Vec::new();
    // A script of the shell reads them, which does not see hidden files.
    let mut defaults = vec![PathBuf::from("/etc/default/grub")];
    defaults.extend(shell_glob::glob(scan, "/etc/default/grub.d/*.cfg"));
    for file in defaults {
        let text = scan.text(&file).unwrap_or_default();
        for (line, key, value) in settings(&text) {
            rows.push(row! { path: paths::display(&file), line, key, value });
        }
    }
    for path in GENERATED {
        let text = scan.text(path).unwrap_or_default();
        for (line, key, value) in commands(&text) {
            if !scan.budget().is_open() {
                break;
            }
            rows.push(row! { path, line, key, value });
        }
    }
    Box::new(rows.into_iter())
}

fn settings(text: &str) -> impl Iterator<Item = (i64, &str, &str)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim().trim_start_matches("export ");
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        Some((number, key.trim(), value.trim().trim_matches(['"', '\''])))
    })
}

fn commands(text: &str) -> impl Iterator<Item = (i64, &str, String)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let end = line.find(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or(line.len());
        let (key, value) = line.split_at(end);
        let value = value.trim_start_matches('=').trim();
        // The second word of a password command is the user; the third is the digest.
        let is_secret = key.starts_with("password") || key == "GRUB2_PASSWORD";
        let shown = if is_secret { value.split_whitespace().next().unwrap_or_default() } else { value };
        Some((number, key, if key == "GRUB2_PASSWORD" { "set".to_owned() } else { shown.to_owned() }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_password_is_left_out() {
        let found: Vec<_> = commands("set superusers=\"root\"\npassword_pbkdf2 root grub.pbkdf2.sha512.1\n").collect();
        assert_eq!(found[0], (1, "set", "superusers=\"root\"".to_owned()));
        assert_eq!(found[1], (2, "password_pbkdf2", "root".to_owned()));
    }
}
