//! The patterns of a rule. Wazuh's own dialect takes a dot for a dot and `\.` for any letter, and ignores case; policies may
//! say `regex_type: pcre2` instead.

/// How patterns are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Wazuh's own.
    Os,
    /// As our engine's, but for look-around, which it refuses.
    Pcre2,
}

impl Dialect {
    pub fn named(name: &str) -> Self {
        if name.eq_ignore_ascii_case("pcre2") { Self::Pcre2 } else { Self::Os }
    }

    /// The pattern for our engine.
    pub fn translated(self, pattern: &str) -> String {
        match self {
            Self::Pcre2 => pattern.to_owned(),
            Self::Os => os(pattern),
        }
    }
}

fn os(pattern: &str) -> String {
    let mut made = String::from("(?i)");
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('.') => made.push('.'),
                Some('p') => made.push_str(r#"[()*+,\-.:;<=>?\[\]!"'#$%&|{}]"#),
                Some(class @ ('w' | 'W' | 'd' | 'D' | 's' | 'S' | 't')) => made.extend(['\\', class]),
                Some(other) => push_literal(&mut made, other),
                None => made.push_str(r"\\"),
            },
            '^' | '$' | '|' | '(' | ')' | '+' | '*' => made.push(letter),
            other => push_literal(&mut made, other),
        }
    }
    made
}

fn push_literal(made: &mut String, letter: char) {
    if letter.is_ascii_punctuation()
        && !matches!(letter, '_' | '/' | '"' | '\'' | ',' | ':' | ';' | '=' | '@' | '%' | '!' | '<' | '>' | '`')
    {
        made.push('\\');
    }
    made.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_a_dot_and_an_escaped_one_is_any_letter() {
        for (pattern, expected) in [
            (r"^a.b\.*c", r"(?i)^a\.b.*c"),
            (r"\s*\t*install\s*/bin/true", r"(?i)\s*\t*install\s*/bin/true"),
            (r"net.ipv4|x", r"(?i)net\.ipv4|x"),
            (r"a[b]", r"(?i)a\[b\]"),
            (r"\$x\\", r"(?i)\$x\\"),
        ] {
            assert_eq!(Dialect::Os.translated(pattern), expected, "{pattern}");
        }
        assert_eq!(Dialect::Pcre2.translated(r"a.b\."), r"a.b\.");
    }
}
