//! Just enough reading of SQL to check a module without an engine: its parameters, its tables, its first word.

use std::collections::BTreeSet;

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Parameter(&'a str),
    Symbol(char),
}

/// What a query refers to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct References {
    /// Names after `:`.
    pub(crate) parameters: BTreeSet<String>,
    /// Names after FROM and JOIN that the query does not define itself, in lower case.
    pub(crate) tables: BTreeSet<String>,
    /// Names after AS, in lower case.
    pub(crate) aliases: BTreeSet<String>,
    /// Whether it begins with SELECT or WITH and is a single statement.
    pub(crate) is_one_select: bool,
}

pub(crate) fn references(query: &str) -> References {
    let tokens = tokens(query);
    let mut found = References::default();
    let mut defined = BTreeSet::new();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Parameter(name) => {
                found.parameters.insert((*name).to_owned());
            }
            Token::Word(word) if (is(word, "from") && !follows(&tokens, index, "distinct")) || is(word, "join") => {
                found.tables.extend(sources(&tokens[index + 1..]).into_iter().map(str::to_ascii_lowercase));
            }
            Token::Word(word) if is(word, "as") => match (tokens.get(index.wrapping_sub(1)), tokens.get(index + 1)) {
                (Some(Token::Word(name)), Some(Token::Symbol('('))) => {
                    defined.insert(name.to_ascii_lowercase());
                }
                (_, Some(Token::Word(alias))) => {
                    found.aliases.insert(alias.to_ascii_lowercase());
                }
                _ => {}
            },
            _ => {}
        }
    }
    // WITH name(columns) AS (…)
    for (index, token) in tokens.iter().enumerate() {
        if let Token::Word(word) = token
            && (is(word, "with") || is(word, "recursive"))
            && let Some(Token::Word(name)) = tokens.get(index + 1)
        {
            defined.insert(name.to_ascii_lowercase());
        }
    }
    found.tables.retain(|table| !defined.contains(table));
    let first = matches!(tokens.first(), Some(Token::Word(word)) if is(word, "select") || is(word, "with"));
    let end = tokens.iter().position(|token| *token == Token::Symbol(';'));
    found.is_one_select = first && end.is_none_or(|end| end + 1 == tokens.len());
    found
}

/// Whether the word before is `keyword`, as in IS DISTINCT FROM.
fn follows(tokens: &[Token<'_>], index: usize, keyword: &str) -> bool {
    index.checked_sub(1).is_some_and(|before| matches!(tokens[before], Token::Word(word) if is(word, keyword)))
}

/// The tables named after FROM or JOIN: one, or several with commas, each with or without an alias.
fn sources<'a>(tokens: &[Token<'a>]) -> Vec<&'a str> {
    let mut named = Vec::new();
    let mut rest = tokens;
    loop {
        match rest {
            // A name with arguments is a table-valued function such as json_each(…).
            [Token::Word(_), Token::Symbol('('), ..] => rest = after_parentheses(&rest[1..]),
            [Token::Symbol('('), ..] => rest = after_parentheses(rest),
            [Token::Word(table), ..] => {
                named.push(*table);
                rest = &rest[1..];
            }
            _ => return named,
        }
        rest = match rest {
            [Token::Word(keyword), Token::Word(_), after @ ..] if is(keyword, "as") => after,
            [Token::Word(_), after @ ..] if after.first() == Some(&Token::Symbol(',')) => after,
            other => other,
        };
        match rest {
            [Token::Symbol(','), after @ ..] => rest = after,
            _ => return named,
        }
    }
}

/// What follows the parenthesis that closes the first one; what is inside has its own FROM.
fn after_parentheses<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return &tokens[index + 1..];
        }
    }
    &[]
}

