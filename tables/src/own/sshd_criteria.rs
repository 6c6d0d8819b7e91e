//! The criteria of a block of `Match` in `sshd_config`: whom it holds for (`match_cfg_line` in `servconf.c`).

use crate::paths;

/// Letters of criteria that are shown.
const MAX_SHOWN: usize = 256;

/// Whom a block holds for that is not for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Criteria {
    /// As the file says it, blocks around it first.
    pub shown: String,
    /// Whether root may be among them: not where users are named and root is none of them.
    pub may_be_root: bool,
}

impl Criteria {
    /// Those that the words of a `Match` are; none where it holds for everybody.
    pub fn of(words: &[String]) -> Option<Self> {
        let is_all = words.len() == 1 && words.iter().all(|word| word.eq_ignore_ascii_case("all"));
        let holds = |pair: &[String]| matches!(pair, [kind, patterns] if is_for_everybody(kind, patterns));
        if is_all || !words.is_empty() && words.chunks(2).all(holds) {
            return None;
        }
        let leaves_root_out = |pair: &[String]| match pair {
            [kind, patterns] => kind.eq_ignore_ascii_case("user") && !is_in_list("root", patterns),
            _ => false,
        };
        Some(Criteria { shown: beginning(&words.join(" ")), may_be_root: !words.chunks(2).any(leaves_root_out) })
    }

    /// Those of a block in a file that a block for some includes: both have to hold.
    pub fn within(self, outer: &Criteria) -> Self {
        Criteria {
            shown: beginning(&format!("{} {}", outer.shown, self.shown)),
            may_be_root: outer.may_be_root && self.may_be_root,
        }
    }
}

fn beginning(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

/// `match_pattern_list`: one pattern has to match, and none behind a `!`.
fn is_in_list(name: &str, patterns: &str) -> bool {
    let matches = |pattern: &str| paths::matches(pattern.as_bytes(), name.as_bytes());
    let is_refused = patterns.split(',').filter_map(|pattern| pattern.strip_prefix('!')).any(matches);
    !is_refused && patterns.split(',').any(matches)
}

/// Whether a criterion holds for every connection.
fn is_for_everybody(kind: &str, patterns: &str) -> bool {
    let kinds = ["user", "group", "host", "address", "localaddress", "localport", "rdomain"];
    let is_any = |pattern: &str| {
        let is_whole = !pattern.is_empty() && pattern.chars().all(|letter| matches!(letter, '*' | '?'));
        is_whole && pattern.contains('*') && pattern.matches('?').count() < 2
            || matches!(pattern, "0.0.0.0/0" | "::/0") && kind.to_ascii_lowercase().ends_with("address")
    };
    kinds.iter().any(|known| kind.eq_ignore_ascii_case(known))
        && !patterns.contains('!')
        && patterns.split(',').any(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Criteria> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Criteria::of(&words)
    }

    #[test]
    fn a_block_for_everybody_is_told_from_one_for_some() {
        for (words, is_for_everybody) in [
            ("all", true),
            ("User *", true),
            ("user **,ada", true),
            ("Address 0.0.0.0/0", true),
            ("Address 0.0.0.0/0,::/0 User ?*", true),
            ("User ada", false),
            ("User *,!root", false),
            ("User 0.0.0.0/0", false),
            ("User * Address 10.0.0.0/8", false),
            ("User * Group", false),
            ("Nobody *", false),
            ("", false),
        ] {
            assert_eq!(of(words).is_none(), is_for_everybody, "{words:?}");
        }
    }

    #[test]
    fn root_is_left_out_where_users_are_named_without_it() {
        for (words, may_be_root) in [
            ("User root", true),
            ("user r*t,ada", true),
            ("Group admins", true),
            ("Address 10.0.0.0/8", true),
            ("Invalid-User User ada", true),
            ("User ada", false),
            ("User *,!root", false),
            ("Address 10.0.0.0/8 User ada,eve", false),
        ] {
            assert_eq!(of(words).unwrap().may_be_root, may_be_root, "{words}");
        }
    }

    #[test]
    fn criteria_of_a_block_within_another_are_both() {
        let both = of("Address 10.0.0.0/8").unwrap().within(&of("User ada").unwrap());
        assert_eq!(both.shown, "User ada Address 10.0.0.0/8");
        assert!(!both.may_be_root);
        let long = of(&format!("User {}", "a".repeat(1_000))).unwrap();
        assert_eq!(long.shown.len(), MAX_SHOWN);
    }
}
