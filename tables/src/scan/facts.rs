//! The facts of a run: what a module collects, within its bounds, and how it differs from what the server acknowledged last.

use std::collections::{BTreeMap, BTreeSet};

use catalog::envelope::LogLevel;
use catalog::facts::{Fact, FactRef, Facts, Row, snapshot_id};
use catalog::module::Module;
use sha2::Digest as _;

use super::decision::gap_of;
use super::{PreviousFacts, Run};
use crate::functions::hex;
use crate::reader::{Gap, cut};
use crate::redact::redact_row;

/// Facts of one module on one asset, and what they may take.
pub const MAX_FACTS: usize = 50_000;
const MAX_FACTS_BYTES: usize = 5 << 20;
/// The longest key of a fact in a result; where one is longer, texts of the row are shortened to so much.
const MAX_KEY_BYTES: usize = 8_000;
const SHORTENED_BYTES: usize = 200;

impl Run<'_> {
    pub(super) fn collect(&mut self, module: &Module) -> Collected {
        let mut collected = Collected::default();
        for collect in &module.collect {
            match self.ask(&collect.query) {
                Ok(answer)
                    if collected.facts.len() + answer.rows.len() > MAX_FACTS
                        || collected.size_bytes + answer.size_bytes() > MAX_FACTS_BYTES =>
                {
                    let most = MAX_FACTS_BYTES >> 20;
                    let message = format!("{}: more than {MAX_FACTS} facts or {most} MiB in one module", collect.table);
                    self.say(LogLevel::Error, message);
                    collected.unreadable.insert(collect.table.clone());
                }
                // Of a table that gave nothing, nothing has gone: what was known of it holds.
                Ok(answer) if answer.rows.is_empty() && matches!(gap_of(&answer), Some((Gap::Unread, _))) => {
                    collected.unreadable.insert(collect.table.clone());
                }
                Ok(answer) if matches!(gap_of(&answer), Some((Gap::Undecided, _))) => {
                    collected.unreadable.insert(collect.table.clone());
                }
                Ok(answer) => {
                    collected.size_bytes += answer.size_bytes();
                    if matches!(gap_of(&answer), Some((Gap::Unread, _))) {
                        collected.partial.insert(collect.table.clone());
                    }
                    for row in answer.rows {
                        let row: Row = answer.columns.iter().cloned().zip(redact_row(&answer.columns, &row)).collect();
                        let fact = with_short_key(Fact::new(collect.table.clone(), &collect.key, row), &collect.key);
                        if fact.key.len() > MAX_KEY_BYTES {
                            self.say(LogLevel::Error, format!("{}: a fact has too long a key", collect.table));
                            collected.unreadable.insert(collect.table.clone());
                        } else {
                            collected.facts.insert(fact.hash(), fact);
                        }
                    }
                }
                Err(error) => {
                    self.say(LogLevel::Error, format!("{}: {error}", collect.table));
                    collected.unreadable.insert(collect.table.clone());
                }
            }
        }
        collected
    }
}

/// A host can have names of any length. What is shortened ends in a digest, so that two of them stay two.
fn with_short_key(fact: Fact, key: &[String]) -> Fact {
    if fact.key.len() <= MAX_KEY_BYTES {
        return fact;
    }
    let Fact { table, mut row, .. } = fact;
    for value in row.values_mut() {
        if let Some(text) = value.as_str().filter(|text| text.len() > SHORTENED_BYTES) {
            let digest = hex(&sha2::Sha256::digest(text));
            let mut short = text.to_owned();
            cut(&mut short, SHORTENED_BYTES);
            *value = format!("{short}{}", &digest[..16]).into();
        }
    }
    Fact::new(table, key, row)
}

/// The facts of a run, and the tables that could not be read: what is not seen has not gone.
#[derive(Default)]
pub(super) struct Collected {
    facts: BTreeMap<String, Fact>,
    size_bytes: usize,
    pub(super) unreadable: BTreeSet<String>,
    /// Tables of which a part was read: what is seen is there, what is not seen may be.
    pub(super) partial: BTreeSet<String>,
}

