//! Just enough reading of SQL to check a module without an engine: its parameters, its tables, its first word.

use std::collections::BTreeSet;

#[derive(Debug, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// What stands in quotes or brackets, without them. Where SQLite expects a name it takes even `'text'` for one.
    Quoted(String),
    Parameter(&'a str),
    Symbol(char),
}

impl Token<'_> {
    /// What it names where a name is expected, in lower case.
    fn name(&self) -> Option<String> {
        match self {
            Token::Word(word) => Some(word.to_ascii_lowercase()),
            Token::Quoted(text) => Some(text.to_ascii_lowercase()),
            Token::Parameter(_) | Token::Symbol(_) => None,
        }
    }

    fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
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
    let mut found = References { tables: tables(&tokens), ..References::default() };
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Parameter(name) => {
                found.parameters.insert((*name).to_owned());
            }
            Token::Word(_) if token.is("as") => found.aliases.extend(tokens.get(index + 1).and_then(Token::name)),
            _ => {}
        }
    }
    let first = tokens.first().is_some_and(|token| token.is("select") || token.is("with"));
    let end = tokens.iter().position(|token| *token == Token::Symbol(';'));
    found.is_one_select = first && end.is_none_or(|end| end + 1 == tokens.len());
    found
}

/// Words that end a list of sources.
const CLAUSES: [&str; 10] =
    ["select", "where", "group", "order", "limit", "having", "union", "except", "intersect", "values"];
/// Functions of SQLite that stand where a table does. Any other name with arguments is a table, which takes its hidden
/// columns so.
const TABLE_FUNCTIONS: [&str; 4] = ["json_each", "json_tree", "jsonb_each", "jsonb_tree"];

#[derive(Debug, Default, PartialEq, Eq)]
enum Clause {
    With,
    From,
    #[default]
    Other,
}

/// What is known within one pair of parentheses, so far.
#[derive(Debug, Default)]
struct Level {
    clause: Clause,
    /// What its WITH defines.
    defined: BTreeSet<String>,
    last_name: Option<String>,
}

/// The tables after FROM, JOIN and IN: names, quoted or not, with their schema or without, in lists and in parentheses. What
/// a WITH defines hides a table within its own parentheses only, and never one that is named with its schema.
fn tables(tokens: &[Token<'_>]) -> BTreeSet<String> {
    let mut tables = BTreeSet::new();
    let mut levels = vec![Level::default()];
    let mut expects_source = false;
    let mut is_after_distinct = false;
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        rest = after;
        let Some(level) = levels.last_mut() else { break };
        // IS DISTINCT FROM names no table.
        let is_from = token.is("from") && !is_after_distinct;
        is_after_distinct = token.is("distinct");
        match token {
            Token::Symbol('(') => {
                let clause = if expects_source { Clause::From } else { Clause::Other };
                levels.push(Level { clause, ..Level::default() });
            }
            Token::Symbol(')') => {
                expects_source = false;
                if levels.len() > 1 {
                    levels.pop();
                }
            }
            Token::Symbol(',') => expects_source = level.clause == Clause::From,
            Token::Word(_) if is_from || token.is("join") => {
                level.clause = Clause::From;
                expects_source = true;
            }
            Token::Word(word) if CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause)) => {
                level.clause = Clause::Other;
                expects_source = false;
            }
            Token::Word(_) if token.is("with") => {
                level.clause = Clause::With;
                expects_source = false;
            }
            Token::Word(_) if token.is("in") => {
                expects_source = rest.first().is_some_and(|next| next.name().is_some());
            }
            Token::Word(_) if token.is("as") && level.clause == Clause::With => {
                level.defined.extend(level.last_name.take());
            }
            Token::Word(_) | Token::Quoted(_) if expects_source => {
                expects_source = false;
                let in_schema = match rest {
                    [Token::Symbol('.'), table, ..] => table.name(),
                    _ => None,
                };
                if in_schema.is_some() {
                    rest = &rest[2..];
                }
                let has_arguments = rest.first() == Some(&Token::Symbol('('));
                let is_defined = |name: &String| levels.iter().any(|level| level.defined.contains(name));
                let name = in_schema.or_else(|| token.name().filter(|name| !is_defined(name)));
                tables.extend(name.filter(|name| !(has_arguments && TABLE_FUNCTIONS.contains(&name.as_str()))));
            }
            Token::Word(_) | Token::Quoted(_) if level.clause == Clause::With => level.last_name = token.name(),
            _ => {}
        }
    }
    tables
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

