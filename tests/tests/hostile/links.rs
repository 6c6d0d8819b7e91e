//! Links that lead round in circles or out of the root, names that are no text, and trees deeper than any path may be long.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use catalog::envelope::Verdict;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, mkdirat, openat, unlinkat};
use tests::harness::envelopes;

use super::checks;
use super::host::Host;
use super::program::{Ending, agent};

const SECONDS: u64 = 240;
/// What must never be told: it lies outside of the root.
const SECRET: &str = "QmFkZ2Vy-outside";
const DEEP: usize = 5_000;

#[test]
fn links_in_circles_and_chains_without_end_are_followed_nowhere() {
    let host = Host::new();
    host.link("/etc/a", "b");
    host.link("/etc/b", "a");
    host.link("/etc/up", "..");
    host.link("/etc/here", ".");
    host.link("/etc/login.defs", "login.defs");
    for step in 0..10_000 {
        host.link(&format!("/opt/chain/{step}"), format!("{}", step + 1));
    }
    host.write("/opt/chain/10000", "PermitRootLogin no\n");
    host.link("/etc/ssh/sshd_config", "/opt/chain/0");
    let ran = host.scan(SECONDS).bounded("circles and a chain of 10,000 links");
    let runs = envelopes(&ran.stdout).unwrap();
    let passing = checks(&runs, Verdict::Pass);
    let wrong = |check: &&String| check.starts_with("linux-sshd") || check.contains("login-defs");
    assert_eq!(passing.iter().filter(wrong).collect::<Vec<_>>(), Vec::<&String>::new());
    let told = runs.iter().flat_map(|run| &run.log).filter(|line| line.message.contains("symbolic links"));
    assert!(told.count() > 2, "a chain without end is not told");

    let found = host.query("SELECT count(*) AS n FROM file WHERE path LIKE '/etc/%%'", 30).succeeded();
    let count = found.json()[0]["n"].as_i64().unwrap();
    assert!(count < 100, "{count} paths: a link to a folder was entered");
}

#[test]
fn a_link_out_of_the_root_shows_nothing_of_the_other_side() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, format!("{SECRET}\nroot:{SECRET}:0:0:{SECRET}:/root:/bin/sh\nPRETTY_NAME={SECRET}\n")).unwrap();
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o4777)).unwrap();
    let host = Host::new();
    let climbing = format!("{}{}", "../".repeat(40), secret.strip_prefix("/").unwrap().display());
    for (number, path) in
        ["passwd", "group", "shadow", "sudoers", "login.defs", "hosts", "hostname", "crontab"].iter().enumerate()
    {
        let target = if number % 2 == 0 { secret.display().to_string() } else { climbing.clone() };
        host.link(&format!("/etc/{path}"), target);
    }
    host.link("/etc/ssh/sshd_config", &climbing);
    host.link("/etc/os-release", &secret);
    host.link("/home/bob/.ssh", outside.path());
    host.link("/etc/out", outside.path());
    let root = host.root();
    for form in ["json", "table"] {
        let ran = agent(&["scan", "--root", root, "-o", form, "--top", "1000"], SECONDS);
        assert!(!ran.text().contains(SECRET) && !ran.stderr.contains(SECRET), "the scan told what is outside");
    }
    for sql in [
        "SELECT * FROM file_lines WHERE path = '/etc/hosts' AND pattern = '.*'",
        "SELECT * FROM file_lines WHERE path = '/etc/out/secret' AND pattern = '.*'",
        "SELECT * FROM file_lines WHERE path LIKE '/etc/%%' AND pattern = '.*'",
        "SELECT * FROM hash WHERE path IN ('/etc/shadow', '/etc/out/secret', '/../../etc/hostname')",
        "SELECT * FROM file WHERE path LIKE '/etc/out/%'",
        "SELECT * FROM users",
        "SELECT * FROM shell_history",
        "SELECT * FROM unusual_files",
    ] {
        let told = host.query(sql, 30).text();
        assert!(
            !told.contains(SECRET) && !told.contains("\"secret\"") && !told.contains("/out/secret"),
            "{sql}: {told}"
        );
    }
    let baseline = outside.path().join("baseline");
    let ran = agent(&["integrity", "init", baseline.to_str().unwrap(), "/etc", "--root", root], SECONDS).succeeded();
    let entries: u64 = ran.text().split(" written: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(entries < 60, "{}", ran.text());
}

