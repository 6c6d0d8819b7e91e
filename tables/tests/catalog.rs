//! Every module that ships: its queries compile against the tables, and its recorded hosts get the verdicts they must.
#![allow(clippy::unwrap_used, clippy::panic)] // a failing test may end

use catalog::Catalog;
use tables::fixtures;

#[test]
fn every_query_of_every_module_compiles() {
    let catalog = Catalog::embedded().unwrap();
    let problems: Vec<String> = catalog
        .entries()
        .iter()
        .flat_map(|entry| fixtures::lint(&entry.module).into_iter().map(|problem| format!("{}: {problem}", entry.path)))
        .collect();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_module_passes_its_own_tests() {
    let catalog = Catalog::embedded().unwrap();
    let mut failures = Vec::new();
    for entry in catalog.entries() {
        for outcome in fixtures::run(&entry.module).into_iter().filter(|outcome| !outcome.has_passed()) {
            failures.push(format!("{}: {}\n  {}", entry.path, outcome.name, outcome.differences.join("\n  ")));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}
