//! Files of osquery and Fleet: what they become, and what is left out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use catalog::import::{Compiler, Format, Imported, Options, Rows, import};
use catalog::load::Controls;
use catalog::module::Category;
use semver::Version;

/// Knows every table but `launchd`.
struct Tables;

impl Compiler for Tables {
    fn columns(&self, sql: &str) -> Result<Vec<String>, String> {
        if sql.contains("launchd") { Err("no such table: launchd".to_owned()) } else { Ok(vec!["name".to_owned()]) }
    }

    fn pattern(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

fn imported(text: &str, format: Format) -> Result<Vec<Imported>, String> {
    let controls = Controls::new();
    let options = Options {
        slug: None,
        version: Version::new(1, 0, 0),
        category: Category::Compliance,
        rows: Rows::Facts,
        controls: &controls,
    };
    import("file.yml", text.as_bytes(), format, &options, &Tables).map_err(|problems| problems.to_string())
}

/// How many checks and collections the file became, and what was left out.
fn made(text: &str, format: Format) -> (usize, usize, Vec<String>) {
    let imported = imported(text, format).unwrap().remove(0);
    let notes = imported.notes.iter().map(|note| format!("{}: {}", note.subject, note.text)).collect();
    (imported.module.checks.len(), imported.module.collect.len(), notes)
}

#[test]
fn a_list_of_fleet_is_what_its_fields_say() {
    let queries = "\
- { name: a, query: SELECT name FROM users, interval: 300 }
- { name: b, query: SELECT name FROM groups, description: as the others }
";
    assert_eq!(made(queries, Format::Fleet), (0, 2, vec![]));
    let policies = "\
- { name: a, query: SELECT name FROM users, resolution: do it }
- { name: b, query: SELECT name FROM groups }
- { name: c, query: SELECT name FROM mounts, interval: 60 }
";
    assert_eq!(made(policies, Format::Fleet), (2, 1, vec![]));
}

#[test]
fn what_fleet_decides_itself_and_what_other_files_hold_is_left_out() {
    let text = "\
policies:
  - { name: p, query: SELECT name FROM users, type: dynamic }
  - { name: patched, type: patch, fleet_maintained_app_slug: zoom/darwin }
  - { paths: ./policies/*.yml }
  - { path: ./more.yml }
";
    let (checks, collections, notes) = made(text, Format::Fleet);
    assert_eq!((checks, collections), (1, 0));
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].contains("patched") && notes[1].contains("./policies/*.yml"), "{notes:?}");
}

#[test]
fn a_pack_whose_discovery_cannot_be_asked_is_left_out() {
    let text = r#"{"discovery": ["SELECT pid FROM launchd"], "queries": {"a": {"query": "SELECT name FROM users"}}}"#;
    let refused = imported(text, Format::OsqueryPack).unwrap_err();
    assert!(refused.contains("discovery") && refused.contains("no such table: launchd"), "{refused}");
}

#[test]
fn a_module_that_asks_docker_may_connect_to_it() {
    let text = r#"{"queries": {"a": {"query": "SELECT name FROM docker_containers"}}}"#;
    let module = imported(text, Format::OsqueryPack).unwrap().remove(0).module;
    assert_eq!(module.requires.network, ["docker"]);
    let text = r#"{"queries": {"a": {"query": "SELECT name FROM users"}}}"#;
    assert!(imported(text, Format::OsqueryPack).unwrap()[0].module.requires.network.is_empty());
}

#[test]
fn two_packs_that_would_be_one_module_are_refused() {
    let pack = r#"{"queries": {"a": {"query": "SELECT name FROM users"}}}"#;
    let text = format!(r#"{{"packs": {{"it compliance": {pack}, "it-compliance": {pack}}}}}"#);
    let refused = imported(&text, Format::OsqueryPack).unwrap_err();
    assert!(refused.contains("it compliance") && refused.contains("another name"), "{refused}");
}

#[test]
fn a_mark_of_byte_order_is_no_part_of_the_text() {
    let text = "\u{feff}{\"queries\": {\"a\": {\"query\": \"SELECT name FROM users\"}}}";
    assert_eq!(Format::of(text.as_bytes()), Some(Format::OsqueryPack));
    assert_eq!(made(text, Format::OsqueryPack).1, 1);
    let text = "\u{feff}- { name: a, query: SELECT name FROM users }\n";
    assert_eq!(made(text, Format::Fleet).0, 1);
}
