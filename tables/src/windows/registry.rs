//! `registry`: the registry of a Windows below the root, from its hives. Rows are osquery's: one for each subkey and value of a
//! key. Without a condition only the top of the tree is shown: the whole has millions of rows.

use std::rc::Rc;

use crate::constraints::Operator;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::data::kind_name;
use crate::windows::machine::Machine;
use crate::windows::tree::{Pattern, Place, join};

table! {
    /// Keys and values of the registry of a Windows image; `%%` at the end of a LIKE reaches everything below.
    registry {
        key: Text [index],
        path: Text [index],
        name: Text,
        r#type: Text,
        data: Text,
        mtime: BigInt,
    }
}

/// osquery's name of a key's value that has none.
const DEFAULT_VALUE: &str = "(Default)";

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let places: Box<dyn Iterator<Item = Place>> = match asked_for(scan) {
        Some((pattern, with_base)) => Box::new(pattern.expand(Rc::clone(&machine), with_base)),
        // The hives, by their names.
        None => Box::new(Pattern::like("%").expand(Rc::clone(&machine), false)),
    };
    Box::new(places.flat_map(move |place| of_key(&machine, place)))
}

/// The pattern of the keys whose content is asked for, by `key` or by `path`.
fn asked_for(scan: &Scan) -> Option<(Pattern, bool)> {
    let first = |column, operator| scan.texts(column, operator).into_iter().next();
    // An exact condition needs no pattern beside it: SQLite tests the others on the row.
    if let Some(key) = first("key", Operator::Equals) {
        return Some((Pattern::exact(&key), false));
    }
    if let Some(path) = first("path", Operator::Equals) {
        return Pattern::exact(&path).parents().map(|pattern| (pattern, true));
    }
    // Of several patterns the one that leaves the least open; of the key none that leaves all open.
    let narrowest = |column| scan.texts(column, Operator::Like).into_iter().max_by_key(|text| fixed_bytes(text));
    let (key, path) = (narrowest("key"), narrowest("path"));
    match (key, path) {
        (Some(key), path) if path.is_none() || fixed_bytes(&key) > 0 => Some((Pattern::like(&key), false)),
        (_, path) => Pattern::like(&path?).parents().map(|pattern| (pattern, true)),
    }
}

/// How much of a pattern stands before its first wildcard.
fn fixed_bytes(pattern: &str) -> usize {
    pattern.find('%').unwrap_or(pattern.len())
}

/// The rows of a key, one at a time: values can be large, and there can be many.
fn of_key(machine: &Machine, place: Place) -> impl Iterator<Item = Row> + use<> {
    let Place { path: key, node } = place;
    let (parent, written) = (key.clone(), node.written());
    let subkeys = node.children(machine).map(move |(name, child)| {
        let path = join(&parent, &name);
        row! { key: parent.as_str(), path, name, r#type: "subkey", data: "", mtime: child.written() }
    });
    let values = node.values().map(move |value| {
        let data = value.shown();
        let name = if value.name.is_empty() { DEFAULT_VALUE.to_owned() } else { value.name };
        row! { key: key.as_str(), path: join(&key, &name), name, r#type: kind_name(value.kind), data, mtime: written }
    });
    subkeys.chain(values)
}
