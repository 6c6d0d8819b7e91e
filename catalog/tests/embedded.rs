//! The catalog that ships: it loads, it is large enough, and it says of every check what a user needs.

use std::collections::BTreeSet;

use catalog::module::Profile;
use catalog::{Catalog, Severity};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[test]
fn every_shipped_file_is_valid_and_there_are_enough_of_them() -> Outcome {
    let catalog = Catalog::embedded()?;
    let deciding = catalog.entries().iter().filter(|entry| !entry.module.checks.is_empty()).count();
    let checks: usize = catalog.entries().iter().map(|entry| entry.module.checks.len()).sum();
    let collections: usize = catalog.entries().iter().map(|entry| entry.module.collect.len()).sum();
    let modules = catalog.latest().count();
    assert!(modules >= 300, "{modules} modules");
    assert!(deciding >= 270, "{deciding} modules decide something");
    assert!(checks >= 1_500, "{checks} checks");
    assert!(collections >= 50, "{collections} collections");
    Ok(())
}

#[test]
fn check_ids_are_unique_over_all_modules() -> Outcome {
    let catalog = Catalog::embedded()?;
    let mut seen = BTreeSet::new();
    for check in catalog.latest().flat_map(|entry| &entry.module.checks) {
        assert!(seen.insert(&check.id), "{} is in two modules", check.id);
    }
    Ok(())
}

#[test]
fn no_two_checks_claim_the_same_rule_of_the_peer() -> Outcome {
    let catalog = Catalog::embedded()?;
    let mut seen = BTreeSet::new();
    let rules =
        catalog.latest().flat_map(|entry| &entry.module.checks).filter_map(|check| check.same_as.oscap.as_ref());
    for rule in rules {
        assert!(seen.insert(rule), "{rule} is claimed twice");
    }
    assert!(seen.len() >= 400, "{} rules", seen.len());
    Ok(())
}

#[test]
fn every_check_maps_to_the_catalogues_of_controls_and_what_the_peer_checks_to_a_benchmark() -> Outcome {
    let catalog = Catalog::embedded()?;
    for check in catalog.latest().flat_map(|entry| &entry.module.checks) {
        let has = |framework| check.controls.get(framework).is_some_and(|ids: &Vec<String>| !ids.is_empty());
        for framework in ["nist-800-53-r5", "iso-27001-2022"] {
            assert!(has(framework), "{} lacks {framework}", check.id);
        }
        let is_of_a_benchmark = has("cis-debian-12") || has("cis-ubuntu-24-04");
        assert!(check.same_as.is_empty() || is_of_a_benchmark, "{} lacks a benchmark", check.id);
    }
    Ok(())
}

#[test]
fn nearly_all_controls_of_the_benchmarks_are_decided() -> Outcome {
    let catalog = Catalog::embedded()?;
    for slug in ["cis-debian-12", "cis-ubuntu-24-04"] {
        let framework = catalog.framework(slug).ok_or("no framework")?;
        let mapped: BTreeSet<&str> = catalog
            .latest()
            .flat_map(|entry| &entry.module.checks)
            .filter_map(|check| check.controls.get(slug))
            .flatten()
            .map(String::as_str)
            .collect();
        let share = mapped.len() * 100 / framework.controls.len();
        assert!(share >= 98, "{slug}: {} of {} controls", mapped.len(), framework.controls.len());
    }
    Ok(())
}

#[test]
fn frameworks_have_all_their_controls() -> Outcome {
    let catalog = Catalog::embedded()?;
    let count = |slug| catalog.framework(slug).map_or(0, |framework| framework.controls.len());
    assert_eq!((count("cis-debian-12"), count("cis-ubuntu-24-04")), (289, 291));
    assert_eq!((count("nist-800-53-r5"), count("iso-27001-2022")), (298, 93));
    Ok(())
}

#[test]
fn modules_are_found_by_slug_version_and_pattern() -> Outcome {
    let catalog = Catalog::embedded()?;
    let sshd = catalog.module("linux-sshd-hardening", None).ok_or("no module")?;
    assert_eq!(catalog.module("linux-sshd-hardening", Some(&sshd.module.version.to_string())), Some(sshd));
    assert_eq!(catalog.module("linux-sshd-hardening", Some("9.9.9")), None);
    assert_eq!(sshd.checksum.len(), 64);

    let slugs = |enable: &[&str], disable: &[&str]| {
        let text = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
        let (enable, disable) = (text(enable), text(disable));
        catalog.enabled(&enable, &disable).map(|entry| entry.module.slug.clone()).collect::<Vec<_>>()
    };
    assert_eq!(slugs(&[], &[]).len(), catalog.latest().count());
    assert_eq!(slugs(&["linux-sshd-*"], &[]), ["linux-sshd-hardening"]);
    assert!(!slugs(&["linux-*"], &["linux-cron"]).contains(&"linux-cron".to_owned()));
    assert!(slugs(&["cis-debian-12"], &[]).contains(&"linux-cron".to_owned()));
    assert!(!slugs(&["cis-debian-12"], &[]).contains(&"linux-inventory-software".to_owned()));
    assert!(slugs(&["inventory"], &[]).contains(&"linux-inventory-software".to_owned()));
    Ok(())
}

#[test]
fn profiles_are_ordered_by_what_they_may_take() {
    let profiles = [Profile::BaselineFast, Profile::BaselineFull, Profile::DeepScan];
    assert!(profiles.is_sorted());
    assert!(profiles.windows(2).all(|pair| pair[0].budget().wall < pair[1].budget().wall));
    assert!(Severity::Critical > Severity::Low);
}

#[test]
fn parameters_outside_of_the_schema_are_refused() -> Outcome {
    let catalog = Catalog::embedded()?;
    let module = &catalog.module("linux-sshd-hardening", None).ok_or("no module")?.module;
    let given = |name: &str, value: serde_json::Value| [(name.to_owned(), value)].into();
    let resolved = module.resolve_parameters(&given("max_auth_tries", 3.into()))?;
    assert_eq!((&resolved["max_auth_tries"], &resolved["max_sessions"]), (&3.into(), &10.into()));
    for (name, value) in [("max_auth_tries", 0.into()), ("max_auth_tries", "4".into()), ("unknown", 1.into())] {
        assert!(module.resolve_parameters(&given(name, value)).is_err(), "{name}");
    }
    Ok(())
}
