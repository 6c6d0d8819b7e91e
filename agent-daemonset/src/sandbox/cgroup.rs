//! A control group for the workers, below the agent's own: the kernel then keeps the memory and the CPU of all of them.
//!
//! The decision to question: which group is the agent's own. It must be delegated (systemd marks it so, or it is the root of
//! this container's view), it must be writable, and no process but this one may be in it. Everything else is somebody else's
//! and stays untouched: the limits of each process hold then (see [`super::limits`]).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::thread;
use std::time::Duration;

/// The kernel wants processes in leaves only, so this process moves into one of its own.
const AGENT: &str = "tenantra-agent";
const WORKERS: &str = "tenantra-workers";
const CONTROLLERS: [&str; 2] = ["cpu", "memory"];
/// What systemd sets on a group that its owner may divide; the second for owners that are not root.
const DELEGATED: [&str; 2] = ["trusted.delegate", "user.delegate"];
/// Microseconds over which the kernel counts CPU time.
const PERIOD_US: u32 = 100_000;
/// A tenth of what everything else on the host has.
const WEIGHT: &str = "10";
/// The kernel takes a moment to let go of a process that was killed.
const TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Why there is no control group for the workers.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// No cgroup v2.
    #[error("this process is in no control group of version 2")]
    NoUnified,
    /// The process is outside of what it sees.
    #[error("the control group of this process lies outside of what is mounted here")]
    Outside,
    /// The root of the host.
    #[error("this process is in the root of all control groups, which is everybody's")]
    Root,
    /// Nobody gave the group to this process.
    #[error("the control group {0} is not delegated to this process; with systemd, write Delegate=yes into its unit")]
    NotDelegated(PathBuf),
    /// Other processes are in it.
    #[error("the control group {0} holds other processes as well")]
    Shared(PathBuf),
    /// The controllers are missing.
    #[error("the control group {0} has no controllers for CPU and memory")]
    NoControllers(PathBuf),
    /// The kernel refused.
    #[error("cannot divide the control group {path}: {source}")]
    Refused {
        /// The group.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What all workers together may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Memory in bytes, with what the kernel keeps of files for them.
    pub memory_bytes: u64,
    /// CPU time as a share of one core.
    pub cpu_share: f64,
}

/// The divided group; made one again when dropped.
#[derive(Debug)]
pub struct WorkerGroup {
    own: PathBuf,
    pid: u32,
    controllers: Vec<&'static str>,
}

/// The open way into the workers' group, for a thread that may open nothing for writing.
#[derive(Debug)]
pub struct Entrance(File);

impl Entrance {
    /// Moves a process into the group.
    pub fn admit(&self, pid: u32) -> io::Result<()> {
        (&self.0).write_all(pid.to_string().as_bytes())
    }
}

impl WorkerGroup {
    /// Divides this process's own group. Nothing has changed where it cannot.
    pub fn make(bounds: Bounds) -> Result<Self, Unavailable> {
        let own = own_group()?;
        let controllers = controllers_of(&own);
        if !CONTROLLERS.iter().all(|wanted| controllers.iter().any(|there| there == wanted)) {
            return Err(Unavailable::NoControllers(own));
        }
        let group = Self::divide(own, process::id(), &CONTROLLERS)?;
        group.bound(bounds).map_err(|source| Unavailable::Refused { path: group.own.clone(), source })?;
        Ok(group)
    }

