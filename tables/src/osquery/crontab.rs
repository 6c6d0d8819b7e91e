//! `crontab`: jobs of cron, of the system and of users (`crontab(5)`). Scripts in `cron.daily` and its kin are started by lines of
//! `/etc/crontab` and not listed one by one, as in osquery.

use std::path::PathBuf;

use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Jobs of cron; of system files the command starts with its user.
    crontab {
        event: Text,
        minute: Text,
        hour: Text,
        day_of_month: Text,
        month: Text,
        day_of_week: Text,
        command: Text,
        path: Text,
        pid_with_namespace: Integer [hidden],
    }
}

const USERS: [&str; 2] = ["/var/spool/cron/crontabs", "/var/spool/cron"];

fn rows(scan: &Scan) -> Rows {
    let mut files = vec![PathBuf::from("/etc/crontab")];
    files.extend(scan.paths("/etc/cron.d", ""));
    for folder in USERS {
        files
            .extend(scan.paths(folder, "").into_iter().filter(|path| path.as_path() != std::path::Path::new(USERS[0])));
    }
    let scan = scan.clone();
    Box::new(files.into_iter().flat_map(move |file| {
        let shown = paths::display(&file);
        scan.unlinked_lines(&file).into_iter().flatten().filter_map(move |line| parse(&line, &shown))
    }))
}

fn parse(line: &str, path: &str) -> Option<Row> {
    let line = line.trim();
    let first = line.split_whitespace().next()?;
    if first.starts_with('#') {
        return None;
    }
    if first.starts_with('@') {
        let command = line[first.len()..].trim();
        return (!command.is_empty()).then(|| row! { event: first, command, path });
    }
    // `PATH=/bin` and `SHELL = x` set the environment of the jobs.
    if first.contains('=') || line[first.len()..].trim_start().starts_with('=') {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week, command @ ..] = &words[..] else { return None };
    if command.is_empty() {
        return None;
    }
    Some(row! {
        event: "",
        minute: *minute,
        hour: *hour,
        day_of_month: *day_of_month,
        month: *month,
        day_of_week: *day_of_week,
        command: command.join(" "),
        path,
    })
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    text.lines().filter_map(|line| parse(line, "/x")).count();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn jobs_are_told_from_variables() {
        assert!(parse("PATH=/bin:/usr/bin", "x").is_none());
        assert!(parse("SHELL = /bin/sh", "x").is_none());
        assert!(parse("# a b c d e f", "x").is_none());
        let job = parse("17 *\t* * *\troot cd / && run-parts /etc/cron.hourly", "x").unwrap();
        assert!(job.0.contains(&"root cd / && run-parts /etc/cron.hourly".into()));
        assert!(parse("@reboot root /bin/x", "x").unwrap().0.contains(&"@reboot".into()));
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in ".*") {
            parse(&line, "x");
        }
    }
}
