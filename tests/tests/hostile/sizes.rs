//! Files of configuration with more lines than a host ever had, and files that include themselves and each other.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};

use catalog::envelope::Verdict;
use tests::harness::envelopes;

use super::checks;
use super::crowds::is_full;
use super::host::Host;

const SECONDS: u64 = 240;

/// Writes a file line by line.
fn write_lines(host: &Host, path: &str, lines: usize, line: impl Fn(usize) -> String) {
    let mut file = BufWriter::new(File::create(host.place(path)).unwrap());
    for number in 0..lines {
        file.write_all(line(number).as_bytes()).unwrap();
    }
    file.flush().unwrap();
}

#[test]
fn an_account_file_of_millions_of_lines_is_read_in_bounded_memory() {
    let host = Host::in_memory();
    let accounts = if is_full() { 10_000_000 } else { 60_000 };
    write_lines(&host, "/etc/passwd", accounts, |n| format!("u{n}:x:{}:0::/home/u{n}:/bin/sh\n", n % 1_000_000));
    write_lines(&host, "/etc/group", accounts / 10, |n| format!("g{n}:x:{n}:u{n},u1\n"));
    for (sql, says_so) in [
        ("SELECT count(*) AS n FROM users WHERE uid = 0", is_full()),
        ("SELECT count(*) AS n FROM user_groups", true),
        ("SELECT count(*) AS n FROM authorized_keys", true),
        ("SELECT count(*) AS n FROM unusual_files WHERE no_user = 1", is_full()),
        ("SELECT username FROM users", is_full()),
    ] {
        let ran = host.query(sql, 60).bounded(&format!("{accounts} accounts: {sql}"));
        let told = !ran.stderr.is_empty();
        assert_eq!(told, says_so, "{sql}: {}", ran.stderr);
        assert!(ran.status.success() || ran.stderr.contains("stopped"), "{sql}: {}", ran.stderr);
    }
    let ran = host.scan_with("linux-accounts,linux-filesystem-walk", SECONDS).bounded("a scan of the accounts");
    let runs = envelopes(&ran.stdout).unwrap();
    let passing = checks(&runs, Verdict::Pass);
    assert!(!passing.iter().any(|check| check.contains("uid-0")), "{passing:?}");
}

#[test]
fn a_database_of_a_million_packages_is_read_in_bounded_memory() {
    let host = Host::in_memory();
    let packages = if is_full() { 1_000_000 } else { 60_000 };
    write_lines(&host, "/var/lib/dpkg/status", packages, |n| {
        format!("Package: p{n}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.{n}-1\nMaintainer: x\n\n")
    });
    let ran = host.query("SELECT count(*) AS n FROM deb_packages", 60).succeeded();
    let ran = ran.bounded(&format!("{packages} packages"));
    assert_eq!(ran.json()[0]["n"].as_u64().unwrap(), packages as u64);
    let join = "SELECT count(*) AS n FROM deb_packages a JOIN deb_packages b ON a.name = b.name";
    let ran = host.query(join, 5).bounded("the same, joined with itself, 5 s for it");
    assert!(ran.status.success() || ran.stderr.contains("stopped"), "{}", ran.stderr);
    let ran =
        host.scan_with("linux-client-packages,linux-inventory-software", SECONDS).bounded("a scan of the packages");
    let runs = envelopes(&ran.stdout).unwrap();
    let facts: usize = runs.iter().map(|run| run.facts.added.len()).sum();
    assert!(facts <= 50_000 * runs.len(), "{facts}");
    assert!(
        runs.iter().any(|run| run
            .log
            .iter()
            .any(|line| line.message.contains("more than") || line.message.contains("stopped"))),
        "nothing is said"
    );
}

