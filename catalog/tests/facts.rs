//! Properties of the hashes that agent and server compare, and of the changes between two snapshots.

use std::collections::BTreeMap;

use catalog::facts::{Fact, Facts, HASH_DIGITS, Row, fact_key, row_hash, snapshot_id};
use proptest::prelude::*;
use serde_json::{Value, json};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    prop::collection::btree_map("[a-z]{1,6}", value(), 0..5)
}

fn facts(rows: &[Row]) -> Vec<Fact> {
    rows.iter().map(|row| Fact::new("table", &["a".to_owned()], row.clone())).collect()
}

fn index(facts: &[Fact]) -> BTreeMap<String, String> {
    facts.iter().map(|fact| (fact.hash(), fact.table.clone())).collect()
}

proptest! {
    #[test]
    fn a_row_hashes_the_same_after_the_wire(row in row()) {
        let fact = Fact::new("table", &[], row);
        let text = serde_json::to_string(&fact).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let back: Fact = serde_json::from_str(&text).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(fact.hash(), back.hash());
        prop_assert_eq!(fact.hash().len(), HASH_DIGITS);
    }

    #[test]
    fn different_rows_hash_differently(a in row(), b in row()) {
        prop_assert_eq!(a == b, row_hash("table", &a) == row_hash("table", &b));
        prop_assert_ne!(row_hash("table", &a), row_hash("other", &a));
    }

    #[test]
    fn a_snapshot_does_not_depend_on_order(mut hashes in prop::collection::vec("[0-9a-f]{32}", 0..8)) {
        let before = snapshot_id(hashes.iter().map(String::as_str));
        hashes.reverse();
        prop_assert_eq!(before, snapshot_id(hashes.iter().map(String::as_str)));
    }

    #[test]
    fn changes_applied_to_the_base_give_the_snapshot(old in prop::collection::vec(row(), 0..6), new in prop::collection::vec(row(), 0..6)) {
        let mut held = index(&facts(&old));
        let base = snapshot_id(held.keys().map(String::as_str));
        let changes = Facts::between(Some(base), &held, facts(&new));
        for gone in &changes.removed {
            prop_assert!(held.remove(&gone.hash).is_some());
        }
        for fact in &changes.added {
            prop_assert!(held.insert(fact.hash(), fact.table.clone()).is_none());
        }
        prop_assert_eq!(snapshot_id(held.keys().map(String::as_str)), changes.snapshot.clone());
        prop_assert_eq!(changes.is_unchanged(), changes.added.is_empty() && changes.removed.is_empty());
    }
}

#[test]
fn without_a_base_everything_is_added() {
    let now = facts(&[Row::from([("a".to_owned(), json!(1))])]);
    let changes = Facts::between(None, &index(&now), now);
    assert_eq!((changes.added.len(), changes.removed.len(), changes.base), (1, 0, None));
}

#[test]
fn the_hash_is_the_documented_one() {
    let row = Row::from([("b".to_owned(), json!("x\"y")), ("a".to_owned(), json!({ "z": 1, "y": [true, null] }))]);
    // printf '{"row":{"a":{"y":[true,null],"z":1},"b":"x\\"y"},"table":"t"}' | sha256sum | cut -c -32
    assert_eq!(row_hash("t", &row), "b73f519e8e24b4e84e718a4530b9e1c0");
    assert_eq!(snapshot_id([]), "e3b0c44298fc1c149afbf4c8996fb924");
}

#[test]
fn keys_tell_values_apart_that_look_alike() {
    let row = |a: Value, b: Value| Row::from([("a".to_owned(), a), ("b".to_owned(), b)]);
    let columns = ["a".to_owned(), "b".to_owned()];
    assert_eq!(fact_key(&columns, &row(json!(22), json!("0.0.0.0"))), r#"[22,"0.0.0.0"]"#);
    assert_ne!(fact_key(&columns, &row(json!("1,2"), json!("3"))), fact_key(&columns, &row(json!("1"), json!("2,3"))));
    assert_eq!(fact_key(&["c".to_owned()], &row(json!(1), json!(2))), "[null]");
}
