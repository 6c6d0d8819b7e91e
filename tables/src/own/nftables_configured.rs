//! `nftables_configured`: what the service gives `nft` at boot, a statement each, with the table and the chain it stands in. Includes
//! are followed in place, comments left out, and what a later `flush ruleset` or `delete table` takes away is not there.
//! Variables (`$name`) stay as they are written; rules that look their verdict up in a map are those that they stand for. What nft
//! surely refuses is told, for it loads nothing of such a file.

use std::path::{Path, PathBuf};

use crate::included::Included;
use crate::own::nftables_verdicts::{Maps, Unfolded};
use crate::own::nftables_words;
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::shell_glob;
use crate::units;

table! {
    /// Statements of nftables that are loaded at boot, one a row, with the table (`inet filter`) and the chain they stand in; white space reduced to one blank. A rule that looks its verdict up (`vmap`) is a row for each element of the map, as if it were written so (`ct state new accept`; `*` is all others); what follows the map is there for elements with the verdict `continue` alone.
    nftables_configured: kept {
        file: Text,
        line: BigInt,
        table_name: Text,
        chain: Text,
        statement: Text,
    }
}

const MAIN: &str = "/etc/nftables.conf";
const FAMILIES: [&str; 6] = ["ip", "ip6", "inet", "arp", "bridge", "netdev"];
/// Statements that are held at once.
const MAX_STATEMENTS: usize = 100_000;
/// Rules that maps of verdicts make of some of them.
const MAX_UNFOLDED: usize = 10_000;

fn rows(scan: &Scan) -> Rows {
    let mut reading = Reading { scan, statements: Vec::new(), included: Included::default() };
    reading.read(&main_file(scan), &Place::default(), 0);
    Box::new(unfolded(scan, reading.statements).into_iter().map(|(file, statement)| {
        let Statement { line, place, text } = statement;
        row! { file, line, table_name: place.table, chain: place.chain, statement: text }
    }))
}

/// The statements with the rules in place of those that look their verdict up.
fn unfolded(scan: &Scan, statements: Vec<(String, Statement)>) -> Vec<(String, Statement)> {
    let maps = maps_of(statements.iter().map(|(_, statement)| statement));
    // None once it did not suffice: what is refused costs work as well.
    let mut room = Some(MAX_UNFOLDED);
    let mut all = Vec::with_capacity(statements.len());
    for (file, statement) in statements {
        if !scan.budget().is_open() {
            break;
        }
        let Statement { line, place, text } = statement;
        let unfolded = room.map_or(Unfolded::AsWritten, |room| maps.unfold(&place.table, &text, room));
        let texts = match unfolded {
            Unfolded::AsWritten => vec![text],
            Unfolded::Rules(rules) => {
                room = room.map(|room| room.saturating_sub(rules.len()));
                rules
            }
            Unfolded::TooLarge => {
                scan.warn(format!(
                    "{file}:{line}: there are too many verdicts to look up; those from here on are not read"
                ));
                room = None;
                vec![text]
            }
        };
        all.extend(texts.into_iter().map(|text| (file.clone(), Statement { line, place: place.clone(), text })));
    }
    all
}

fn maps_of<'a>(statements: impl Iterator<Item = &'a Statement>) -> Maps {
    let mut maps = Maps::default();
    for Statement { place, text, .. } in statements.filter(|statement| statement.place.chain.is_empty()) {
        maps.take(&place.table, text);
    }
    maps
}

/// The file that the service names behind `-f`.
fn main_file(scan: &Scan) -> PathBuf {
    let commands = units::values(scan, "nftables.service", "Service", "ExecStart");
    let named = commands
        .iter()
        .find_map(|command| command.split_whitespace().skip_while(|word| !matches!(*word, "-f" | "--file")).nth(1));
    PathBuf::from(named.unwrap_or(MAIN))
}

/// The table and the chain of a statement; empty outside of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Place {
    table: String,
    chain: String,
}

#[derive(Debug, PartialEq, Eq)]
struct Statement {
    line: i64,
    place: Place,
    text: String,
}

/// What a file says.
struct Parsed {
    statements: Vec<Statement>,
    /// Whether each brace has its other.
    is_whole: bool,
}

struct Reading<'a> {
    scan: &'a Scan,
    statements: Vec<(String, Statement)>,
    included: Included,
}

