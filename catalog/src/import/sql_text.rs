//! SQL as text: literals, and a foreign query made fit to stand within one of ours.

use super::MAX_QUERY_BYTES;
use crate::sql;

/// A text as a literal.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A list of literals in parentheses.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("({})", texts.into_iter().map(quote).collect::<Vec<_>>().join(", "))
}

/// A foreign query without comments and its last semicolon, or why it cannot be taken.
pub(super) fn one_select(text: &str) -> Result<String, String> {
    if text.len() > MAX_QUERY_BYTES {
        return Err(format!("its query has more than {MAX_QUERY_BYTES} bytes"));
    }
    // A query that closes more parentheses than it opens would end the one it is put into.
    let Some(query) = sql::without_comments(text) else {
        return Err("the parentheses, quotes or comments of its query do not match".to_owned());
    };
    let query = query.trim().trim_end_matches(|letter: char| letter == ';' || letter.is_whitespace());
    if !sql::references(query).is_one_select {
        return Err("its query is not one SELECT".to_owned());
    }
    Ok(query.to_owned())
}

/// The failing row of a question that is answered with yes by any row.
pub(super) fn fails_without_rows(query: &str, subject: &str) -> String {
    format!(
        "SELECT 'host' AS resource, {} AS expected, 'no row' AS actual\nWHERE NOT EXISTS (\n{query}\n)",
        quote(subject)
    )
}

/// The rows of a query that belongs to a discovery: none where one of its queries has no row.
pub(super) fn discovered(discovery: &[String]) -> String {
    let each: Vec<String> = discovery.iter().map(|query| format!("EXISTS (\n{query}\n)")).collect();
    each.join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_query_cannot_leave_its_place() {
        for (text, is_fine) in [
            ("SELECT 1;", true),
            ("SELECT 1 -- the end;", true),
            ("SELECT 1; -- the end", true),
            ("SELECT 1; /* the */ ; ", true),
            ("SELECT ')' FROM users", true),
            ("SELECT 1) UNION SELECT (2", false),
            ("SELECT 1 /* no end", false),
            ("SELECT 'no end", false),
            ("SELECT 1; SELECT 2", false),
            ("DELETE FROM users", false),
            ("", false),
        ] {
            assert_eq!(one_select(text).is_ok(), is_fine, "{text}");
        }
        assert!(one_select(&format!("SELECT {}1", "1+".repeat(40_000))).is_err());
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(list(["a", "it's"]), "('a', 'it''s')");
    }
}
