//! Which of our crates may depend on which. An edge that is not listed here is a decision to be taken, not a line in a
//! manifest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::MetadataCommand;

/// `None`: may use all.
const ALLOWED: [(&str, Option<&[&str]>); 11] = [
    ("crds", Some(&[])),
    ("catalog", Some(&[])),
    ("analysis", Some(&[])),
    ("tables", Some(&["catalog"])),
    ("store", Some(&["catalog", "analysis"])),
    ("operator", Some(&["crds", "store", "catalog", "analysis"])),
    ("api-server", Some(&["crds", "store", "catalog", "analysis"])),
    ("agent-daemonset", Some(&["tables", "catalog"])),
    ("cli", Some(&["crds", "store", "catalog", "tables", "analysis", "operator"])),
    ("tests", None),
    ("bench", None),
];

/// What touches a network, a disk or a database.
const IO: [&str; 9] = ["axum", "hyper", "procfs", "reqwest", "rusqlite", "sqlx", "tokio", "tower-http", "vaultrs"];
/// The crates that do no IO.
const PURE: [&str; 3] = ["crds", "catalog", "analysis"];

/// Every crate of ours with the names of what it depends on, in builds and in tests.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    metadata
        .packages
        .iter()
        .map(|package| {
            let names = package.dependencies.iter().map(|dependency| dependency.name.clone()).collect();
            (package.name.to_string(), names)
        })
        .collect()
}

#[test]
fn our_crates_depend_on_each_other_only_as_the_architecture_says() {
    let found = dependencies();
    let listed: BTreeSet<_> = ALLOWED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), listed, "crates of the workspace");
    for (name, allowed) in ALLOWED {
        let Some(allowed) = allowed else { continue };
        for dependency in &found[name] {
            let is_fine = !listed.contains(dependency) || allowed.contains(&dependency.as_str());
            assert!(is_fine, "{name} must not depend on {dependency}");
        }
    }
}

#[test]
fn crates_without_io_depend_on_nothing_that_does_io() {
    let found = dependencies();
    for name in PURE {
        for dependency in &found[name] {
            assert!(!IO.contains(&dependency.as_str()), "{name} does no IO, so it must not depend on {dependency}");
        }
    }
}