impl Reading<'_> {
    fn read(&mut self, path: &Path, outer: &Place, depth: usize) {
        if !self.included.may_read(self.scan, depth) {
            return;
        }
        let file = paths::display(path);
        let parsed = parse(&self.scan.text(path).unwrap_or_default(), outer);
        if !parsed.is_whole {
            self.scan.warn(format!("a brace of {file} has no other: nft loads no rules"));
        }
        for statement in parsed.statements {
            if !self.scan.budget().is_open() {
                return;
            }
            if self.statements.len() >= MAX_STATEMENTS {
                self.scan.warn(format!("more than {MAX_STATEMENTS} statements; those from {file} on are not read"));
                return;
            }
            if let Some(pattern) = statement.text.strip_prefix("include ") {
                self.include(pattern, &statement.place, depth + 1);
            } else {
                let Statement { line, place, text } = &statement;
                if !nftables_words::begins_statement(text, !place.table.is_empty(), !place.chain.is_empty()) {
                    self.scan.warn(format!("{file}:{line}: nft knows no such statement, and loads no rules"));
                }
                self.take(&file, statement);
            }
        }
    }

    fn include(&mut self, pattern: &str, outer: &Place, depth: usize) {
        let pattern = pattern.trim_matches(['"', '\'']);
        // Half a path begins in the folder that nft was built with.
        let absolute = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/{pattern}") };
        let files: Vec<PathBuf> = shell_glob::glob(self.scan, &absolute).collect();
        if files.is_empty() && !paths::is_pattern(&absolute) {
            self.scan.warn(format!("{absolute} is included and not there: nft loads no rules"));
        }
        for file in files {
            self.read(&file, outer, depth);
        }
    }

    fn take(&mut self, file: &str, statement: Statement) {
        let words: Vec<&str> = statement.text.split(' ').collect();
        match words[..] {
            ["flush", "ruleset"] => self.statements.clear(),
            ["flush", "ruleset", family] => {
                self.statements.retain(|(_, earlier)| earlier.place.table.split(' ').next() != Some(family));
            }
            ["delete" | "destroy", "table", ..] => {
                let (table, _) = table_and_rest(&words[2..]);
                self.statements.retain(|(_, earlier)| earlier.place.table != table);
            }
            _ => self.statements.push((file.to_owned(), statement)),
        }
    }
}

/// The statements of a file whose beginning stands in `outer`.
fn parse(text: &str, outer: &Place) -> Parsed {
    let mut parsing = Parsing { places: vec![outer.clone()], ..Parsing::default() };
    let mut letters = text.chars().peekable();
    let mut line = 1;
    let (mut is_quoted, mut set_depth) = (false, 0_usize);
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.next_if_eq(&'\n').is_some() => {
                line += 1;
                parsing.push(' ', line);
            }
            '\n' => {
                // A text ends with its line, at the latest.
                is_quoted = false;
                if set_depth > 0 {
                    parsing.push(' ', line);
                } else {
                    parsing.end();
                }
                line += 1;
            }
            '"' => {
                is_quoted = !is_quoted;
                parsing.push(letter, line);
            }
            _ if is_quoted => parsing.push(letter, line),
            '#' => while letters.next_if(|next| *next != '\n').is_some() {},
            '{' if set_depth == 0 && parsing.enter() => {}
            '{' => {
                set_depth += 1;
                parsing.push(letter, line);
            }
            '}' if set_depth > 0 => {
                set_depth -= 1;
                parsing.push(letter, line);
            }
            '}' => parsing.leave(),
            ';' if set_depth == 0 => parsing.end(),
            _ => parsing.push(letter, line),
        }
    }
    parsing.end();
    let is_whole = set_depth == 0 && parsing.places.len() == 1 && !parsing.closes_too_much;
    Parsed { statements: parsing.found, is_whole }
}

/// What is known in the middle of a file.
#[derive(Debug, Default)]
struct Parsing {
    /// The place of what comes next is the last.
    places: Vec<Place>,
    begun: String,
    begun_at: i64,
    found: Vec<Statement>,
    /// Whether a brace closes what none has opened.
    closes_too_much: bool,
}

impl Parsing {
    fn push(&mut self, letter: char, line: i64) {
        if self.begun.is_empty() {
            if letter.is_whitespace() {
                return;
            }
            self.begun_at = line;
        }
        self.begun.push(letter);
    }

    fn place(&self) -> Place {
        self.places.last().cloned().unwrap_or_default()
    }

    fn end(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        let words: Vec<&str> = begun.split_whitespace().collect();
        if words.is_empty() {
            return;
        }
        let (place, words) = place_of_rule(&words).unwrap_or_else(|| (self.place(), &words[..]));
        self.found.push(Statement { line: self.begun_at, place, text: words.join(" ") });
    }

