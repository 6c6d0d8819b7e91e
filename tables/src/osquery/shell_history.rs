//! `shell_history`: commands that users typed. Personal data: a module that reads it must say so.

use std::path::Path;

use crate::accounts;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Commands of users from the history of their shells.
    shell_history {
        uid: BigInt [index],
        time: Integer,
        command: Text,
        history_file: Text,
    }
}

const FILES: [&str; 5] = [".bash_history", ".zsh_history", ".zhistory", ".history", ".sh_history"];

fn rows(scan: &Scan) -> Rows {
    let scan = scan.clone();
    let users = accounts::users_asked_for(&scan).into_iter();
    let files = users.flat_map(|user| FILES.map(|file| (user.uid, user.home.clone(), file)));
    Box::new(files.collect::<Vec<_>>().into_iter().flat_map(move |(uid, home, file)| {
        let text = scan.home_text(&home, file).unwrap_or_default();
        let shown = paths::display(&Path::new(&home).join(file));
        let commands: Vec<Row> = parse(&text)
            .into_iter()
            .map(|(time, command)| row! { uid, time, command, history_file: shown.as_str() })
            .collect();
        commands.into_iter()
    }))
}

/// Commands with their time, if the shell wrote one: `#1700000000` on the line before (bash), `: 1700000000:0;command` (zsh).
fn parse(text: &str) -> Vec<(i64, String)> {
    let mut time = 0;
    let mut commands = Vec::new();
    for line in text.lines() {
        if let Some(stamp) = line.strip_prefix('#').and_then(|rest| rest.parse::<i64>().ok()) {
            time = stamp;
        } else if let Some((stamp, command)) = line.strip_prefix(": ").and_then(|rest| rest.split_once(';')) {
            let stamp = stamp.split(':').next().and_then(|stamp| stamp.parse().ok()).unwrap_or(0);
            commands.push((stamp, command.to_owned()));
        } else if !line.trim().is_empty() {
            commands.push((std::mem::take(&mut time), line.to_owned()));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let commands = parse("#1700000000\nls\npwd\n: 1700000001:0;cd /\n");
        let expected = [(1_700_000_000, "ls"), (0, "pwd"), (1_700_000_001, "cd /")];
        assert_eq!(commands, expected.map(|(time, command)| (time, command.to_owned())));
    }
}
