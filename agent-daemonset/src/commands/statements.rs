//! Splits text into SQL statements at semicolons that stand outside strings and comments.

/// The complete statements of `text`, and what follows the last semicolon.
pub fn split(text: &str) -> (Vec<&str>, &str) {
    let mut statements = Vec::new();
    let mut start = 0;
    let mut inside = Inside::Nothing;
    let bytes = text.as_bytes();
    for (position, &byte) in bytes.iter().enumerate() {
        let next = bytes.get(position + 1).copied();
        inside = match (inside, byte) {
            (Inside::Nothing, b'\'' | b'"' | b'`') => Inside::Quotes(byte),
            (Inside::Nothing, b'-') if next == Some(b'-') => Inside::Line,
            (Inside::Nothing, b'/') if next == Some(b'*') => Inside::Block,
            (Inside::Nothing, b';') => {
                statements.push(text[start..position].trim());
                start = position + 1;
                Inside::Nothing
            }
            (Inside::Quotes(quote), byte) if byte == quote => Inside::Nothing,
            (Inside::Line, b'\n') => Inside::Nothing,
            (Inside::Block, b'/') if position > 0 && bytes[position - 1] == b'*' => Inside::Nothing,
            (inside, _) => inside,
        };
    }
    statements.retain(|statement| !statement.is_empty());
    (statements, text[start..].trim())
}

#[derive(Clone, Copy)]
enum Inside {
    Nothing,
    Quotes(u8),
    Line,
    Block,
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn semicolons_in_strings_and_comments_do_not_end_a_statement() {
        let cases: [(&str, &[&str], &str); 6] = [
            ("SELECT 1", &[], "SELECT 1"),
            ("SELECT 1; SELECT 2;", &["SELECT 1", "SELECT 2"], ""),
            ("SELECT ';'; x", &["SELECT ';'"], "x"),
            ("SELECT 'it''s; ok';", &["SELECT 'it''s; ok'"], ""),
            ("SELECT 1 -- a; b\n;", &["SELECT 1 -- a; b"], ""),
            ("SELECT /* ; */ 1; ;", &["SELECT /* ; */ 1"], ""),
        ];
        for (text, statements, rest) in cases {
            assert_eq!(split(text), (statements.to_vec(), rest), "{text}");
        }
    }
}
