//! What a line of `Defaults` sets: one entry or several, for everybody or for whom it names.

use super::{Line, find, parts, unescaped, without_comment};

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

/// The settings of a line; none in one that is something else. What sudo does not read in one place it does not read at all.
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
    let settings: Option<Vec<Setting>> = parts(settings, ',').into_iter().map(|setting| one(&scope, setting)).collect();
    settings.unwrap_or_default()
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

/// A setting; none where sudo reads none, such as two without a comma between them.
fn one(scope: &str, setting: &str) -> Option<Setting> {
    let named = setting.trim_start_matches(['!', ' ', '\t']);
    let negations = setting[..setting.len() - named.len()].matches('!').count();
    let (name, operator, value) = match find(named, '=') {
        Some(_) if negations > 0 => return None,
        Some(place) => {
            let (name, value) = (&named[..place], &named[place + 1..]);
            let (name, operator) = match (name.strip_suffix('+'), name.strip_suffix('-')) {
                (Some(name), _) => (name, "+="),
                (_, Some(name)) => (name, "-="),
                _ => (name, "="),
            };
            (name.trim(), operator, unquoted(value.trim())?)
        }
        None => (named, "", if negations % 2 == 1 { "off" } else { "on" }),
    };
    is_name(name).then(|| Setting { scope: scope.to_owned(), name: name.to_owned(), operator, value: value.to_owned() })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The value without its quotes; none where it is empty, or where something else follows it.
fn unquoted(value: &str) -> Option<&str> {
    if let Some(quoted) = value.strip_prefix('"') {
        let inner = &quoted[..unescaped(quoted, &['"'])?];
        return (!inner.is_empty() && inner.len() + 1 == quoted.len()).then_some(inner);
    }
    (!value.is_empty() && unescaped(value, &[' ', '\t', '=', '"']).is_none()).then_some(value)
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
            ("Defaults passprompt=\"a \\\"b\" , use_pty", "|passprompt|=|a \\\"b;|use_pty||on"),
            ("Defaults passprompt=a\\ b", "|passprompt|=|a\\ b"),
            ("Defaults use_pty !authenticate", ""),
            ("Defaults use_pty,", ""),
            ("Defaults use_pty, , env_reset", ""),
            ("Defaults !logfile=/x", ""),
            ("Defaults logfile=\"\"", ""),
            ("Defaults logfile = /x use_pty", ""),
            ("Defaults use_pty, logfile=\"/x\"use_pty", ""),
            ("Defaults Use_pty", ""),
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
