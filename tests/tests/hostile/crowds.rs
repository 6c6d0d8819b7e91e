//! Folders with more names than anyone has use for, and more files than a scan has time for. Names are hard links to one file:
//! a name is what a scan pays for, and the test pays for no content.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use catalog::envelope::Verdict;
use tests::harness::envelopes;

use super::checks;
use super::host::Host;
use super::program::agent;

const SECONDS: u64 = 240;

/// The sizes of the figures in the documentation, which take minutes and gigabytes.
pub fn is_full() -> bool {
    std::env::var_os("TENA_HOSTILE_FULL").is_some()
}

/// Names of one folder: a million, of which every run takes a fifth.
fn many() -> usize {
    if is_full() { 1_000_000 } else { 200_000 }
}

/// Fills a folder with names of one file that everyone may write.
fn fill(folder: &Path, names: usize, ending: &str) {
    fs::create_dir_all(folder).unwrap();
    let first = folder.join(format!("0{ending}"));
    fs::write(&first, "x\n").unwrap();
    fs::set_permissions(&first, fs::Permissions::from_mode(0o666)).unwrap();
    for number in 1..names {
        fs::hard_link(&first, folder.join(format!("{number}{ending}"))).unwrap();
    }
}

#[test]
fn a_folder_with_a_million_names_takes_bounded_memory_and_the_rest_of_it_is_told() {
    let host = Host::in_memory();
    let names = many() + 1;
    fill(&host.path("/var/lib/dpkg/info"), names, "");
    let mut queries = vec!["SELECT count(*) AS n FROM deb_package_files", "SELECT count(*) AS n FROM unusual_files"];
    if is_full() {
        queries.extend([
            "SELECT count(*) AS n FROM file WHERE directory = '/var/lib/dpkg/info'",
            "SELECT count(*) AS n FROM file WHERE path LIKE '/var/%%'",
            "SELECT count(*) AS n FROM file WHERE path LIKE '/var/lib/dpkg/info/%'",
            "SELECT count(*) AS n FROM file_lines WHERE path LIKE '/var/lib/dpkg/info/%' AND pattern = 'nothing'",
        ]);
    }
    for sql in queries {
        let ran = host.query(sql, 120).bounded(&format!("{names} names in a folder: {sql}"));
        let told = ran.stderr.contains("not looked at") || ran.stderr.contains("not complete");
        assert!(told, "{sql}: {}", ran.stderr);
        assert!(ran.status.success() || ran.stderr.contains("stopped"), "{sql}: {}", ran.stderr);
    }
    let ran = host.scan_with("linux-filesystem-walk,linux-file-permissions", SECONDS);
    let runs = envelopes(&ran.bounded("the walk of a scan over it").stdout).unwrap();
    let passing = checks(&runs, Verdict::Pass);
    assert!(!passing.iter().any(|check| check.contains("world-writable")), "{passing:?}");
}

#[test]
fn a_baseline_of_a_folder_with_more_names_than_are_held_is_whole() {
    let host = Host::in_memory();
    // It holds 50,000 at once.
    let names = if is_full() { 1_000_000 } else { 60_000 };
    fill(&host.path("/var/lib/dpkg/info"), names, "");
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline");
    let (baseline, root) = (baseline.to_str().unwrap(), host.root());
    let made = agent(&["integrity", "init", baseline, "/var", "--root", root, "--digest", "blake3"], SECONDS);
    let made = made.succeeded().bounded(&format!("{names} names in a folder: its baseline"));
    assert!(made.text().contains(&format!("{} entries", names + 7)), "{}", made.text());
    agent(&["integrity", "check", baseline, "--root", root], SECONDS).succeeded().bounded("compared with its baseline");
}

#[test]
fn folders_of_configuration_with_a_hundred_thousand_files_do_not_use_up_the_memory() {
    let host = Host::in_memory();
    let files = if is_full() { 100_000 } else { 10_000 };
    for (folder, ending) in [
        ("/etc/sysctl.d", ".conf"),
        ("/etc/cron.d", ""),
        ("/etc/systemd/system", ".service"),
        ("/etc/systemd/system/ssh.service.d", ".conf"),
        ("/etc/ssh/sshd_config.d", ".conf"),
        ("/etc/pam.d", ""),
    ] {
        fill(&host.path(folder), files, ending);
    }
    host.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n");
    for number in 0..files / 10 {
        host.write(&format!("/etc/sysctl.d/own-{number}.conf"), format!("net.x{number}.y = {number}\n"));
    }
    for (table, is_whole) in [
        ("sysctl_configured", true),
        ("crontab", true),
        ("systemd_units", true),
        ("systemd_timers", true),
        ("sshd_effective_config", false),
        ("pam_rules", true),
        ("pam_settings", true),
    ] {
        let ran = host.query(&format!("SELECT count(*) AS n FROM {table}"), 120);
        let ran = ran.succeeded().bounded(&format!("{files} files each: {table}"));
        assert_eq!(ran.stderr.is_empty(), is_whole, "{table}: {}", ran.stderr);
    }
}

/// A file system of its own, in memory, without a limit of names; taken down at the end.
struct Mounted(PathBuf);

impl Mounted {
    fn at(path: PathBuf) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let options = ["-t", "tmpfs", "-o", "nr_inodes=0,size=4g", "none"];
        let mounted = Command::new("mount").args(options).arg(&path).status().is_ok_and(|status| status.success());
        mounted.then_some(Mounted(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        Command::new("umount").arg(&self.0).status().unwrap();
    }
}

#[test]
fn ten_million_files_are_walked_in_bounded_memory_or_the_walk_says_where_it_ended() {
    if !is_full() {
        return;
    }
    let host = Host::new();
    let Some(mounted) = Mounted::at(host.path("/srv")) else {
        println!("this test needs a file system of its own, which may not be mounted here");
        return;
    };
    for folder in 0..100 {
        fill(&mounted.0.join(folder.to_string()), 100_000, "");
    }
    let ran =
        host.query("SELECT count(*) AS n FROM unusual_files", 300).succeeded().bounded("10 million files: one walk");
    assert!(ran.stderr.contains("not complete"), "{}", ran.stderr);
    // Less time than it takes: what was found until then is told, and that it is not all.
    let ran = host.query("SELECT count(*) AS n FROM unusual_files", 5).succeeded().bounded("the same with 5 s for it");
    assert!(ran.stderr.contains("was ended after"), "{}", ran.stderr);
    let ran = host.scan(1_200).bounded("10 million files: a scan with all modules");
    let passing = checks(&envelopes(&ran.stdout).unwrap(), Verdict::Pass);
    assert!(!passing.iter().any(|check| check.contains("world-writable")), "{passing:?}");
}

#[test]
fn folders_in_folders_are_walked_in_bounded_memory() {
    let host = Host::in_memory();
    // Folders in folders: what waits to be looked into must not fill the memory either.
    let (outer, inner) = if is_full() { (1_000, 1_000) } else { (200, 200) };
    for first in 0..outer {
        for second in 0..inner {
            fs::create_dir_all(host.path(&format!("/srv/{first}/{second}"))).unwrap();
        }
    }
    let ran = host.query("SELECT count(*) AS n FROM unusual_files", 120).succeeded();
    let ran = ran.bounded(&format!("{} folders: one walk", outer * inner));
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
    let ran = host.query("SELECT count(*) AS n FROM file WHERE path LIKE '/srv/%%'", 120).succeeded();
    let ran = ran.bounded(&format!("{} folders: a pattern over all", outer * inner));
    assert_eq!(ran.json()[0]["n"].as_u64().unwrap(), outer * inner + outer, "{}", ran.stderr);
}