#[test]
fn a_file_that_becomes_a_link_while_it_is_read_shows_nothing_of_the_other_side() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::write(&secret, SECRET).unwrap();
    let host = Host::new();
    let (place, other) = (host.path("/etc/odd"), host.path("/etc/.odd"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::write(&other, "inside\n").unwrap();
                fs::rename(&other, &place).unwrap();
                std::os::unix::fs::symlink(&secret, &other).unwrap();
                fs::rename(&other, &place).unwrap();
                fs::remove_file(&place).unwrap();
            }
        });
        let _ending = Ending(&is_over);
        for _ in 0..20 {
            let repeated = "SELECT * FROM file_lines WHERE path = '/etc/odd' AND pattern = '.*';".repeat(50);
            let ran = host.query(&repeated, 10);
            assert!(!ran.text().contains(SECRET) && !ran.stderr.contains(SECRET), "{}", ran.text());
        }
    });
}

#[test]
fn a_file_that_grows_while_it_is_read_comes_to_an_end() {
    let host = Host::new();
    let path = host.path("/var/log/growing");
    let mut growing = fs::File::create(&path).unwrap();
    growing.write_all(&vec![b'x'; 1 << 20]).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            let line = [b"grows\n".repeat(10_000)].concat();
            // The disk is not to be filled, whatever becomes of the test.
            for _ in 0..20_000 {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                growing.write_all(&line).unwrap();
                std::thread::yield_now();
            }
        });
        let _ending = Ending(&is_over);
        let lines = "SELECT count(*) AS n FROM file_lines WHERE path = '/var/log/growing' AND pattern = 'grows'";
        let ran = host.query(lines, 5).bounded("lines of a file that grows");
        assert!(ran.status.success() || ran.stderr.contains("stopped"), "{}", ran.stderr);
        let ran = host
            .query("SELECT sha256 FROM hash WHERE path = '/var/log/growing'", 5)
            .bounded("a digest of a file that grows");
        assert!(ran.status.success() || ran.stderr.contains("stopped"), "{}", ran.stderr);
    });
}

#[test]
fn names_that_are_no_text_are_told_without_harm() {
    let host = Host::new();
    let names: [&[u8]; 10] = [
        b"\xff\xfe\x80",
        b"new\nline",
        b"tab\tand\rreturn",
        b"'; DROP TABLE users; --",
        b"\"quoted\"",
        b"\x1b[2J\x1b]0;title\x07",
        b"=cmd|' calc'!A0",
        b"-rf",
        &[b'n'; 255],
        &[0xf0; 255],
    ];
    for folder in
        ["etc/cron.d", "etc/pam.d", "etc/sudoers.d", "etc/sysctl.d", "etc/odd", "home/bob/.ssh", "usr/local/bin"]
    {
        fs::create_dir_all(host.path(folder)).unwrap();
        for name in names {
            let path = host.path(folder).join(OsStr::from_bytes(name));
            fs::write(&path, "x\u{1b}[31m\n* * * * * root x\nbob ALL=(ALL) ALL\n").unwrap();
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o4777)).unwrap();
        }
    }
    let ran = host.scan(SECONDS).bounded("names that are no text");
    envelopes(&ran.stdout).unwrap();
    let root = host.root();
    let report = agent(&["scan", "--root", root, "--top", "1000"], SECONDS);
    let table = agent(&["query", "SELECT path FROM unusual_files", "--root", root], 60).succeeded();
    for said in [&report, &table] {
        let text = said.text();
        // The agent's own colours are not asked for: nothing may come from the host.
        assert!(!text.contains("\u{1b}[2J") && !text.contains('\u{7}'), "a name steers the terminal");
    }
    let found = host.query("SELECT path FROM unusual_files WHERE path LIKE '/etc/odd/%'", 30).succeeded();
    assert_eq!(found.json().as_array().unwrap().len(), names.len());
    let csv =
        agent(&["query", "SELECT filename FROM file WHERE directory = '/etc/odd'", "--root", root, "-o", "csv"], 60)
            .succeeded();
    assert!(csv.text().contains("'=cmd|' calc'!A0"), "{}", csv.text());
}

