//! The parsers that read files of a host, each under the name of its fuzz target (`tables/fuzz`). Not a part of the interface:
//! it exists for fuzzing and for the tests that read the kept inputs again.

use std::path::Path;
use std::rc::Rc;

use crate::windows::hive::{Hive, Key, MAX_DEPTH};
use crate::windows::storage::MemoryStorage;
use crate::windows::{bcd, data, shimcache, task};
use crate::{accounts, logins, osquery, own, pam, sudo, units};

/// A target: its name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    ("accounts", accounts::fuzz),
    ("apk", own::apk_packages::fuzz),
    ("apt_sources", osquery::apt_sources::fuzz),
    ("arf", read_arf),
    ("audit_rules", own::audit_rules::fuzz),
    ("authorized_keys", osquery::authorized_keys::fuzz),
    ("bcd", read_bcd),
    ("certificates", osquery::certificates::fuzz),
    ("cron", osquery::crontab::fuzz),
    ("dpkg", osquery::deb_packages::fuzz),
    ("hive", read_hive),
    ("nftables", own::nftables_configured::fuzz),
    ("pam", pam::fuzz),
    ("rpm", read_rpm),
    ("shadow", read_shadow),
    ("shimcache", read_shimcache),
    ("sshd_config", own::sshd_effective_config::fuzz),
    ("sudoers", sudo::fuzz),
    ("task_xml", read_task),
    ("units", units::fuzz),
    ("utmp", logins::fuzz),
    ("xccdf", read_xccdf),
];

/// Gives an input to a target. A name that is none does nothing, which the tests of the corpus notice.
pub fn run(name: &str, input: &[u8]) {
    if let Some((_, target)) = TARGETS.iter().find(|(known, _)| *known == name) {
        target(input);
    }
}

fn open(input: &[u8]) -> Option<Hive> {
    Hive::open(Box::new(MemoryStorage(input.to_vec()))).ok()
}

fn read_hive(input: &[u8]) {
    if let Some(hive) = open(input) {
        walk(&hive);
    }
}

fn read_bcd(input: &[u8]) {
    if let Some(hive) = open(input) {
        bcd::elements(Path::new("/Boot/BCD"), Rc::new(hive));
    }
}

fn read_rpm(input: &[u8]) {
    osquery::rpm_packages::fuzz(input);
    osquery::rpm_package_files::fuzz(input);
}

fn read_shadow(input: &[u8]) {
    osquery::shadow::fuzz(input);
    own::weak_passwords::fuzz(input);
}

fn read_task(input: &[u8]) {
    task::parse(&task::decode(input));
}

fn read_arf(input: &[u8]) {
    let _ = catalog::scap::arf::read(input);
}

fn read_xccdf(input: &[u8]) {
    for benchmark in catalog::scap::benchmark::read(input).unwrap_or_default() {
        for profile in &benchmark.profiles {
            benchmark.selected(profile);
        }
    }
}

fn read_shimcache(input: &[u8]) {
    shimcache::parse(input);
}

/// Reads everything in a hive, looks each key up by its name again, and counts the keys.
pub(crate) fn walk(hive: &Hive) -> usize {
    let mut waiting: Vec<(Key, usize)> = hive.root().map(|root| (root, 0)).into_iter().collect();
    let mut count = 0;
    while let Some((key, depth)) = waiting.pop() {
        count += 1;
        for value in hive.values(&key) {
            // A few bytes of large data may be there where the whole is not.
            hive.data(&value, 16);
            let bytes = hive.data(&value, 1 << 16).unwrap_or_default();
            data::shown(value.kind, &bytes);
            data::texts(&bytes);
        }
        if depth < MAX_DEPTH {
            waiting.extend(hive.subkeys(&key).map(|child| (child, depth + 1)));
        }
        hive.subkey(&key, &key.name);
        hive.value(&key, &key.name);
    }
    count
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::windows::hive_tests::{sample, small_sample};
    use crate::windows::hive_writer::key;

    const MAX_INPUT_BYTES: u64 = 20 << 10;
    const MAX_INPUTS: usize = 40;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
    }

    #[test]
    fn the_corpus_is_read_and_small() {
        for (name, target) in TARGETS {
            let inputs: Vec<_> =
                std::fs::read_dir(folder().join("corpus").join(name)).unwrap().map(Result::unwrap).collect();
            assert!((1..=MAX_INPUTS).contains(&inputs.len()), "{name} has {} inputs", inputs.len());
            for input in inputs {
                assert!(input.metadata().unwrap().len() <= MAX_INPUT_BYTES, "{}", input.path().display());
                target(&std::fs::read(input.path()).unwrap());
            }
        }
    }

    /// A store of the boot loader with an element of each format.
    fn boot_sample() -> Vec<u8> {
        let gpt = [&[0; 16][..], &6_u32.to_le_bytes(), &[0; 12], &[7; 56]].concat();
        let elements = key("Elements")
            .with(key("11000001").value("Element", 3, gpt))
            .with(key("12000002").text("Element", r"\Windows\x.efi"))
            .with(key("14000006").texts("Element", &["{a}", "{b}"]))
            .with(key("1700000a").value("Element", 3, [1_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat()))
            .with(key("23000003").text("Element", "{a}"))
            .with(key("25000004").value("Element", 3, 30_u64.to_le_bytes()))
            .with(key("26000020").value("Element", 3, vec![1]));
        let manager = key("{9dea862c-5cdd-4e70-acc1-f32b344d4795}")
            .with(key("Description").number("Type", 0x1010_0002))
            .with(elements);
        key("ROOT").with(key("Objects").with(manager)).hive()
    }

    #[test]
    fn the_hives_of_the_corpus_are_those_that_tests_write() {
        for (name, made) in [("hive", small_sample()), ("bcd", boot_sample())] {
            let path = folder().join("corpus").join(name).join("made");
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &made).unwrap();
            }
            assert!(std::fs::read(&path).unwrap_or_default() == made, "{name}: run the test with UPDATE_GOLDEN=1");
        }
        let rows = bcd::elements(Path::new("/BCD"), Rc::new(open(&boot_sample()).unwrap()));
        assert_eq!(rows.len(), 7);
    }

    #[test]
    fn every_target_has_a_program_and_they_are_in_order() {
        assert!(TARGETS.is_sorted_by_key(|(name, _)| *name));
        for (name, _) in TARGETS {
            let program = std::fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
            assert!(program.contains(&format!("run(\"{name}\", input)")), "{name}");
        }
    }

    #[test]
    fn the_hive_that_tests_write_has_all_its_keys() {
        assert_eq!(walk(&open(&sample()).unwrap()), 1 + 3 + 2 + 2 + 250);
    }
}
