//! Text that others wrote (a host, a server, a file), made fit for a terminal: without characters that move its cursor, change
//! its colours or its title, turn the direction of writing, or show nothing. What is stored and compared stays as it came.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Stands where a character was that is not shown.
const REPLACEMENT: char = '\u{fffd}';

/// The text with its lines and tabs.
pub fn printable(text: &str) -> Cow<'_, str> {
    replaced(text, |letter| if matches!(letter, '\n' | '\t') { letter } else { REPLACEMENT })
}

/// The text as one line.
pub fn printable_line(text: &str) -> Cow<'_, str> {
    replaced(text, |letter| if matches!(letter, '\n' | '\t' | '\r') { ' ' } else { REPLACEMENT })
}

/// The text with its lines and tabs, and with its colours: what a program made of texts of others and styled itself.
pub fn printable_styled(text: &str) -> Cow<'_, str> {
    if !text.contains(|letter| is_unfit(letter) && !matches!(letter, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = style_length(rest).unwrap_or(letter.len_utf8());
        if length > letter.len_utf8() {
            safe.push_str(&rest[..length]);
        } else if is_unfit(letter) && !matches!(letter, '\n' | '\t') {
            safe.push(REPLACEMENT);
        } else {
            safe.push(letter);
        }
        rest = &rest[length..];
    }
    Cow::Owned(safe)
}

/// The length of what sets a colour (ECMA-48 §8.3.117, SGR), if the text begins with it.
fn style_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
    parameters[end..].starts_with('m').then_some(2 + end + 1)
}

/// JSON that says the same: in it such characters can only stand in texts, where they may be written as `\u202e`. Its own line
/// ends stay.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    if !json.contains(|letter| letter != '\n' && is_unfit(letter)) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 64);
    for letter in json.chars() {
        if letter == '\n' || !is_unfit(letter) {
            safe.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            // Writing to a text does not fail.
            let _ = write!(safe, "\\u{unit:04x}");
        }
    }
    Cow::Owned(safe)
}

/// Whether it does something to a terminal: controls (Cc), marks of direction, and what has no width.
pub fn is_unfit(letter: char) -> bool {
    letter.is_control()
        || matches!(u32::from(letter),
            0x00ad | 0x061c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe_0000..=0xe_0fff)
}

fn replaced(text: &str, shown: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.contains(is_unfit) {
        Cow::Owned(text.chars().map(|letter| if is_unfit(letter) { shown(letter) } else { letter }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clears the screen, the same in eight bits, sets the title, writes from right to left, and deletes.
    const HOSTILE: &str = "a\u{1b}[2J\u{9b}2J\u{1b}]0;x\u{7}\u{202e}b\u{2066}\u{200b}\r\u{7f}\u{e0041}";

    #[test]
    fn nothing_of_a_text_steers_the_terminal() {
        for shown in [printable(HOSTILE), printable_line(HOSTILE)] {
            assert!(!shown.contains(is_unfit), "{shown:?}");
            assert!(shown.starts_with("a\u{fffd}[2J"), "{shown:?}");
        }
        assert_eq!(printable("ä\n\tb"), "ä\n\tb");
        assert_eq!(printable_line("ä\r\n\tb"), "ä   b");
        assert!(matches!(printable_line("plain text, naïve: 日本"), Cow::Borrowed(_)));
    }

    #[test]
    fn colours_stay_and_nothing_else_does() {
        assert_eq!(printable_styled("\u{1b}[1;31mbad\u{1b}[0m\n"), "\u{1b}[1;31mbad\u{1b}[0m\n");
        assert_eq!(printable_styled("\u{1b}[2Ja\u{1b}[31\u{202e}é"), "\u{fffd}[2Ja\u{fffd}[31\u{fffd}é");
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({ HOSTILE: [HOSTILE, "ä\n", 1] });
        for json in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            let safe = printable_json(&json);
            assert!(!safe.contains(|letter| letter != '\n' && is_unfit(letter)), "{safe:?}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
        }
    }
}
