//! Which file systems hold files of this host, and which those of the kernel or of another machine.

use std::collections::HashMap;

use crate::kernel;
use crate::posix::AsFd;

/// File systems that hold no files of their own or those of another machine, where they are told by name before anything of
/// them is opened.
const FOREIGN_NAMES: [&str; 9] = ["proc", "sysfs", "cgroup2", "autofs", "cifs", "smb3", "9p", "ceph", "afs"];

/// What is known of devices: whether they hold files of this host.
#[derive(Debug)]
pub(crate) struct LocalDevices {
    known: HashMap<u64, bool>,
}

impl LocalDevices {
    /// Begins with the foreign file systems that this process sees mounted (`proc_pid_mountinfo(5)`).
    pub fn mounted() -> Self {
        let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self { known: text.lines().filter_map(foreign_device).map(|device| (device, false)).collect() }
    }

    /// Known without opening a folder there, which could wait for a dead server.
    pub fn is_known_foreign(&self, device: u64) -> bool {
        self.known.get(&device) == Some(&false)
    }

    /// Whether an opened folder holds files of this host.
    pub fn is_local(&mut self, device: u64, folder: impl AsFd) -> bool {
        *self.known.entry(device).or_insert_with(|| kernel::holds_own_files(folder))
    }
}

fn foreign_device(line: &str) -> Option<u64> {
    let (mount, source) = line.split_once(" - ")?;
    let kind = source.split(' ').next()?;
    let is_foreign = FOREIGN_NAMES.contains(&kind) || kind.starts_with("nfs") || kind.starts_with("fuse.");
    let (major, minor) = mount.split(' ').nth(2)?.split_once(':')?;
    let device = kernel::device(major.parse().ok()?, minor.parse().ok()?);
    is_foreign.then_some(device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_s_files_are_known_by_their_mount() {
        let line = "36 35 0:52 / /mnt rw,noatime shared:1 - nfs4 server:/x rw";
        assert_eq!(foreign_device(line), Some(rustix::fs::makedev(0, 52)));
        assert_eq!(foreign_device("36 35 98:0 /a /mnt rw - ext4 /dev/root rw"), None);
        assert_eq!(foreign_device("nonsense"), None);
    }
}