fn tokens(query: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if let Some(comment) = rest.strip_prefix("--") {
            2 + comment.find('\n').unwrap_or(comment.len())
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.find("*/").map_or(rest.len(), |end| end + 4)
        } else if matches!(first, '\'' | '"' | '`' | '[') {
            let (text, length) = quoted(rest, if first == '[' { ']' } else { first });
            tokens.push(Token::Quoted(text));
            length
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

/// The text between the quote that `rest` begins with and the one that ends it, and how long it is with both. A doubled
/// quote is one of the text; a bracket has no such way out.
fn quoted(rest: &str, end: char) -> (String, usize) {
    let mut text = String::new();
    let mut letters = rest.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == end && (end == ']' || letters.next_if(|(_, next)| *next == end).is_none()) {
            return (text, at + letter.len_utf8());
        }
        text.push(letter);
    }
    (text, rest.len())
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
            ("SELECT 1 FROM users u JOIN groups USING (gid), processes", &["groups", "processes", "users"]),
            (
                "SELECT 1 FROM users u LEFT JOIN groups g ON g.gid = u.gid AND u.uid IN (1, 2), shadow",
                &["groups", "shadow", "users"],
            ),
            ("SELECT 1 FROM (SELECT 1 FROM users, groups) x, shadow", &["groups", "shadow", "users"]),
            ("SELECT 1 FROM json_each('[]') j, users", &["users"]),
            ("SELECT a, b FROM users ORDER BY a, b", &["users"]),
        ] {
            assert_eq!(references(query).tables, set(expected), "{query}");
        }
    }

    #[test]
    fn a_table_is_found_however_it_is_written() {
        for query in [
            "SELECT 1 FROM [processes]",
            "SELECT 1 FROM \"processes\" WHERE 1",
            "SELECT 1 FROM `PROCESSES` p",
            "SELECT 1 FROM 'processes'",
            "SELECT 1 FROM main.processes",
            "SELECT 1 FROM \"main\".[processes] AS p",
            "SELECT 1 FROM/**/processes",
            "SELECT 1 FROM -- x\n processes",
            "SELECT 1 FROM (processes p)",
            "SELECT 1 FROM ((processes AS p))",
            "SELECT 1 FROM processes()",
            "SELECT 1 FROM processes WINDOW processes AS (ORDER BY pid)",
            "SELECT 1 WHERE 1 IN processes",
            "SELECT 'it''s, FROM nowhere' FROM processes",
            "WITH processes AS (SELECT 1 FROM main.processes) SELECT 1 FROM processes",
            "SELECT 1 FROM processes, (WITH processes AS (SELECT 1) SELECT 1 FROM processes)",
            "SELECT 1 WHERE 1 IS DISTINCT FROM 2 AND EXISTS (SELECT 1 FROM processes)",
        ] {
            assert_eq!(references(query).tables, set(&["processes"]), "{query}");
        }
        assert_eq!(
            references("SELECT 1 FROM (users u JOIN \"processes\" p ON p.uid = u.uid, [groups]) x").tables,
            set(&["groups", "processes", "users"])
        );
        assert_eq!(
            references("WITH RECURSIVE a(x) AS MATERIALIZED (SELECT 1 FROM users), \"b\" AS (SELECT 1 FROM a) SELECT 1 FROM a, b").tables,
            set(&["users"])
        );
        assert!(references("SELECT 1 AS \"resource\"").aliases.contains("resource"));
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