    /// Gives the process and the workers a group each.
    fn divide(own: PathBuf, pid: u32, controllers: &[&'static str]) -> Result<Self, Unavailable> {
        let inside = fs::read_to_string(own.join("cgroup.procs")).unwrap_or_default();
        if inside.lines().any(|line| line != pid.to_string()) {
            return Err(Unavailable::Shared(own));
        }
        let group = WorkerGroup { own, pid, controllers: controllers.to_vec() };
        let divided = (|| {
            make_folder(&group.own.join(WORKERS))?;
            make_folder(&group.own.join(AGENT))?;
            write(&group.own.join(AGENT).join("cgroup.procs"), &pid.to_string())?;
            group.delegate('+')
        })();
        match divided {
            Ok(()) => Ok(group),
            // What was done so far is undone when the group is dropped.
            Err(source) => Err(Unavailable::Refused { path: group.own.clone(), source }),
        }
    }

    fn delegate(&self, sign: char) -> io::Result<()> {
        if self.controllers.is_empty() {
            return Ok(());
        }
        let text: Vec<String> = self.controllers.iter().map(|controller| format!("{sign}{controller}")).collect();
        write(&self.own.join("cgroup.subtree_control"), &text.join(" "))
    }

    fn bound(&self, bounds: Bounds) -> io::Result<()> {
        let workers = self.own.join(WORKERS);
        write(&workers.join("memory.max"), &bounds.memory_bytes.to_string())?;
        write(&workers.join("cpu.max"), &cpu_max(bounds.cpu_share))?;
        write(&workers.join("cpu.weight"), WEIGHT)
    }

    /// The group that was divided. The daemon's sandbox must leave it writable, so that it can be made one again.
    pub fn path(&self) -> &Path {
        &self.own
    }

    /// The way into the workers' group.
    pub fn entrance(&self) -> Result<Entrance, Unavailable> {
        let path = self.own.join(WORKERS).join("cgroup.procs");
        let opened = OpenOptions::new().write(true).open(&path);
        opened.map(Entrance).map_err(|source| Unavailable::Refused { path, source })
    }

    fn unite(&self) -> io::Result<()> {
        let workers = self.own.join(WORKERS);
        // Kernels before 5.14 cannot; the workers die with this process then.
        let _ = write(&workers.join("cgroup.kill"), "1");
        remove_folder(&workers)?;
        self.delegate('-')?;
        let agent = self.own.join(AGENT);
        if fs::read_to_string(agent.join("cgroup.procs")).is_ok_and(|inside| !inside.trim().is_empty()) {
            write(&self.own.join("cgroup.procs"), &self.pid.to_string())?;
        }
        remove_folder(&agent)
    }
}

impl Drop for WorkerGroup {
    fn drop(&mut self) {
        if let Err(error) = self.unite() {
            tracing::warn!(error_code = "cgroup", group = %self.own.display(), %error, "the workers' control group stays behind");
        }
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        // An agent that was killed left it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn remove_folder(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < TRIES => {
                tries += 1;
                thread::sleep(BETWEEN_TRIES);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => return removed,
        }
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// The kernel's form: microseconds of each period.
fn cpu_max(share: f64) -> String {
    let quota = Duration::from_micros(PERIOD_US.into()).mul_f64(share).as_micros();
    format!("{quota} {PERIOD_US}")
}

fn controllers_of(group: &Path) -> Vec<String> {
    let text = fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The folder of this process's group, if it is this process's to divide.
fn own_group() -> Result<PathBuf, Unavailable> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let path = groups.lines().find_map(|line| line.strip_prefix("0::")).ok_or(Unavailable::NoUnified)?;
    let group = folder_of(path, &mounts)?;
    // Only the root of the host has no events.
    if !group.join("cgroup.events").exists() {
        return Err(Unavailable::Root);
    }
    let is_containers = path == "/";
    if is_containers || is_marked(&group) { Ok(group) } else { Err(Unavailable::NotDelegated(group)) }
}

fn is_marked(group: &Path) -> bool {
    let mut value = [0; 8];
    DELEGATED.iter().any(|name| {
        rustix::fs::getxattr(group, *name, &mut value[..]).is_ok_and(|size| value.get(..size) == Some(b"1"))
    })
}

/// Where a group lies among the mounts (`proc(5)`: the fourth field is the mount's root in its file system, the fifth where it
/// lies; the type follows the lone hyphen).
fn folder_of(path: &str, mounts: &str) -> Result<PathBuf, Unavailable> {
    let mut is_mounted = false;
    for line in mounts.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        if kind.split(' ').next() != Some("cgroup2") {
            continue;
        }
        is_mounted = true;
        let mut fields = place.split(' ').skip(3);
        let (Some(root), Some(folder)) = (fields.next(), fields.next()) else { continue };
        // A path that leads above the mount's root is not below it.
        let Ok(below) = Path::new(path).strip_prefix(root) else { continue };
        if !path.contains("/..") {
            return Ok(Path::new(folder).join(below));
        }
    }
    Err(if is_mounted { Unavailable::Outside } else { Unavailable::NoUnified })
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    const MOUNTS: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                          41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_group_is_found_where_its_file_system_is_mounted() {
        let found = |path: &str, mounts: &str| folder_of(path, mounts).map(|path| path.display().to_string());
        let of = |path| found(path, MOUNTS).unwrap();
        assert_eq!(of("/system.slice/agent.service"), "/sys/fs/cgroup/unified/system.slice/agent.service");
        assert_eq!(of("/"), "/sys/fs/cgroup/unified/");
        let container = "50 49 0:30 /kubepods/pod1/c1 /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n";
        assert_eq!(found("/kubepods/pod1/c1", container).unwrap(), "/sys/fs/cgroup/");
        assert!(matches!(folder_of("/kubepods/pod2", container), Err(Unavailable::Outside)));
        assert!(matches!(folder_of("/../pod2", MOUNTS), Err(Unavailable::Outside)));
        assert!(matches!(folder_of("/", "1 2 0:3 / /proc rw - proc proc rw\n"), Err(Unavailable::NoUnified)));
    }

