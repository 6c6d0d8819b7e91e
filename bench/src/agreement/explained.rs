//! What `docs/agreement.md` explains: a rule, the roots on which the verdicts may differ, and what we say there. A difference of
//! the same rule on another root, or the other way round, is a difference that nobody looked at.

use std::collections::BTreeSet;

const EVERY: &str = "every root";

/// A row of the table.
#[derive(Debug)]
struct Row {
    rules: BTreeSet<String>,
    /// None for every root.
    roots: Option<BTreeSet<String>>,
    passes: bool,
}

/// The rows of the page.
#[derive(Debug)]
pub struct Explained {
    rows: Vec<Row>,
}

impl Explained {
    /// Reads tables of rules, roots, OpenSCAP's verdict, ours and the reason; other tables have no such cells.
    pub fn of(page: &str) -> Self {
        Self { rows: page.lines().filter_map(row).collect() }
    }

    /// Whether the page says why we say this of the rule on the root.
    pub fn covers(&self, rule: &str, root: &str, passes: bool) -> bool {
        self.rows.iter().any(|row| {
            row.passes == passes
                && row.rules.contains(rule)
                && row.roots.as_ref().is_none_or(|roots| roots.contains(root))
        })
    }

    /// The roots that the page names.
    #[cfg(test)]
    pub fn roots(&self) -> BTreeSet<&str> {
        self.rows.iter().filter_map(|row| row.roots.as_ref()).flatten().map(String::as_str).collect()
    }
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
    let [rules, roots, theirs, ours, _] = cells[..] else { return None };
    let passes = match (theirs, ours) {
        ("fail", "pass") => true,
        ("pass", "fail") => false,
        _ => return None,
    };
    let roots = if roots == EVERY { None } else { Some(between(roots, '"')) };
    Some(Row { rules: between(rules, '`'), roots, passes })
}

/// What stands between marks.
fn between(cell: &str, mark: char) -> BTreeSet<String> {
    cell.split(mark).skip(1).step_by(2).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_explained_on_the_roots_that_are_named() {
        let explained = Explained::of(
            "| rule | on | OpenSCAP | ours | why |\n| --- | --- | --- | --- | --- |\n\
             | `a`, `b` | \"one\", \"two\" | pass | fail | because |\n| `c` | every root | fail | pass | because |\n",
        );
        assert!(explained.covers("a", "one", false) && explained.covers("b", "two", false));
        assert!(!explained.covers("a", "three", false), "another root");
        assert!(!explained.covers("a", "one", true), "the other way round");
        assert!(explained.covers("c", "three", true));
        assert_eq!(explained.roots().into_iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
