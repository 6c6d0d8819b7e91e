//! Takes secrets out of what leaves the host. A pattern that looks like a secret is replaced wherever it stands; what a module
//! shows on purpose (a user, a path, a setting) does not look like one.

use std::sync::LazyLock;

use regex::Regex;

use crate::reader::cut;

/// Text longer than this is cut: evidence is to be read by a person, and a result holds no more than 4,096 letters.
const MAX_TEXT_BYTES: usize = 4_000;
/// A secret that begins in what is shown ends before this.
const MAX_SEARCHED_BYTES: usize = 64 << 10;

/// A pattern of a secret, and what stays of it.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    [
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)", "[private key]"),
        // crypt(5): $6$salt$digest and its kin
        (r"\$(?:[1-9][a-z]?|y|gy|argon2id?|pbkdf2[a-z0-9-]*)\$[^\s:,$]*\$[^\s:]{8,}", "[password digest]"),
        (r"grub\.pbkdf2\.[^\s]+", "[password digest]"),
        (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "[access key]"),
        (r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,}|xox[abposr]-[\w-]{10,})", "[token]"),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*", "[token]"),
        (r"(?i)\b(authorization:\s*(?:bearer|basic)\s+)\S+", "${1}[secret]"),
        (
            r"(?i)((?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)[\w-]*\s*[=:]\s*)[^\s,;&]{4,}",
            "${1}[secret]",
        ),
        (r"(?i)(--?(?:password|passwd|secret|token|api-?key)\s+)\S+", "${1}[secret]"),
        (r"\b([a-z][a-z0-9+.-]*://[^\s/:@]+:)[^\s/@]+@", "${1}[secret]@"),
    ]
    .into_iter()
    .filter_map(|(pattern, shown)| Some((Regex::new(pattern).ok()?, shown)))
    .collect()
});

/// The text without what looks like a secret, at most 4 KiB long.
pub fn redact(text: &str) -> String {
    let mut clean = text[..text.floor_char_boundary(MAX_SEARCHED_BYTES)].to_owned();
    for (pattern, shown) in PATTERNS.iter() {
        if pattern.is_match(&clean) {
            clean = pattern.replace_all(&clean, *shown).into_owned();
        }
    }
    cut(&mut clean, MAX_TEXT_BYTES);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_pattern_compiles() {
        assert_eq!(PATTERNS.len(), 10);
    }

    #[test]
    fn secrets_are_taken_out() {
        for (text, expected) in [
            ("mysql --password=hunter22 -u x", "mysql --password=[secret] -u x"),
            ("curl --token abcdef", "curl --token [secret]"),
            ("postgres://app:s3cret@db/x", "postgres://app:[secret]@db/x"),
            ("root:$6$salt$abcdefghijklmnop:19000", "root:[password digest]:19000"),
            (concat!("id AKIA", "ABCDEFGHIJKLMNOP"), "id [access key]"),
            ("PASS_MAX_DAYS 99999", "PASS_MAX_DAYS 99999"),
            ("PasswordAuthentication yes", "PasswordAuthentication yes"),
        ] {
            assert_eq!(redact(text), expected);
        }
        assert_eq!(redact(&"a".repeat(100_000)).chars().count(), 4_001);
        assert_eq!(
            redact("a\n-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nb"),
            "a\n[private key]\nb"
        );
    }

    proptest! {
        #[test]
        fn the_result_is_bounded(text in "(?s).{0,6000}") {
            prop_assert!(redact(&text).len() <= text.len().max(MAX_TEXT_BYTES) + 64);
        }
    }
}
