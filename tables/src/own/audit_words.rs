//! Rules of audit in their words, as `auditctl` takes them: `-e0` is `-e 0`, `always,exit` is `exit,always`, and of a condition
//! such as `auid>=1000` the operator is whatever stands between its field and its value. Rules come with one blank between words.

/// The option of a rule and what follows it: `-e0` is `-e 0`.
pub(super) fn option_of(text: &str) -> (&str, &str) {
    let (option, rest) = text.split_at_checked(2).unwrap_or((text, ""));
    (option, rest.trim_start())
}

/// Whether the list and the action of a rule, in either order, have the word.
pub(super) fn list_has(rest: &str, word: &str) -> bool {
    rest.split(' ').next().unwrap_or_default().split(',').any(|part| part == word)
}

/// The options behind the list and the action of a rule that say what it is about, `-F`, `-S` and `-C`, each with its argument.
pub(super) fn conditions(rest: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut words = rest.split(' ').skip(1);
    std::iter::from_fn(move || {
        loop {
            let (option, joined) = option_of(words.next()?);
            if matches!(option, "-F" | "-S" | "-C") {
                let argument = if joined.is_empty() { words.next().unwrap_or_default() } else { joined };
                return Some((option, argument));
            }
        }
    })
}

/// `auid>=1000` in its parts: a field, an operator and a value. The operator is empty where there is none.
pub(super) fn parts(condition: &str) -> (&str, &str, &str) {
    const OPERATORS: [char; 5] = ['!', '=', '<', '>', '&'];
    let (field, rest) = condition.split_at(condition.find(OPERATORS).unwrap_or(condition.len()));
    let value = rest.trim_start_matches(OPERATORS);
    (field, &rest[..rest.len() - value.len()], value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_rule_has_its_conditions_in_order() {
        for (rest, expected) in [
            ("always,exit", ""),
            ("always,exit -F arch=b64 -S open,openat -k x", "-F arch=b64|-S open,openat"),
            ("always,exit -Farch=b64 -Sopen -Cuid!=euid -kx", "-F arch=b64|-S open|-C uid!=euid"),
            ("exit,never -S all -F uid=0", "-S all|-F uid=0"),
            ("always,exit -F -S", "-F -S"),
            ("always,exit -F", "-F "),
            ("-F uid=0 -S open", "-S open"),
            ("", ""),
        ] {
            let found: Vec<String> =
                conditions(rest).map(|(option, argument)| format!("{option} {argument}")).collect();
            assert_eq!(found.join("|"), expected, "{rest}");
        }
    }

    #[test]
    fn a_condition_has_three_parts() {
        for (condition, expected) in [
            ("auid>=1000", ("auid", ">=", "1000")),
            ("uid!=0", ("uid", "!=", "0")),
            ("a2&03", ("a2", "&", "03")),
            ("key=a=b", ("key", "=", "a=b")),
            ("uid", ("uid", "", "")),
            ("=", ("", "=", "")),
        ] {
            assert_eq!(parts(condition), expected, "{condition}");
        }
    }

    #[test]
    fn an_option_stands_alone_or_with_its_argument() {
        assert_eq!(option_of("-e 0"), ("-e", "0"));
        assert_eq!(option_of("-e0"), ("-e", "0"));
        assert_eq!(option_of("-"), ("-", ""));
        assert!(list_has("exit,always -S open", "exit") && !list_has("exit,always -S never", "never"));
    }

    proptest! {
        #[test]
        fn any_rule_is_cut_without_panic(rest in "[- FSCa-z=,!é]{0,60}") {
            for (_, argument) in conditions(&rest) {
                parts(argument);
            }
        }
    }
}
