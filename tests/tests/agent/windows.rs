//! A Windows disk: its modules run on it, those for Linux do not, and a hive that was not closed decides nothing that it might hide.

use std::fs;
use std::path::Path;

use catalog::envelope::Verdict;

use super::program::{agent, said};
use tests::harness::envelopes;

#[path = "../../../tables/tests/support/hive_writer.rs"]
mod hive_writer;

use hive_writer::key;

const SYSTEM: &str = "Windows/System32/config/SYSTEM";

fn disk(folder: &Path) {
    let lsa = key("").number("NoLMHash", 1).number("LmCompatibilityLevel", 2);
    let system = key("ROOT")
        .at("Select", key("").number("Current", 1))
        .at(r"ControlSet001\Control\Lsa", lsa)
        .at(r"ControlSet001\Services\Spooler", key("").number("Type", 0x10).number("Start", 2));
    let software =
        key("ROOT").at(r"Microsoft\Windows NT\CurrentVersion", key("").text("ProductName", "Windows Server 2022"));
    for (path, hive) in [(SYSTEM, system), ("Windows/System32/config/SOFTWARE", software)] {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, hive.hive()).unwrap();
    }
}

fn verdict(root: &Path, check: &str) -> Verdict {
    let output = agent(&["scan", "-o", "json", "--root", root.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let runs = envelopes(&output.stdout).unwrap();
    assert!(!runs.is_empty() && runs.iter().all(|run| run.module.starts_with("windows-")));
    let mut checks = runs.iter().flat_map(|run| &run.checks);
    checks.find(|found| found.id == check).unwrap().verdict
}

#[test]
fn a_windows_disk_is_scanned_with_the_modules_for_windows() {
    let folder = tempfile::tempdir().unwrap();
    disk(folder.path());
    assert_eq!(verdict(folder.path(), "lm-hash-not-kept"), Verdict::Pass);
    assert_eq!(verdict(folder.path(), "ntlm-version-2"), Verdict::Fail);
    assert_eq!(verdict(folder.path(), "boot-test-signing-off"), Verdict::NotApplicable);
    let output = agent(&["scan", "--root", folder.path().to_str().unwrap(), "--modules", "linux-accounts"]);
    assert!(!output.status.success(), "a module for Linux ran");

    let mut bytes = fs::read(folder.path().join(SYSTEM)).unwrap();
    bytes[4] = bytes[4].wrapping_add(1);
    fs::write(folder.path().join(SYSTEM), bytes).unwrap();
    assert_eq!(verdict(folder.path(), "lm-hash-not-kept"), Verdict::Error, "its newest changes were not read");
    assert_eq!(verdict(folder.path(), "ntlm-version-2"), Verdict::Fail);
}