/// The query without its comments, if every parenthesis, quote and comment that it opens is closed in it and nothing else is:
/// then it can stand within another one.
pub(crate) fn without_comments(query: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut kept = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(first) = rest.chars().next() {
        let closed_by = |end: &str, from: usize| rest[from..].find(end).map(|at| from + at + end.len());
        let is_comment = rest.starts_with("--") || rest.starts_with("/*");
        let length = match first {
            '-' if is_comment => rest.find('\n').unwrap_or(rest.len()),
            '/' if is_comment => closed_by("*/", 2)?,
            '\'' => closed_by("'", 1)?,
            '"' => closed_by("\"", 1)?,
            '`' => closed_by("`", 1)?,
            '[' => closed_by("]", 1)?,
            other => {
                depth += usize::from(other == '(');
                depth = depth.checked_sub(usize::from(other == ')'))?;
                other.len_utf8()
            }
        };
        // A comment parts words as a blank does.
        kept.push_str(if is_comment { " " } else { &rest[..length] });
        rest = &rest[length..];
    }
    (depth == 0).then_some(kept)
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn tokens(query: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + comment.find('\n').unwrap_or(comment.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |end| end + 4)
        } else if matches!(first, '\'' | '"' | '`') {
            // A doubled quote inside a literal reads as two literals: nothing is lost by that.
            rest[1..].find(first).map_or(rest.len(), |end| end + 2)
        } else if is_word(first) {
            let length = word_length(rest);
            tokens.push(Token::Word(&rest[..length]));
            length
        } else if first == ':' && rest[1..].chars().next().is_some_and(is_word) {
            let length = 1 + word_length(&rest[1..]);
            tokens.push(Token::Parameter(&rest[1..length]));
            length
        } else {
            tokens.push(Token::Symbol(first));
            first.len_utf8()
        };
        rest = rest[length..].trim_start();
    }
    tokens
}

fn is_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|letter| !is_word(letter)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn parameters_and_tables_are_found_outside_of_literals_and_comments() {
        let found = references(
            "WITH local AS (SELECT uid FROM users) -- FROM nowhere :not
             SELECT ':x FROM y' AS resource, \"from z\" FROM local JOIN shadow USING (username)
             WHERE a > :max_days AND EXISTS (SELECT 1 FROM json_each(:list)) /* :gone */",
        );
        assert_eq!(found.parameters, set(&["list", "max_days"]));
        assert_eq!(found.tables, set(&["shadow", "users"]));
        assert!(found.aliases.contains("resource"));
        assert!(found.is_one_select);
    }

    #[test]
    fn tables_in_a_list_are_found() {
        for (query, expected) in [
            ("SELECT 1 FROM users, groups g, shadow AS s WHERE 1", &["groups", "shadow", "users"][..]),
            ("SELECT 1 FROM users u JOIN groups USING (gid), processes", &["groups", "users"]),
            ("SELECT 1 FROM (SELECT 1 FROM users, groups) x, shadow", &["groups", "shadow", "users"]),
            ("SELECT 1 FROM json_each('[]') j, users", &["users"]),
            ("SELECT a, b FROM users ORDER BY a, b", &["users"]),
        ] {
            assert_eq!(references(query).tables, set(expected), "{query}");
        }
    }

    #[test]
    fn comments_go_and_what_is_not_closed_is_seen() {
        for (query, expected) in [
            ("SELECT/* ( */(1) -- ) (\n, 2", Some("SELECT (1)  \n, 2")),
            ("SELECT ')' , \"(\", [(], `(`, '--', 'it''s'", Some("SELECT ')' , \"(\", [(], `(`, '--', 'it''s'")),
            ("SELECT 1)", None),
            ("SELECT (1", None),
            ("SELECT '1", None),
            ("SELECT 1 /* ", None),
            ("SELECT ) (", None),
        ] {
            assert_eq!(without_comments(query).as_deref(), expected, "{query}");
        }
    }

    #[test]
    fn a_second_statement_is_seen() {
        assert!(!references("SELECT 1; DROP TABLE users").is_one_select);
        assert!(references("SELECT 1;").is_one_select);
        assert!(!references("PRAGMA table_info(users)").is_one_select);
    }
}
