//! What a line of `Defaults` sets: one entry or several, for everybody or for whom it names.

use super::{Line, find, split, without_comment};

/// A setting of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Empty for everybody; else `:ada`, `@host`, `>root` or `!/bin/ls`.
    pub scope: String,
    pub name: String,
    /// `=`, `+=` or `-=`; empty for a flag.
    pub operator: &'static str,
    /// `on` and `off` for a flag, and `off` for whatever has a `!` before it.
    pub value: String,
}

/// The settings of a line; none in one that is something else.
pub(crate) fn defaults(line: &Line) -> Vec<Setting> {
    let text = without_comment(&line.text);
    let Some(rest) = text.strip_prefix("Defaults") else { return Vec::new() };
    let (scope, settings) = if rest.starts_with([':', '@', '>', '!']) {
        scope_and_rest(rest)
    } else if rest.starts_with([' ', '\t']) {
        (String::new(), rest)
    } else {
        return Vec::new();
    };
    split(settings, ',').into_iter().map(|setting| one(&scope, setting)).collect()
}

/// Whom the settings are for: a list with commas, blanks beside these.
fn scope_and_rest(text: &str) -> (String, &str) {
    let (sign, rest) = text.split_at(1);
    let mut scope = sign.to_owned();
    let mut rest = rest.trim_start();
    loop {
        let end = find(rest, ' ').into_iter().chain(find(rest, '\t')).min().unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        scope.push_str(word);
        rest = after.trim_start();
        if rest.is_empty() || !(word.ends_with(',') || rest.starts_with(',')) {
            return (scope, rest);
        }
    }
}

fn one(scope: &str, setting: &str) -> Setting {
    let named = setting.trim_start_matches(['!', ' ', '\t']);
    let negations = setting[..setting.len() - named.len()].matches('!').count();
    let (name, operator, value) = match find(named, '=') {
        Some(place) => {
            let (name, value) = (&named[..place], &named[place + 1..]);
            let (name, operator) = match (name.strip_suffix('+'), name.strip_suffix('-')) {
                (Some(name), _) => (name, "+="),
                (_, Some(name)) => (name, "-="),
                _ => (name, "="),
            };
            let value = value.trim();
            (name.trim(), operator, value.strip_prefix('"').map_or(value, |value| value.trim_end_matches('"')))
        }
        None => (named, "", "on"),
    };
    let value = if negations % 2 == 1 { "off" } else { value };
    Setting { scope: scope.to_owned(), name: name.to_owned(), operator, value: value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_sets_what_sudo_sets() {
        for (text, expected) in [
            ("Defaults use_pty", "|use_pty||on"),
            ("Defaults env_reset,!authenticate", "|env_reset||on;|authenticate||off"),
            ("Defaults !!use_pty, ! log_input", "|use_pty||on;|log_input||off"),
            ("Defaults:eve timestamp_timeout=-1", ":eve|timestamp_timeout|=|-1"),
            ("Defaults: eve, bob !authenticate", ":eve,bob|authenticate||off"),
            ("Defaults!/bin/ls, /bin/cat !use_pty", "!/bin/ls,/bin/cat|use_pty||off"),
            ("Defaults env_keep += \"A B\", logfile=\"/var/log/a,b\" # c", "|env_keep|+=|A B;|logfile|=|/var/log/a,b"),
            ("DefaultsX use_pty", ""),
            ("ada ALL=(ALL) ALL", ""),
        ] {
            let line = Line { source: "/x".to_owned(), text: text.to_owned() };
            let found: Vec<String> = defaults(&line)
                .into_iter()
                .map(|one| format!("{}|{}|{}|{}", one.scope, one.name, one.operator, one.value))
                .collect();
            assert_eq!(found.join(";"), expected, "{text}");
        }
    }
}
