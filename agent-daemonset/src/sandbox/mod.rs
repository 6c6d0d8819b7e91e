//! What the agent's processes may not do, whatever a module, a host or a server makes them try.
//!
//! Three layers, each inherited by what is started below it: landlock (the daemon writes in its state folder only, a
//! worker nowhere), seccomp (a worker opens nothing for writing, changes no file and connects to nothing) and limits (CPU
//! time, memory, priority; a control group where this host gives one, see [`cgroup`]).
//!
//! The decision to question: a worker whose tables show other processes runs without landlock, under seccomp alone. Since
//! Linux 5.13 a landlocked process may not look into any process outside its sandbox, not even read where
//! `/proc/<pid>/exe` points, and no capability lifts that; `listening_ports` would lose its owners. Seccomp forbids it the
//! same writes.

use std::path::Path;

use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use serde::{Deserialize, Serialize};

pub mod cgroup;
mod limits;
mod seccomp;

pub use limits::{Limits, apply as apply_limits, go_first_when_memory_runs_out, lower_priority};

/// Tables that read what `/proc` shows of other processes to a process that may trace them.
const TABLES_OF_PROCESSES: &[&str] = &[
    "docker_containers",
    "listening_ports",
    "process_envs",
    "process_file_events",
    "process_memory_map",
    "process_namespaces",
    "process_open_files",
    "process_open_pipes",
    "process_open_sockets",
    "processes",
];

/// Why a process could not be confined.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has no landlock, or it is switched off.
    #[error(
        "this kernel does not offer landlock (Linux 5.13 or later, with `landlock` in its list of security modules), so the agent cannot forbid itself to write on the host; to run without that protection, start it with --insecure-no-landlock"
    )]
    NoLandlock,
    /// The state folder cannot be opened.
    #[error("cannot confine the agent to {path}: {source}")]
    Folder {
        /// The folder.
        path: String,
        /// What the system said.
        source: landlock::PathFdError,
    },
    /// The kernel refused the landlock rules.
    #[error("the kernel refused the landlock rules: {0}")]
    Landlock(#[from] landlock::RulesetError),
    /// The kernel refused the filter of system calls.
    #[error("the kernel refused the filter of system calls: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// The filter of system calls does not compile; a fault of this program.
    #[error("the filter of system calls is wrong: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// A limit could not be set.
    #[error("cannot limit this process: {0}")]
    Limit(#[from] rustix::io::Errno),
}

/// What a worker's tables need to see; the greater includes the less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sight {
    /// Files, and of processes only what everyone may see.
    Files,
    /// Other processes as a tracer sees them.
    Processes,
}

impl Sight {
    /// What is needed to read these tables.
    pub fn of<'a>(tables: impl IntoIterator<Item = &'a str>) -> Self {
        if tables.into_iter().any(|table| TABLES_OF_PROCESSES.contains(&table)) {
            Sight::Processes
        } else {
            Sight::Files
        }
    }
}

/// Whether a worker may open network connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// No.
    Denied,
    /// TCP to this port: an API server's. Where the kernel cannot tell ports apart (before 6.7), TCP to any.
    Port(u16),
    /// The module declares what it connects to.
    Declared,
}

/// Forbids this thread, and every thread and process it starts from now on, each write outside `state`. In `group`, its own
/// control group, it may still move processes and remove what it made.
pub fn confine_daemon(state: &Path, group: Option<&Path>) -> Result<(), Error> {
    let mut writable = vec![(place(state)?, writing())];
    if let Some(group) = group {
        writable.push((place(group)?, AccessFs::WriteFile | AccessFs::RemoveDir));
    }
    restrict(writing(), writable)?;
    seccomp::deny_changes_of_the_system()
}

/// Forbids this thread, and everything it starts, to change anything or to connect anywhere: for what runs modules, and
/// for commands that only read.
pub fn confine_reader() -> Result<(), Error> {
    seccomp::deny_changes_of_the_system()?;
    seccomp::deny_writes()
}

/// What a worker adds to what it inherited.
pub fn confine_worker(sight: Sight, network: Network, with_landlock: bool) -> Result<(), Error> {
    if sight == Sight::Files && with_landlock {
        restrict(writing(), Vec::new())?;
    }
    confine_reader()?;
    seccomp::deny_signals()?;
    match network {
        Network::Denied => seccomp::deny_network(),
        Network::Port(port) => {
            landlock_connects_to(port)?;
            seccomp::deny_all_but_tcp()
        }
        Network::Declared => Ok(()),
    }
}

/// What a program of the host may not do that this agent starts: change the system, signal others, reach a network. It may
/// talk to services of this machine, and what it writes and executes is for its caller's landlock to say.
pub fn confine_foreign() -> Result<(), Error> {
    seccomp::deny_changes_of_the_system()?;
    seccomp::deny_signals()?;
    seccomp::deny_reaching_networks()
}

/// Whether this kernel offers landlock. Restricts nothing.
pub fn has_landlock() -> bool {
    Ruleset::default()
        .handle_access(AccessFs::from_write(ABI::V1))
        .and_then(Ruleset::create)
        .is_ok_and(|created| Option::<std::os::fd::OwnedFd>::from(created).is_some())
}

/// Older kernels cannot keep it, and nothing is lost by asking.
fn landlock_connects_to(port: u16) -> Result<(), Error> {
    let rules = Ruleset::default().handle_access(AccessNet::ConnectTcp | AccessNet::BindTcp)?.create()?;
    rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?.restrict_self()?;
    Ok(())
}

/// All ways to write to a file system, of the newest landlock that is known here; older kernels enforce what they know.
pub fn writing() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V6)
}

