//! In the place of each file that a table reads lies something else: a FIFO that nobody writes to, a socket, a device without
//! an end, a file of 10 GB. Nothing waits, nothing is read without end, and no check passes that failed on the file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use catalog::envelope::{RunStatus, Verdict};
use tests::harness::envelopes;

use super::checks;
use super::crowds::is_full;
use super::host::{Host, Node};

/// A debug build on a busy machine; the goal is a tenth.
const SECONDS: u64 = 240;
const TEN_GB: u64 = 10 << 30;

/// Every path below a root that the sources of the tables and the modules name.
fn named_paths() -> BTreeSet<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut paths = BTreeSet::new();
    for folder in ["tables/src/osquery", "tables/src/own", "tables/src", "catalog/modules"] {
        collect(&workspace.join(folder), &mut paths);
    }
    let all = paths.clone();
    // A folder on the way to another path, or one whose entries are read, stays a folder.
    let is_folder = |path: &String| {
        let below = format!("{path}/");
        Path::new(path).extension().is_some_and(|ending| ending == "d")
            || all.iter().any(|other| other.starts_with(&below))
            || Path::new(path).is_dir()
    };
    let (folders, mut files): (BTreeSet<String>, BTreeSet<String>) = paths.into_iter().partition(is_folder);
    for folder in folders {
        files.extend(
            ["", ".conf", ".rules", ".list", ".sources", ".cfg"].map(|ending| format!("{folder}/00-odd{ending}")),
        );
    }
    files.extend(
        ["/var/lib/dpkg/info/x.list", "/var/lib/dpkg/info/x.md5sums", "/etc/ssl/certs/x.pem"].map(str::to_owned),
    );
    files.extend(
        ["/home/bob/.ssh/authorized_keys", "/home/bob/.ssh/id_rsa", "/home/bob/.bash_history"].map(str::to_owned),
    );
    files
}

fn collect(folder: &Path, paths: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let quoted = text.split(['"', '\'']).filter(|part| is_plain(part));
            paths.extend(quoted.map(|path| path.trim_end_matches('/').to_owned()));
        }
    }
}

/// `/etc/ssh/sshd_config`, and no pattern, no sentence and nothing of the kernel.
fn is_plain(path: &str) -> bool {
    let roots = ["/etc/", "/var/lib/", "/var/log/", "/boot/", "/run/", "/usr/lib/", "/usr/share/"];
    roots.iter().any(|root| path.starts_with(root))
        && path.len() < 100
        && !path.contains("..")
        && !path.contains("//")
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte))
}

/// The checks that fail on the small Debian as it is.
fn failing() -> BTreeSet<String> {
    let ran = Host::new().scan(SECONDS).succeeded().bounded("a small root as it is");
    let failing: BTreeSet<String> = checks(&envelopes(&ran.stdout).unwrap(), Verdict::Fail).into_iter().collect();
    assert!(failing.len() > 40, "only {} checks fail: the root proves nothing", failing.len());
    failing
}

/// Puts something in the place of every file, scans, and compares.
fn scan_with_each(failing: &BTreeSet<String>, what: &str, put: impl Fn(&Host, usize, &str)) {
    let host = Host::new();
    let paths = named_paths();
    assert!(paths.len() > 150, "{}", paths.len());
    for (number, path) in paths.iter().enumerate() {
        // Some are folders on the way to others by now.
        if !host.path(path).is_dir() {
            put(&host, number, path);
        }
    }
    let ran = host.scan(SECONDS).bounded(what);
    let runs = envelopes(&ran.stdout).unwrap();
    assert!(
        runs.iter().all(|run| run.status != RunStatus::Timeout && run.status != RunStatus::Failed),
        "{}",
        ran.stderr
    );
    let errors = checks(&runs, Verdict::Error);
    assert!(errors.len() > 40, "{what}: only {} checks say that they could not be decided", errors.len());
    let passing: BTreeSet<String> = checks(&runs, Verdict::Pass).into_iter().collect();
    let wrong: Vec<&String> = failing.intersection(&passing).collect();
    assert!(wrong.is_empty(), "{what}: pass without the file that they failed on: {wrong:?}");
}

#[test]
fn what_lies_in_the_place_of_a_file_is_neither_waited_for_nor_read_without_end() {
    let failing = failing();
    // Only root makes devices.
    let last = if rustix::process::geteuid().is_root() { Node::Device } else { Node::Fifo };
    let nodes = [Node::Fifo, Node::Socket, last];
    if is_full() {
        for node in nodes {
            scan_with_each(&failing, &format!("{node:?} for every file"), |host, _, path| host.node(path, node));
        }
    } else {
        scan_with_each(&failing, "FIFO, socket or /dev/zero for every file", |host, number, path| {
            host.node(path, nodes[number % nodes.len()]);
        });
    }
    scan_with_each(&failing, "10 GB for every file", |host, _, path| host.sparse(path, TEN_GB));
}

#[test]
fn a_report_for_people_does_not_wait_for_the_name_of_the_system() {
    let host = Host::new();
    host.node("/etc/os-release", Node::Fifo);
    host.node("/etc/hostname", Node::Fifo);
    let root = host.root();
    let ran = super::program::agent(&["scan", "--root", root, "--modules", "linux-accounts"], SECONDS).succeeded();
    assert!(ran.text().contains("linux-accounts"), "{}", ran.text());
}
