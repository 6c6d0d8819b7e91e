//! What each of several runs changed, from the facts as they are after the last and the rows that each moved.
//!
//! Several rows can tell of one thing: a port that is open on two addresses, a program that two accounts run. A thing came if no
//! row told of it before, and went if none does after; so rows are counted, backwards from what is there now.

use std::collections::BTreeMap;

use analysis::drift::{Change, Item};

/// Of how many rows each thing is drawn; as a difference it may be negative.
pub(super) type Counts = BTreeMap<Item, i64>;

/// What a run of a module moved.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// It found what was there before anybody looked.
    pub(super) is_inventory: bool,
    /// Rows that came, less rows that went.
    pub(super) by: Counts,
}

/// Adds a row to counts, or with a sign of -1 takes it away.
pub(super) fn count(counts: &mut Counts, item: Item, sign: i64) {
    *counts.entry(item).or_default() += sign;
}

/// The changes of each run of one module on one asset, in the order of the runs, which is also that of the answer.
pub(super) fn changes(mut now: Counts, runs: &[Moved]) -> Vec<Vec<Change>> {
    let mut all = Vec::with_capacity(runs.len());
    for Moved { is_inventory, by } in runs.iter().rev() {
        let mut changes = Vec::new();
        if *is_inventory {
            let there = now.iter().filter(|(_, count)| **count > 0);
            changes.extend(there.map(|(item, _)| Change::Appeared(item.clone())));
        }
        for (item, moved) in by {
            let count = now.entry(item.clone()).or_default();
            let after = *count;
            *count -= moved;
            match (*count > 0, after > 0) {
                (false, true) if !is_inventory => changes.push(Change::Appeared(item.clone())),
                (true, false) if !is_inventory => changes.push(Change::Vanished(item.clone())),
                _ => {}
            }
        }
        all.push(changes);
    }
    all.reverse();
    all
}

#[cfg(test)]
mod tests {
    use analysis::drift::Kind;

    use super::*;

    fn port(number: u16) -> Item {
        Item::new(Kind::Port, &format!("{number}/tcp"), None)
    }

    fn moved(by: &[(u16, i64)]) -> Moved {
        Moved { is_inventory: false, by: by.iter().map(|(number, by)| (port(*number), *by)).collect() }
    }

    #[test]
    fn a_thing_comes_with_its_first_row_and_goes_with_its_last() {
        // 22 on two addresses; 80 came and went; 443 lost one of two addresses, then the other.
        let now: Counts = [(port(22), 2)].into();
        let runs = [
            Moved { is_inventory: true, by: Counts::new() },
            moved(&[(80, 1), (443, -1)]),
            moved(&[(80, -1), (443, -1), (22, 1)]),
        ];
        let found = changes(now, &runs);
        assert_eq!(found[0], [Change::Appeared(port(22)), Change::Appeared(port(443))].to_vec().sorted());
        assert_eq!(found[1], [Change::Appeared(port(80))]);
        assert_eq!(found[2], [Change::Vanished(port(443)), Change::Vanished(port(80))].to_vec().sorted());
    }

    trait Sorted {
        fn sorted(self) -> Self;
    }

    impl Sorted for Vec<Change> {
        fn sorted(mut self) -> Self {
            self.sort();
            self
        }
    }

    #[test]
    fn a_row_that_takes_the_place_of_another_of_the_same_thing_is_no_change() {
        let now: Counts = [(port(22), 1)].into();
        assert_eq!(changes(now, &[moved(&[(22, 0)])]), vec![Vec::<Change>::new()]);
    }
}
