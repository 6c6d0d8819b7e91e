//! One rule of a Wazuh check as an SQL expression: `[not] f|d|p|c:<target> [-> <content> [-> <content>]]`, where content is
//! `r:<pattern>`, `n:<pattern> compare <= 4` or a literal line, each with `!` or not, joined by `&&`.

use super::command;
use super::regex::Dialect;
use crate::import::Compiler;
use crate::import::sql_text::{list, quote};

const MAX_RULE_BYTES: usize = 4_096;

/// The expression that is true where the rule holds, or why no table answers it.
pub(super) fn sql(rule: &str, dialect: Dialect, compiler: &dyn Compiler) -> Result<String, String> {
    if rule.len() > MAX_RULE_BYTES || rule.contains(char::is_control) {
        return Err(format!("it is longer than {MAX_RULE_BYTES} bytes or has control characters"));
    }
    let patterns = Patterns { dialect, compiler };
    let rule = rule.trim();
    let (is_negated, rule) = match rule.strip_prefix("not ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, rule),
    };
    let mut parts = rule.split(" -> ").map(str::trim);
    let head = parts.next().unwrap_or_default();
    let contents: Vec<&str> = parts.collect();
    let (kind, target) = head.split_once(':').ok_or("it has no type: write f:, d:, p: or c:")?;
    let target = target.trim();
    if target.is_empty() {
        return Err("it has no target".to_owned());
    }
    let sql = match (kind.trim(), contents.as_slice()) {
        ("f", []) => format!("EXISTS (SELECT 1 FROM file WHERE path IN {})", list(paths(target)?)),
        ("f", [content]) => format!(
            "EXISTS (SELECT 1 FROM file_lines WHERE path IN {} AND pattern = '^' AND {})",
            list(paths(target)?),
            patterns.content(content, "line")?
        ),
        ("d", []) => {
            format!("EXISTS (SELECT 1 FROM file WHERE path IN {} AND type = 'directory')", list(paths(target)?))
        }
        ("d", [name]) => any(&paths(target)?, |folder| {
            let name = patterns.content(name, "filename")?;
            Ok(format!("EXISTS (SELECT 1 FROM file WHERE directory = {} AND {name})", quote(folder)))
        })?,
        ("d", [name, content]) => any(&paths(target)?, |folder| {
            let below = format!("{}/", folder.trim_end_matches('/'));
            let name = patterns.content(name, &format!("substr(path, {})", below.chars().count() + 1))?;
            Ok(format!(
                "EXISTS (SELECT 1 FROM file_lines WHERE path GLOB {} AND pattern = '^' AND {name} AND {})",
                quote(&format!("{below}*")),
                patterns.content(content, "line")?
            ))
        })?,
        ("p", []) => match target.strip_prefix("r:") {
            Some(pattern) => {
                format!("EXISTS (SELECT 1 FROM processes WHERE cmdline REGEXP {})", quote(&patterns.checked(pattern)?))
            }
            None => format!("EXISTS (SELECT 1 FROM processes WHERE {} IN (name, path))", quote(target)),
        },
        ("c", [content]) => {
            let lines = command::lines(target).ok_or_else(|| format!("no table answers the command `{target}`"))?;
            format!("EXISTS (SELECT 1 FROM ({lines}) WHERE {})", patterns.content(content, "line")?)
        }
        ("r", _) => return Err("it reads the registry of Windows".to_owned()),
        ("f" | "d" | "p" | "c", _) => return Err("it does not have the form type:target -> content".to_owned()),
        (other, _) => return Err(format!("its type `{other}` is none of f, d, p, c")),
    };
    Ok(if is_negated { format!("NOT {sql}") } else { sql })
}

/// The paths of a target, which are separated by commas; each from the root and without wildcards.
fn paths(target: &str) -> Result<Vec<&str>, String> {
    let paths: Vec<&str> = target.split(',').map(str::trim).filter(|path| !path.is_empty()).collect();
    match paths.iter().find(|path| !path.starts_with('/') || path.contains(['*', '?', '[', '%'])) {
        Some(path) => Err(format!("`{path}` is no path from the root")),
        None => Ok(paths),
    }
}

fn any(folders: &[&str], each: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let asked = folders.iter().map(|folder| each(folder)).collect::<Result<Vec<_>, _>>()?;
    Ok(format!("({})", asked.join(" OR ")))
}

struct Patterns<'a> {
    dialect: Dialect,
    compiler: &'a dyn Compiler,
}

impl Patterns<'_> {
    /// Terms joined by `&&`, all about one line or name.
    fn content(&self, content: &str, column: &str) -> Result<String, String> {
        let terms = content.split(" && ").map(|term| self.term(term.trim(), column)).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("({})", terms.join(" AND ")))
    }

    fn term(&self, term: &str, column: &str) -> Result<String, String> {
        let (is_negated, term) = match term.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, term),
        };
        let sql = if let Some(pattern) = term.strip_prefix("r:") {
            format!("{column} REGEXP {}", quote(&self.checked(pattern)?))
        } else if let Some(compared) = term.strip_prefix("n:") {
            self.compared(compared, column)?
        } else if term.is_empty() {
            return Err("a part of it is empty".to_owned());
        } else {
            format!("{column} = {}", quote(term))
        };
        // What is NULL (no match to compare) does not hold, and neither does its opposite by accident.
        Ok(if is_negated { format!("NOT coalesce({sql}, 0)") } else { format!("coalesce({sql}, 0)") })
    }

    /// `<pattern with a group> compare <= 4`.
    fn compared(&self, text: &str, column: &str) -> Result<String, String> {
        let (pattern, comparison) = text.rsplit_once(" compare ").ok_or("n: has no ` compare `")?;
        let (operator, number) = comparison.trim().split_once(' ').ok_or("compare takes an operator and a number")?;
        let operator = match operator {
            "<" | "<=" | "=" | "!=" | ">=" | ">" => operator,
            "==" => "=",
            other => return Err(format!("`{other}` is no comparison")),
        };
        let number: i64 = number.trim().parse().map_err(|_| format!("`{number}` is no whole number"))?;
        let pattern = quote(&self.checked(pattern)?);
        Ok(format!("CAST(regex_match({column}, {pattern}, 1) AS INTEGER) {operator} {number}"))
    }

    fn checked(&self, pattern: &str) -> Result<String, String> {
        let pattern = self.dialect.translated(pattern);
        self.compiler.pattern(&pattern)?;
        Ok(pattern)
    }
}
