//! What people and scripts read on standard output: a table, or JSON or YAML whose fields are `snake_case` and stay.

use std::fmt::Display;
use std::io::Write as _;

use catalog::printable::{printable, printable_json, printable_line, printable_styled};
use clap::ValueEnum;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use crate::outcome::Error;

/// What stands where there is nothing to say.
pub const NONE: &str = "-";

/// `-o`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For scripts.
    Json,
    /// For people and scripts.
    Yaml,
}

impl Format {
    /// Prints `value` as JSON or YAML, or what `text` makes of it.
    pub fn print<T: Serialize + ?Sized>(self, value: &T, text: impl FnOnce() -> String) -> Result<(), Error> {
        let text = match self {
            Self::Table => text(),
            Self::Json => printable_json(&serde_json::to_string_pretty(value)?).into_owned(),
            Self::Yaml => printable(&serde_saphyr::to_string(&value)?).into_owned(),
        };
        print(&text)
    }
}

/// Prints text and a line end, in one write.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{}\n", printable_styled(text.trim_end())).as_bytes())?;
    out.flush()?;
    Ok(())
}

/// A table without lines, as kubectl prints them. Long cells are folded on a terminal and left alone elsewhere.
pub fn grid(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if table.is_tty() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    if !wants_colours()
        && let Some(width) = table.width()
    {
        table.set_width(width);
        table.force_no_tty();
    }
    if !header.is_empty() {
        table.set_header(header.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    }
    table
}

/// The table as text, without the padding that its style puts at both ends of a line.
pub fn rendered(table: &Table) -> String {
    let lines: Vec<String> =
        table.lines().map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned()).collect();
    lines.join("\n")
}

/// <https://no-color.org>, and terminals that know no colours.
fn wants_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A cell with text of anybody's, which cannot steer the terminal.
#[allow(clippy::needless_pass_by_value, reason = "what is shown is made in place")]
pub fn cell(value: impl Display) -> Cell {
    Cell::new(printable_line(&value.to_string()))
}

/// A cell that is fine.
pub fn good(text: impl Into<String>) -> Cell {
    cell(text.into()).fg(Color::Green)
}

/// A cell that needs a look.
pub fn doubtful(text: impl Into<String>) -> Cell {
    cell(text.into()).fg(Color::Yellow)
}

/// A cell that needs somebody to act.
pub fn bad(text: impl Into<String>) -> Cell {
    cell(text.into()).fg(Color::Red)
}

/// A cell, or `-`.
pub fn or_none<T: ToString>(value: Option<T>) -> Cell {
    cell(value.map_or_else(|| NONE.to_owned(), |value| value.to_string()))
}

/// `1 tenant`, `2 tenants`.
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// How long ago, in the largest unit that fits at least twice, as kubectl says it.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = (now.as_second() - since.as_second()).max(0);
    let (minute, hour, day) = (60, 3600, 86_400);
    match seconds {
        _ if seconds < 2 * minute => format!("{seconds}s"),
        _ if seconds < 2 * hour => format!("{}m", seconds / minute),
        _ if seconds < 2 * day => format!("{}h", seconds / hour),
        _ => format!("{}d", seconds / day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_one_unit() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, expected) in
            [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (7199, "119m"), (7200, "2h"), (172_800, "2d")]
        {
            assert_eq!(age(at(1_000_000), at(1_000_000 + seconds)), expected);
        }
    }

    #[test]
    fn a_title_cannot_steer_the_terminal() {
        let mut table = grid(&["TITLE"]);
        table.add_row(vec![cell("a\u{1b}[2J\u{202e}b\nc")]);
        table.add_row(vec![bad("\u{9b}31m")]);
        let shown = rendered(&table);
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']) && shown.contains("b c"), "{shown:?}");
    }

    #[test]
    fn a_table_elsewhere_than_on_a_terminal_is_plain_text() {
        let mut table = grid(&["NAME", "READY"]);
        table.add_row(vec![Cell::new("acme"), good("True")]);
        assert_eq!(rendered(&table), "NAME  READY\nacme  True");
    }
}