/// A chain of folders, deeper than `PATH_MAX` reaches, opened one from the other. It is taken down the same way.
struct Deep {
    top: OwnedFd,
    name: CString,
}

impl Deep {
    fn dig(host: &Host, below: &str, name: &str, levels: usize) -> Self {
        fs::create_dir_all(host.path(below)).unwrap();
        let open = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let top = openat(CWD, host.path(below), open, Mode::empty()).unwrap();
        let name = CString::new(name).unwrap();
        let mut here = openat(&top, c".", open, Mode::empty()).unwrap();
        for _ in 0..levels {
            mkdirat(&here, &name, Mode::from_raw_mode(0o777)).unwrap();
            here = openat(&here, &name, open, Mode::empty()).unwrap();
            // The mask of the process may forbid what is looked for.
            rustix::fs::fchmod(&here, Mode::from_raw_mode(0o777)).unwrap();
        }
        Deep { top, name }
    }
}

impl Drop for Deep {
    /// Each folder is lifted to the top and removed there: no path is needed.
    fn drop(&mut self) {
        let spare = c"lifted";
        loop {
            let inner = format!("{0}/{0}", self.name.to_str().unwrap());
            let has_inner = rustix::fs::renameat(&self.top, inner.as_str(), &self.top, spare).is_ok();
            unlinkat(&self.top, &self.name, AtFlags::REMOVEDIR).unwrap();
            if !has_inner {
                return;
            }
            rustix::fs::renameat(&self.top, spare, &self.top, &self.name).unwrap();
        }
    }
}

#[test]
fn a_tree_deeper_than_any_path_is_walked_or_said_to_be_skipped() {
    let host = Host::in_memory();
    let _short = Deep::dig(&host, "/srv/short", "d", DEEP);
    let long = "l".repeat(250);
    let _long = Deep::dig(&host, "/srv/long", &long, 600);
    let ran =
        host.query("SELECT count(*) AS n FROM unusual_files", 60).succeeded().bounded("a tree 5,000 folders deep");
    let count = ran.json()[0]["n"].as_u64().unwrap();
    assert!(count > 200 && ran.stderr.contains("warning"), "{count} {}", ran.stderr);
    for sql in [
        "SELECT count(*) AS n FROM file WHERE path LIKE '/srv/%%'",
        "SELECT count(*) AS n FROM file_lines WHERE path LIKE '/srv/%%' AND pattern = 'x'",
        "SELECT count(*) AS n FROM hash WHERE directory LIKE '/srv/%%'",
    ] {
        let ran = host.query(sql, 60).succeeded().bounded(sql);
        assert!(ran.stderr.contains("warning: "), "{sql} does not say what it skipped: {}", ran.stderr);
    }
    let ran = host.scan_with("linux-filesystem-walk,linux-file-permissions", SECONDS);
    envelopes(&ran.bounded("modules of the file system on it").stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let baseline = folder.path().join("baseline");
    let arguments = ["integrity", "init", baseline.to_str().unwrap(), "/srv", "--root", host.root()];
    let ran = agent(&arguments, SECONDS).succeeded().bounded("its baseline");
    assert!(ran.text().contains("Not known"), "{}", ran.text());
    let check = ["integrity", "check", baseline.to_str().unwrap(), "--root", host.root()];
    let ran = agent(&check, SECONDS).bounded("compared with its baseline");
    assert_eq!(ran.status.code(), Some(3), "what was not compared does not pass: {}", ran.stderr);
}