/// Forbids this thread, and what it starts, these kinds of access everywhere but where a rule allows them; the null device
/// may always be written, as programs expect and as the standard library opens it for a child without input.
pub fn restrict(handled: BitFlags<AccessFs>, allowed: Vec<(PathFd, BitFlags<AccessFs>)>) -> Result<(), Error> {
    let mut rules = Ruleset::default().handle_access(handled)?.create()?;
    for (place, access) in allowed {
        rules = rules.add_rule(PathBeneath::new(place, access))?;
    }
    if let Ok(null) = PathFd::new("/dev/null") {
        rules = rules.add_rule(PathBeneath::new(null, AccessFs::WriteFile))?;
    }
    match rules.restrict_self()?.ruleset {
        RulesetStatus::NotEnforced => Err(Error::NoLandlock),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

/// A place for a rule of [`restrict`].
pub fn place(path: &Path) -> Result<PathFd, Error> {
    PathFd::new(path).map_err(|source| Error::Folder { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use landlock::{CompatLevel, Compatible};

    use super::*;

    #[test]
    fn only_tables_about_other_processes_need_to_see_them() {
        assert_eq!(Sight::of(["file", "users"]), Sight::Files);
        assert_eq!(Sight::of(["users", "listening_ports"]), Sight::Processes);
    }

    #[test]
    fn a_reader_reads_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "before").unwrap();
        let reader = std::thread::spawn(move || {
            confine_reader().unwrap();
            let denied = [
                std::fs::write(&path, "after").is_err(),
                std::fs::write(path.with_file_name("new"), "x").is_err(),
                std::fs::OpenOptions::new().append(true).open(&path).is_err(),
                std::fs::OpenOptions::new().read(true).write(true).open(&path).is_err(),
                std::fs::remove_file(&path).is_err(),
                std::fs::rename(&path, path.with_file_name("moved")).is_err(),
                std::fs::create_dir(path.with_file_name("folder")).is_err(),
                std::os::unix::fs::symlink("/", path.with_file_name("link")).is_err(),
                std::fs::hard_link(&path, path.with_file_name("link")).is_err(),
                std::fs::set_permissions(&path, std::fs::metadata(&path).unwrap().permissions()).is_err(),
                std::fs::File::open(&path).unwrap().set_len(1).is_err(),
            ];
            (denied, std::fs::read_to_string(&path).unwrap())
        });
        let (denied, content) = reader.join().unwrap();
        assert_eq!(denied, [true; 11]);
        assert_eq!(content, "before");
    }

    #[test]
    fn a_worker_without_network_reaches_nobody() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok());
        let reached = std::thread::spawn(move || {
            confine_worker(Sight::Files, Network::Denied, true).unwrap();
            std::net::TcpStream::connect(address).is_ok()
        });
        assert!(!reached.join().unwrap());
    }

    #[test]
    fn a_worker_of_a_cluster_reaches_one_port_and_no_other_kind_of_socket() {
        let [server, other] = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let [server_at, other_at] = [&server, &other].map(|listener| listener.local_addr().unwrap());
        let reached = std::thread::spawn(move || {
            confine_worker(Sight::Files, Network::Port(server_at.port()), has_landlock()).unwrap();
            [
                std::net::TcpStream::connect(server_at).is_ok(),
                std::net::TcpStream::connect(other_at).is_ok(),
                std::net::UdpSocket::bind("127.0.0.1:0").is_ok(),
                std::net::TcpListener::bind("127.0.0.1:0").is_ok(),
                std::os::unix::net::UnixDatagram::unbound().is_ok(),
            ]
        });
        let tells_ports_apart = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessNet::ConnectTcp)
            .and_then(Ruleset::create)
            .is_ok();
        assert_eq!(reached.join().unwrap(), [true, !tells_ports_apart, false, false, false]);
    }

    #[test]
    fn a_worker_that_sees_processes_can_read_where_their_program_lies() {
        let parent = std::os::unix::process::parent_id();
        let link = format!("/proc/{parent}/exe");
        if std::fs::read_link(&link).is_err() {
            return; // not permitted here even without a sandbox
        }
        let seen = |sight: Sight, link: String| {
            std::thread::spawn(move || {
                confine_worker(sight, Network::Denied, true).unwrap();
                std::fs::read_link(link).is_ok()
            })
            .join()
            .unwrap()
        };
        assert!(seen(Sight::Processes, link.clone()));
        assert!(!seen(Sight::Files, link), "the kernel lifted the limit that this module is built around");
    }

    #[test]
    fn what_landlock_closes_is_no_process_that_is_closed_to_everybody() {
        let sql = format!("SELECT path FROM processes WHERE pid = {}", std::os::unix::process::parent_id());
        let asked = std::thread::spawn(move || {
            confine_worker(Sight::Files, Network::Denied, true).unwrap();
            let engine = tables::Engine::open(tables::Host::running(), tables::Limits::default()).unwrap();
            engine.query(&sql, &tables::Parameters::new()).unwrap()
        });
        let warnings = asked.join().unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.gap == tables::Gap::Unread), "{warnings:?}");
    }

    #[test]
    fn the_daemon_writes_in_its_folder_and_nowhere_else() {
        let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let result = std::thread::spawn(move || {
            confine_daemon(own.path(), None).unwrap();
            let own_file = own.path().join("x");
            let own_works = std::fs::write(&own_file, "1").is_ok()
                && std::fs::rename(&own_file, own.path().join("y")).is_ok()
                && std::fs::remove_file(own.path().join("y")).is_ok();
            let other_fails = std::fs::write(other.path().join("x"), "1").is_err();
            (own_works, other_fails, own, other)
        });
        let (own_works, other_fails, ..) = result.join().unwrap();
        assert!(own_works);
        assert!(other_fails);
    }
}
