//! `snap_packages`: snaps, from the state that snapd keeps; what a snap says of itself is read where it is mounted.

use std::path::Path;

use serde_json::Value as Json;

use super::json::{entries, list, text};
use crate::constraints::Operator;
use crate::reader::{Scan, is_crowded_json};
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Installed snaps; what a snap says of itself is missing where it is not mounted.
    snap_packages {
        name: Text [index],
        version: Text,
        summary: Text,
        description: Text,
        r#type: Text,
        confinement: Text,
        base: Text,
        license: Text,
        grade: Text,
        architectures: Text,
        revision: Text,
        channel: Text,
        snap_id: Text,
    }
}

const STATE: &str = "/var/lib/snapd/state.json";
const MOUNTS: [&str; 2] = ["/snap", "/var/lib/snapd/snap"];

fn rows(scan: &Scan) -> Rows {
    let wanted = scan.texts("name", Operator::Equals);
    let state: Json = scan.text(STATE).and_then(|text| scan.json(STATE, &text)).unwrap_or_default();
    let rows: Vec<Row> = entries(&state, "/data/snaps")
        .filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name))
        .map(|(name, snap)| describe(scan, name, snap))
        .collect();
    Box::new(rows.into_iter())
}

fn describe(scan: &Scan, name: &str, snap: &Json) -> Row {
    let current = revision(snap.get("current"));
    let installed = list(snap, "/sequence").iter().rev().find(|one| revision(one.get("revision")) == current);
    // A name of snapd's own state, but still one that a path is made of.
    let is_name = |part: &str| !part.is_empty() && !part.contains('/') && part != "..";
    let described = MOUNTS.iter().filter(|_| is_name(name) && is_name(&current)).find_map(|mount| {
        let path = Path::new(mount).join(name).join(&current).join("meta/snap.yaml");
        let text = scan.text(&path)?;
        // What YAML adds to JSON takes a line a value.
        if is_crowded_json(text.as_bytes()) { None } else { serde_saphyr::from_str::<Json>(&text).ok() }
    });
    let described = described.unwrap_or_default();
    let own =
        |field: &str| described.get(field).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let architectures: Vec<&str> = list(&described, "/architectures").iter().filter_map(Json::as_str).collect();
    row! {
        name,
        version: own("version"),
        summary: own("summary"),
        description: own("description"),
        r#type: text(snap, "/type"),
        // Without a word about it a snap is strictly confined (snapcraft's documentation).
        confinement: if described.is_null() { None } else { own("confinement").or_else(|| Some("strict".to_owned())) },
        base: own("base"),
        license: own("license"),
        grade: own("grade"),
        architectures: architectures.join(","),
        revision: current,
        channel: text(snap, "/channel"),
        snap_id: installed.and_then(|one| text(one, "/snap-id")),
    }
}

/// Numbers are of the store, texts such as `x1` of the host itself.
fn revision(value: Option<&Json>) -> String {
    match value {
        Some(Json::String(text)) => text.clone(),
        Some(Json::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}