#[test]
fn files_that_include_themselves_are_read_once_or_told() {
    let host = Host::new();
    host.write("/etc/sudoers", "@include /etc/sudoers\n@includedir /etc/sudoers.d\nALL ALL=(ALL) NOPASSWD: ALL\n");
    for number in 0..40 {
        host.write(&format!("/etc/sudoers.d/{number}"), "@includedir /etc/sudoers.d\n@include /etc/sudoers\n");
        host.write(
            &format!("/etc/ssh/sshd_config.d/{number}.conf"),
            "Include /etc/ssh/sshd_config.d/*.conf /etc/ssh/sshd_config\n",
        );
        host.write(&format!("/etc/pam.d/{number}"), format!("@include {number}\n@include {}\n", (number + 1) % 40));
    }
    host.write("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*\nPermitRootLogin yes\n");
    for (table, says_so) in [("sudoers", true), ("sshd_effective_config", true), ("pam_rules", false)] {
        let ran = host.query(&format!("SELECT count(*) AS n FROM {table}"), 30).succeeded().bounded(table);
        assert_eq!(!ran.stderr.is_empty(), says_so, "{table}: {}", ran.stderr);
    }
    let ran =
        host.scan_with("linux-sudo,linux-sshd-hardening,linux-password-policy", SECONDS).bounded("circles of includes");
    let passing = checks(&envelopes(&ran.stdout).unwrap(), Verdict::Pass);
    assert!(!passing.iter().any(|check| check.contains("root-login") || check.contains("nopasswd")), "{passing:?}");
}

#[test]
fn files_of_a_million_lines_or_of_one_endless_line_are_read_in_bounded_memory() {
    let host = Host::in_memory();
    let lines = if is_full() { 1_000_000 } else { 60_000 };
    write_lines(&host, "/etc/crontab", lines, |n| format!("{} * * * * root job {n}\n", n % 60));
    write_lines(&host, "/etc/hosts", lines, |n| format!("10.0.0.1 h{n}\n"));
    write_lines(&host, "/etc/shadow", lines, |n| format!("u{n}::1:0:9:7:::\n"));
    for (table, count) in [("crontab", lines), ("etc_hosts", lines), ("shadow", lines)] {
        let ran = host.query(&format!("SELECT count(*) AS n FROM {table}"), 60).succeeded();
        let ran = ran.bounded(&format!("{lines} lines: {table}"));
        assert_eq!(ran.json()[0]["n"].as_u64().unwrap(), count as u64, "{}", ran.stderr);
    }
    // A file that is read whole has a limit, and says so.
    write_lines(&host, "/etc/login.defs", lines, |n| format!("K{n} {n}\n"));
    write_lines(&host, "/etc/sudoers", lines, |n| format!("u{n} ALL=(ALL) ALL\n"));
    write_lines(&host, "/etc/sysctl.conf", lines, |n| format!("a.b{n} = 1\n"));
    let mut words = String::from("nameserver");
    (0..lines * 5).for_each(|_| words.push_str(" a"));
    host.write("/etc/resolv.conf", &words);
    let section = format!("[{}]\n", "s".repeat(1 << 20));
    let mut unit = section.repeat(2);
    (0..40_000).for_each(|n| writeln!(unit, "K{n}=v").unwrap());
    host.write("/etc/systemd/system/odd.service", &unit);
    let mut ssh = format!("Host {}\n", "h".repeat(1 << 20));
    (0..40_000).for_each(|n| writeln!(ssh, "Option{n} v").unwrap());
    host.write("/etc/ssh/ssh_config", &ssh);
    host.write("/var/lib/snapd/state.json", format!("[{}0]", "0,".repeat(4_000_000)));
    for (table, says_so) in [
        ("login_defs", true),
        ("sudoers", true),
        ("sysctl_configured", true),
        ("dns_resolvers", true),
        ("systemd_units", false),
        ("ssh_configs", false),
        ("snap_packages", true),
    ] {
        let ran = host.query(&format!("SELECT count(*) AS n FROM {table}"), 60).bounded(&format!("large: {table}"));
        assert_eq!(!ran.stderr.is_empty(), says_so, "{table}: {}", ran.stderr);
        assert!(ran.status.success() || ran.stderr.contains("stopped"), "{table}: {}", ran.stderr);
    }
    // One line that never ends.
    for path in ["/etc/passwd", "/etc/hosts", "/etc/crontab", "/etc/shadow", "/var/lib/dpkg/status"] {
        host.write(path, vec![b'x'; 20 << 20]);
    }
    for table in ["users", "etc_hosts", "crontab", "shadow", "deb_packages"] {
        let ran = host.query(&format!("SELECT count(*) AS n FROM {table}"), 60).succeeded();
        let ran = ran.bounded(&format!("a line of 20 MiB: {table}"));
        assert!(ran.stderr.contains("line of more than 1 MiB"), "{table}: {}", ran.stderr);
    }
}
