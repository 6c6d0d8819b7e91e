//! Texts that a scanned host chose, made fit to be shown in a sentence: bounded, and without characters that move the
//! cursor, turn the direction of writing or show nothing. What is compared and counted is always the text as it came.

/// Characters of such a text that a sentence shows; what is longer is cut and ends in `…`.
pub const SHOWN_CHARACTERS: usize = 120;

/// The text without control and invisible characters, runs of white space as one space, and cut to `most` characters.
pub fn shown(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut count = 0;
    let mut is_after_space = true;
    // A text of a hundred megabytes that shows nothing must not cost a hundred megabytes of looking.
    let looked_at = most.saturating_mul(8).saturating_add(64);
    let mut rest = text.chars();
    for character in rest.by_ref().take(looked_at) {
        let is_space = character.is_whitespace();
        if (is_space && is_after_space) || (!is_space && is_unfit(character)) {
            continue;
        }
        if count == most {
            return cut(out);
        }
        out.push(if is_space { ' ' } else { character });
        count += 1;
        is_after_space = is_space;
    }
    if rest.next().is_some() {
        return cut(out);
    }
    out.truncate(out.trim_end().len());
    out
}

/// The text in a sentence: as it is where it is one plain word, else in quotation marks, so that a host cannot write the
/// rest of the sentence itself.
pub fn named(text: &str) -> String {
    let shown = shown(text, SHOWN_CHARACTERS);
    let is_plain = !shown.is_empty()
        && shown
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '+' | ':' | '@' | '-' | '…'));
    if is_plain { shown } else { format!("\"{}\"", shown.replace('"', "'")) }
}

fn cut(mut text: String) -> String {
    text.pop();
    text.truncate(text.trim_end().len());
    text.push('…');
    text
}

/// Control characters (Cc), and those of Unicode's format category (Cf) and its separators of lines and paragraphs,
/// which change how what follows is shown or show nothing themselves.
fn is_unfit(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0x00ad | 0x034f | 0x061c | 0x06dd | 0x070f | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x0600..=0x0605 | 0x08e2 | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffd | 0x1_10bd | 0x1_bca0..=0x1_bca3 | 0x1_d173..=0x1_d17a
            | 0xe_0000..=0xe_0fff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_host_writes_cannot_move_the_cursor_or_end_the_quotation() {
        for (given, expected) in [
            ("4444/tcp", "4444/tcp"),
            ("/usr/bin/nc", "/usr/bin/nc"),
            ("a b", "\"a b\""),
            ("", "\"\""),
            ("\u{1b}[2Jgone", "\"[2Jgone\""),
            ("a\r\n\tb", "\"a b\""),
            ("x\"; all is well. \"", "\"x'; all is well. '\""),
            ("exe\u{202e}gpj.", "exegpj."),
            ("in\u{200b}visible", "invisible"),
            ("  spaced  ", "spaced"),
        ] {
            assert_eq!(named(given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let shown = shown(&"x".repeat(1_000_000), 10);
        assert_eq!(shown, "xxxxxxxxx…");
        assert_eq!(super::shown(&"\u{200b}".repeat(1_000_000), 10), "…");
        assert_eq!(super::shown("exactly-10", 10), "exactly-10");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_bounded_and_clean(text in any::<String>(), most in 1_usize..200) {
            let shown = shown(&text, most);
            prop_assert!(shown.chars().count() <= most);
            prop_assert!(!shown.chars().any(is_unfit));
            prop_assert!(named(&text).chars().count() <= SHOWN_CHARACTERS + 2);
        }
    }
}