    #[test]
    fn half_a_core_is_half_of_each_period() {
        assert_eq!(cpu_max(0.5), "50000 100000");
        assert_eq!(cpu_max(2.0), "200000 100000");
    }

    /// A group of this machine's kernel with a process in it; none where this test may not make one.
    struct Given {
        folder: PathBuf,
        inside: Vec<Child>,
    }

    impl Given {
        fn make(name: &str, processes: usize) -> Option<Self> {
            let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
            let folder = folder_of(&format!("/{name}-{}", process::id()), &mounts).ok()?;
            fs::create_dir(&folder).ok()?;
            let mut given = Given { folder, inside: Vec::new() };
            for _ in 0..processes {
                let child = Command::new("sleep").arg("60").spawn().unwrap();
                let pid = child.id().to_string();
                given.inside.push(child);
                write(&given.folder.join("cgroup.procs"), &pid).ok()?;
            }
            Some(given)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.folder).unwrap().flatten().filter(|entry| entry.path().is_dir());
            let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Given {
        fn drop(&mut self) {
            for child in &mut self.inside {
                let _ = child.kill();
                let _ = child.wait();
            }
            let _ = remove_folder(&self.folder);
        }
    }

    fn inside(folder: &Path) -> String {
        fs::read_to_string(folder.join("cgroup.procs")).unwrap().trim().to_owned()
    }

    #[test]
    fn a_divided_group_is_one_again_afterwards_and_its_workers_are_gone() {
        let Some(mut given) = Given::make("tenantra-test-divide", 1) else { return };
        let pid = given.inside[0].id();
        let group = WorkerGroup::divide(given.folder.clone(), pid, &[]).unwrap();
        assert_eq!(given.names(), [AGENT, WORKERS]);
        assert_eq!(inside(&given.folder.join(AGENT)), pid.to_string());
        let worker = Command::new("sleep").arg("60").spawn().unwrap();
        group.entrance().unwrap().admit(worker.id()).unwrap();
        assert_eq!(inside(&given.folder.join(WORKERS)), worker.id().to_string());
        given.inside.push(worker);
        drop(group);
        assert_eq!(given.names(), Vec::<String>::new());
        assert_eq!(inside(&given.folder), pid.to_string());
    }

    #[test]
    fn a_group_with_others_in_it_is_not_touched() {
        let Some(given) = Given::make("tenantra-test-shared", 2) else { return };
        let refused = WorkerGroup::divide(given.folder.clone(), given.inside[0].id(), &[]);
        assert!(matches!(refused, Err(Unavailable::Shared(_))));
        assert_eq!(given.names(), Vec::<String>::new());
        assert!(!is_marked(&given.folder));
    }
}