impl Collected {
    pub(super) fn against(mut self, previous: PreviousFacts) -> (Facts, PreviousFacts) {
        self.facts.retain(|_, fact| !self.unreadable.contains(&fact.table));
        let base = (!previous.snapshot.is_empty()).then_some(previous.snapshot);
        let known = if base.is_some() { previous.hashes } else { BTreeMap::new() };
        let mut hashes: BTreeMap<String, String> =
            self.facts.iter().map(|(hash, fact)| (hash.clone(), fact.table.clone())).collect();
        let mut removed = Vec::new();
        for (hash, table) in known.iter().filter(|(hash, _)| !self.facts.contains_key(*hash)) {
            let may_be_there = self.unreadable.contains(table) || self.partial.contains(table);
            if may_be_there && hashes.len() < MAX_FACTS {
                hashes.insert(hash.clone(), table.clone());
            } else {
                removed.push(FactRef { table: table.clone(), hash: hash.clone() });
            }
        }
        let snapshot = snapshot_id(hashes.keys().map(String::as_str));
        let added =
            self.facts.into_iter().filter(|(hash, _)| !known.contains_key(hash)).map(|(_, fact)| fact).collect();
        (Facts { base, snapshot: snapshot.clone(), added, removed }, PreviousFacts { snapshot, hashes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(name: &str) -> Fact {
        let row = Row::from([("name".to_owned(), serde_json::Value::from(name))]);
        Fact::new("packages", &["name".to_owned()], row)
    }

    fn collected(names: &[&str]) -> Collected {
        let facts = names.iter().map(|name| (fact(name).hash(), fact(name))).collect();
        Collected { facts, ..Collected::default() }
    }

    #[test]
    fn a_fact_with_an_endless_name_has_a_key_that_can_be_sent() {
        let fact = |end: &str| {
            let row = Row::from([("name".to_owned(), format!("{}{end}", "\u{1}".repeat(3_900)).into())]);
            let key = ["name".to_owned()];
            with_short_key(Fact::new("packages", &key, row), &key)
        };
        assert!(fact("a").key.len() < MAX_KEY_BYTES);
        assert_ne!(fact("a").hash(), fact("b").hash());
    }

    #[test]
    fn facts_are_sent_as_changes() {
        let (first, known) = collected(&["a", "b"]).against(PreviousFacts::default());
        assert_eq!((first.base, first.added.len(), first.removed.len()), (None, 2, 0));
        let (second, _) = collected(&["b", "c"]).against(known.clone());
        assert_eq!(
            (second.base.as_deref(), second.added.len(), second.removed.len()),
            (Some(known.snapshot.as_str()), 1, 1)
        );
        let (third, again) = collected(&["a", "b"]).against(known.clone());
        assert!(third.is_unchanged());
        assert_eq!(again, known);
    }

    #[test]
    fn what_is_not_seen_of_a_table_that_is_read_in_part_has_not_gone() {
        let (_, known) = collected(&["a", "b"]).against(PreviousFacts::default());
        let part = Collected { partial: BTreeSet::from(["packages".to_owned()]), ..collected(&["b", "c"]) };
        let (changes, now) = part.against(known.clone());
        assert!(changes.removed.is_empty());
        assert_eq!(changes.added, [fact("c")]);
        assert_eq!(now.hashes.len(), 3);
        // Once the whole is read again, what has gone is told.
        let (changes, _) = collected(&["b", "c"]).against(now);
        assert_eq!((changes.added.len(), changes.removed.len()), (0, 1));
    }

    #[test]
    fn facts_of_a_table_that_cannot_be_read_stay() {
        let (_, known) = collected(&["a", "b"]).against(PreviousFacts::default());
        let unreadable = BTreeSet::from(["packages".to_owned()]);
        let broken = Collected { unreadable, ..Collected::default() };
        let (changes, again) = broken.against(known.clone());
        assert!(changes.is_unchanged() && changes.removed.is_empty());
        assert_eq!(again, known);
    }
}
