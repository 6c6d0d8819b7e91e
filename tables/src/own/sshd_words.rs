//! A line of `sshd_config` as OpenSSH cuts it: the keyword with `strdelim` (`misc.c`), what follows it with `argv_split`.
//! Quotes may stand anywhere in a word, in either form, and a keyword may be quoted as well.

/// Why sshd does not start with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NoValue,
    OpenQuote,
}

impl Refused {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Refused::NoValue => "a keyword without a value",
            Refused::OpenQuote => "a quote that is not closed",
        }
    }
}

/// The keyword of a line in lower case, and its words; none in a blank line, a comment, and one whose keyword has half a
/// quote, which sshd passes over.
pub(super) fn of_line(line: &str) -> Result<Option<(String, Vec<String>)>, Refused> {
    let line = line.trim_end_matches(['\x0c', ' ', '\t', '\r', '\n']);
    let Some((mut keyword, mut rest)) = delimited(line) else { return Ok(None) };
    if keyword.is_empty() {
        // Blanks stood before it.
        let Some(next) = delimited(rest) else { return Ok(None) };
        (keyword, rest) = next;
    }
    if keyword.is_empty() || keyword.starts_with('#') {
        return Ok(None);
    }
    let words = split(rest)?;
    if words.is_empty() { Err(Refused::NoValue) } else { Ok(Some((keyword.to_ascii_lowercase(), words))) }
}

/// `strdelim`: what stands before blanks, one `=` or the end of a quoted part, and what follows.
fn delimited(text: &str) -> Option<(String, &str)> {
    let Some(end) = text.find([' ', '\t', '\r', '\n', '"', '=']) else { return Some((text.to_owned(), "")) };
    let (before, after) = (&text[..end], &text[end + 1..]);
    let delimiter = &text[end..=end];
    if delimiter == "\"" {
        let (quoted, rest) = after.split_once('"')?;
        return Some((format!("{before}{quoted}"), rest.trim_start_matches(is_blank)));
    }
    let rest = after.trim_start_matches(is_blank);
    let rest = match rest.strip_prefix('=') {
        Some(value) if delimiter != "=" => value.trim_start_matches(is_blank),
        _ => rest,
    };
    Some((before.to_owned(), rest))
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

/// `argv_split`: `#` at the beginning of a word starts a comment.
pub(super) fn split(text: &str) -> Result<Vec<String>, Refused> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(|letter| matches!(*letter, ' ' | '\t')).is_some() {}
        if matches!(letters.peek(), None | Some('#')) {
            return Ok(words);
        }
        let mut word = String::new();
        let mut quote: Option<char> = None;
        while let Some(letter) = letters.next() {
            match (letter, quote) {
                ('\\', _) => {
                    let is_free = quote.is_none();
                    let is_escaped = |next: &char| matches!(*next, '\'' | '"' | '\\') || (is_free && *next == ' ');
                    word.push(letters.next_if(is_escaped).unwrap_or('\\'));
                }
                (' ' | '\t', None) => break,
                ('"' | '\'', None) => quote = Some(letter),
                (_, Some(open)) if letter == open => quote = None,
                _ => word.push(letter),
            }
        }
        if quote.is_some() {
            return Err(Refused::OpenQuote);
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_cut_as_sshd_cuts_it() {
        for (line, expected) in [
            ("PermitRootLogin no", "permitrootlogin|no"),
            ("  \"PermitRootLogin\" yes", "permitrootlogin|yes"),
            ("Permit\"RootLogin\" yes", "permitrootlogin|yes"),
            ("=PermitRootLogin = yes", "permitrootlogin|yes"),
            ("PermitRootLogin 'yes'", "permitrootlogin|yes"),
            ("PermitRootLogin n\"o\"", "permitrootlogin|no"),
            ("\tPort=2222 # x\x0c", "port|2222"),
            ("Port = 2222", "port|2222"),
            ("Banner \"/etc/my banner\"", "banner|/etc/my banner"),
            ("Banner /etc/my\\ banner", "banner|/etc/my banner"),
            ("Banner /etc/no#comment", "banner|/etc/no#comment"),
            ("Include \"/etc/ssh/my conf.d/*.conf\" b", "include|/etc/ssh/my conf.d/*.conf|b"),
        ] {
            let found =
                of_line(line).map(|found| found.map(|(keyword, words)| format!("{keyword}|{}", words.join("|"))));
            assert_eq!(found, Ok(Some(expected.to_owned())), "{line}");
        }
        for nothing in ["", "  ", "# Port 1", " #Port 1", "Port\"22 1"] {
            assert_eq!(of_line(nothing), Ok(None), "{nothing}");
        }
        for (line, expected) in
            [("UsePAM", Refused::NoValue), ("UsePAM # yes", Refused::NoValue), ("Banner \"/x", Refused::OpenQuote)]
        {
            assert_eq!(of_line(line), Err(expected), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_line_is_cut_without_panic(line in ".*") {
            of_line(&line).ok();
        }
    }
}