    /// Whether the brace behind what was begun opens a table or a chain, and not a set.
    fn enter(&mut self) -> bool {
        let Some(place) = place_of_block(&self.begun, &self.place()) else { return false };
        self.places.push(place);
        self.end();
        true
    }

    fn leave(&mut self) {
        self.end();
        if self.places.len() > 1 {
            self.places.pop();
        } else {
            self.closes_too_much = true;
        }
    }
}

/// `add rule inet filter input …` stands in that chain.
fn place_of_rule<'a, 'b>(words: &'b [&'a str]) -> Option<(Place, &'b [&'a str])> {
    let (["add" | "insert", "rule", rest @ ..] | ["rule", rest @ ..]) = words else { return None };
    let (table, rest) = table_and_rest(rest);
    let (chain, rest) = rest.split_first()?;
    Some((Place { table, chain: (*chain).to_owned() }, rest))
}

/// What `table inet filter`, `chain input` or `add chain inet filter input` opens.
fn place_of_block(header: &str, outer: &Place) -> Option<Place> {
    let words: Vec<&str> = header.split_whitespace().collect();
    let words = match &words[..] {
        ["add" | "create", rest @ ..] => rest,
        all => all,
    };
    match words {
        ["table", rest @ ..] => Some(Place { table: table_and_rest(rest).0, chain: String::new() }),
        ["chain", name] => Some(Place { table: outer.table.clone(), chain: (*name).to_owned() }),
        ["chain", rest @ ..] => {
            let (table, rest) = table_and_rest(rest);
            Some(Place { table, chain: rest.first().copied().unwrap_or_default().to_owned() })
        }
        _ => None,
    }
}

/// A table with its family, which is `ip` where none is named, and what follows.
pub(super) fn table_and_rest<'a, 'b>(words: &'b [&'a str]) -> (String, &'b [&'a str]) {
    match words {
        [family, name, rest @ ..] if FAMILIES.contains(family) => (format!("{family} {name}"), rest),
        [name, rest @ ..] => (format!("ip {name}"), rest),
        [] => (String::new(), &[]),
    }
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let statements = parse(&String::from_utf8_lossy(input), &Place::default()).statements;
    let maps = maps_of(statements.iter());
    for Statement { place, text, .. } in &statements {
        maps.unfold(&place.table, text, MAX_UNFOLDED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_statement_stands_in_its_table_and_chain() {
        let text = "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter { # mine\n  set ports { type inet_service; elements = { 22,\n 80 } }\n\
                    chain input {\n    type filter hook input priority 0; policy drop;\n    tcp dport { 22, 80 } \\\n accept\n\
                    log prefix \"a; } #\" drop }\n}\nadd rule inet filter input iif lo accept\nadd chain ip nat post { policy accept; }\n";
        let parsed = parse(text, &Place::default());
        assert!(parsed.is_whole);
        let found: Vec<String> = parsed
            .statements
            .into_iter()
            .map(|one| format!("{}|{}|{}|{}", one.line, one.place.table, one.place.chain, one.text))
            .collect();
        assert_eq!(
            found,
            [
                "2|||flush ruleset",
                "3|inet filter||table inet filter",
                "4|inet filter||set ports { type inet_service; elements = { 22, 80 } }",
                "6|inet filter|input|chain input",
                "7|inet filter|input|type filter hook input priority 0",
                "7|inet filter|input|policy drop",
                "8|inet filter|input|tcp dport { 22, 80 } accept",
                "10|inet filter|input|log prefix \"a; } #\" drop",
                "12|inet filter|input|iif lo accept",
                "13|ip nat|post|add chain ip nat post",
                "13|ip nat|post|policy accept",
            ]
        );
    }

    #[test]
    fn a_brace_without_its_other_is_seen() {
        for (text, expected) in [
            ("table inet filter { chain input { }\n}\n", true),
            ("table inet filter {\nchain input { tcp dport { 22 } accept\n}\n", false),
            ("table inet filter { set a { type inet_service\n}\n", false),
            ("table inet filter { }\n}\n", false),
            ("# }\nadd rule inet filter input log prefix \"{\" accept\n", true),
        ] {
            assert_eq!(parse(text, &Place::default()).is_whole, expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[a-z{};#\"\\\\ \n]{0,80}") {
            parse(&text, &Place::default());
        }
    }
}
