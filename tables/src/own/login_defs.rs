//! `login_defs`: `/etc/login.defs` as the shadow tools read it: of a repeated key the last counts.

use std::collections::HashMap;

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Settings of /etc/login.defs.
    login_defs {
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let settings = parse(&scan.text("/etc/login.defs").unwrap_or_default());
    Box::new(settings.into_iter().map(|(key, value)| row! { key, value }))
}

fn parse(text: &str) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut positions: HashMap<String, usize> = HashMap::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let value = value.trim().trim_matches('"').to_owned();
        if let Some((_, known)) = positions.get(key).and_then(|position| settings.get_mut(*position)) {
            *known = value;
        } else {
            positions.insert(key.to_owned(), settings.len());
            settings.push((key.to_owned(), value));
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_counts() {
        let settings = parse("# x\nPASS_MAX_DAYS\t99999\nUMASK 022\nPASS_MAX_DAYS 365\n");
        let expected = [("PASS_MAX_DAYS", "365"), ("UMASK", "022")];
        assert_eq!(settings, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
}
