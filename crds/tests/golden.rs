//! The manifests on disk are what the types say, byte for byte, and the names that users type never change by accident.
//! `UPDATE_GOLDEN=1 cargo test -p crds` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crds::manifests::{definitions, generate};

fn folders() -> [PathBuf; 2] {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    [crate_folder.join("manifests"), crate_folder.join("../charts/tenantra-crds/templates")]
}

#[test]
fn the_manifests_on_disk_are_those_of_the_types() {
    let manifests = generate().unwrap();
    for folder in folders() {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            for manifest in &manifests {
                std::fs::write(folder.join(&manifest.file_name), &manifest.yaml).unwrap();
            }
        }
        let expected: BTreeSet<_> = manifests.iter().map(|manifest| manifest.file_name.clone()).collect();
        let found: BTreeSet<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, expected, "files in {}", folder.display());
        for manifest in &manifests {
            let path = folder.join(&manifest.file_name);
            let on_disk = std::fs::read_to_string(&path).unwrap();
            assert!(
                on_disk == manifest.yaml,
                "{} is not what the types say: run UPDATE_GOLDEN=1 cargo test -p crds",
                path.display()
            );
        }
    }
}

#[test]
fn helm_finds_nothing_to_render_in_them() {
    for manifest in generate().unwrap() {
        assert!(!manifest.yaml.contains("{{"), "{}", manifest.file_name);
        assert!(manifest.yaml.contains("helm.sh/resource-policy: keep"), "{}", manifest.file_name);
    }
}

#[test]
fn the_names_are_frozen() {
    let names: Vec<_> = definitions()
        .unwrap()
        .into_iter()
        .map(|definition| {
            let version = &definition.spec.versions[0];
            assert_eq!(definition.spec.versions.len(), 1);
            assert!(version.subresources.as_ref().unwrap().status.is_some());
            let names = definition.spec.names;
            format!(
                "{} {}/{} {} {} {} {} {}",
                definition.metadata.name.unwrap(),
                definition.spec.group,
                version.name,
                definition.spec.scope,
                names.kind,
                names.singular.unwrap(),
                names.short_names.unwrap().join(","),
                names.categories.unwrap().join(","),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            "tenants.tenantra.io tenantra.io/v1alpha1 Cluster Tenant tenant tnt tenantra",
            "scanschedules.tenantra.io tenantra.io/v1alpha1 Namespaced ScanSchedule scanschedule ss tenantra",
            "alertrules.tenantra.io tenantra.io/v1alpha1 Namespaced AlertRule alertrule ar tenantra",
            "cloudaccounts.tenantra.io tenantra.io/v1alpha1 Namespaced CloudAccount cloudaccount ca tenantra",
        ]
    );
}

#[test]
fn every_kind_shows_whether_it_is_ready_and_suspended() {
    for definition in definitions().unwrap() {
        let columns: Vec<_> = definition.spec.versions[0]
            .additional_printer_columns
            .as_ref()
            .unwrap()
            .iter()
            .map(|column| column.name.clone())
            .collect();
        for expected in ["READY", "REASON", "SUSPENDED", "AGE"] {
            assert!(columns.iter().any(|name| name == expected), "{expected} of {:?}", definition.metadata.name);
        }
    }
}
