//! Processes: a hundred thousand at once, some that are no processes at all, and thousands that end while they are looked at.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::crowds::is_full;
use super::host::{Host, Node};
use super::program::{Ending, agent};

const STAT: &str =
    "4242 (a) b (c)) S 1 7 7 0 -1 4194560 1 2 3 4 10 20 0 0 20 5 3 0 12345 1000 5 18446744073709551615 1\n";
const STATUS: &str = "Name:\ta\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nVmRSS:\t  10 kB\n";
const MAPS: &str = "00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/a\n";

/// What procfs shows, below a root: files of all processes are links to the same.
fn populate(host: &Host, processes: usize) {
    for (name, content) in
        [("stat", STAT), ("status", STATUS), ("maps", MAPS), ("cmdline", "a\0-b\0"), ("environ", "A=b\0C=d\0")]
    {
        host.write(&format!("/proc/1/{name}"), content);
    }
    fs::create_dir_all(host.path("/proc/1/fd")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/a", host.path("/proc/1/fd/3")).unwrap();
    let first = host.path("/proc/1");
    for pid in 2..=processes {
        let folder = host.path("/proc").join(pid.to_string());
        fs::create_dir(&folder).unwrap();
        for name in ["stat", "status", "maps", "cmdline", "environ"] {
            fs::hard_link(first.join(name), folder.join(name)).unwrap();
        }
    }
}

fn ask_node(host: &Host, sql: &str, seconds: u64) -> super::program::Ran {
    let timeout = seconds.to_string();
    let arguments = ["query", sql, "--host-root", host.root(), "-o", "json", "--timeout", &timeout];
    agent(&arguments, seconds * 2 + 10).bounded(sql)
}

#[test]
fn a_hundred_thousand_processes_are_all_seen_in_bounded_memory() {
    let host = Host::in_memory();
    let processes = if is_full() { 100_000 } else { 10_000 };
    populate(&host, processes);
    for sql in [
        "SELECT count(*) AS n FROM processes",
        "SELECT count(DISTINCT pid) AS n FROM process_envs",
        "SELECT count(*) AS n FROM process_memory_map",
        "SELECT count(*) AS n FROM (SELECT p.pid FROM processes p WHERE p.name = 'a) b (c)')",
    ] {
        let ran = ask_node(&host, sql, 120).succeeded();
        assert_eq!(ran.json()[0]["n"].as_u64().unwrap(), processes as u64, "{sql}: {}", ran.stderr);
    }
    for table in
        ["process_open_files", "process_open_sockets", "listening_ports", "process_namespaces", "process_open_pipes"]
    {
        ask_node(&host, &format!("SELECT count(*) AS n FROM {table}"), 120).succeeded();
    }
}

#[test]
fn what_lies_in_the_place_of_procfs_is_not_waited_for() {
    let host = Host::new();
    populate(&host, 20);
    for pid in 2..8 {
        for name in ["stat", "status", "maps", "cmdline", "environ"] {
            host.node(&format!("/proc/{pid}/{name}"), Node::Fifo);
        }
    }
    for name in ["stat", "status", "maps", "cmdline", "environ"] {
        host.sparse(&format!("/proc/9/{name}"), 10 << 30);
    }
    host.node("/proc/stat", Node::Fifo);
    host.node("/proc/net/tcp", Node::Fifo);
    for table in ["processes", "process_envs", "process_memory_map", "process_open_sockets", "process_open_files"] {
        ask_node(&host, &format!("SELECT count(*) AS n FROM {table}"), 30).succeeded();
    }
}

#[test]
fn processes_that_end_while_they_are_looked_at_are_no_error() {
    let is_over = AtomicBool::new(false);
    let program = ["/bin/true", "/usr/bin/true"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let start = || Command::new(program).stdin(Stdio::null()).spawn().unwrap();
                    let mut running: Vec<_> = (0..20).map(|_| start()).collect();
                    for child in &mut running {
                        child.wait().unwrap();
                    }
                }
            });
        }
        let _ending = Ending(&is_over);
        for table in [
            "processes",
            "process_open_files",
            "process_open_sockets",
            "process_open_pipes",
            "process_envs",
            "process_memory_map",
            "process_namespaces",
            "listening_ports",
        ] {
            let repeated = format!("SELECT count(*) AS n FROM {table};").repeat(5);
            let ran = agent(&["query", &repeated, "-o", "json"], 120).succeeded();
            // What nobody may look into is said; what has gone is not.
            let odd = |line: &&str| !line.contains("looked into") && !line.contains("belongs to other processes");
            let told: Vec<&str> = ran.stderr.lines().filter(odd).collect();
            assert!(told.is_empty(), "{table}: {told:?}");
            assert!(ran.json()[4][0]["n"].is_u64(), "{}", ran.text());
        }
    });
}
