//! Which files sudo reads: those that nobody but root can have written (`sudo_secure_path`). It passes over others with a word to
//! the terminal, so that neither a rule nor a setting in them counts.

use std::path::Path;

use crate::reader::Scan;
use crate::root::{Follow, Metadata};

const WRITABLE_BY_GROUP: u32 = 0o020;
const WRITABLE_BY_ALL: u32 = 0o002;

/// The owners that a file of sudo may have. Of an image that an account has unpacked all files are that account's, so that whose
/// the root is counts as root; on a running host that is root itself.
#[derive(Debug)]
pub(super) struct Owners {
    users: [u32; 2],
    groups: [u32; 2],
}

impl Owners {
    /// `user` and `group` are what `sudo.conf` has instead of root.
    pub fn of(scan: &Scan, user: Option<u32>, group: Option<u32>) -> Self {
        let root = scan.metadata("/", Follow::Links);
        let (user, group) = (user.unwrap_or(0), group.unwrap_or(0));
        Owners {
            users: [user, root.as_ref().map_or(user, |root| root.uid)],
            groups: [group, root.as_ref().map_or(group, |root| root.gid)],
        }
    }

    /// Whether sudo reads the file or folder; one that is not there has no owner to object to.
    pub fn trust(&self, scan: &Scan, path: &Path) -> bool {
        scan.metadata(path, Follow::Links).is_none_or(|found: Metadata| self.are_of(found.uid, found.gid, found.mode))
    }

    fn are_of(&self, user: u32, group: u32, mode: u32) -> bool {
        self.users.contains(&user)
            && mode & WRITABLE_BY_ALL == 0
            && (mode & WRITABLE_BY_GROUP == 0 || self.groups.contains(&group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_others_can_have_written_are_told_from_those_of_root() {
        let root = Owners { users: [0, 0], groups: [0, 0] };
        for (user, group, mode, expected) in [
            (0, 0, 0o440, true),
            (0, 1000, 0o644, true),
            (0, 0, 0o664, true),
            (0, 1000, 0o664, false),
            (0, 0, 0o646, false),
            (1000, 0, 0o440, false),
        ] {
            assert_eq!(root.are_of(user, group, mode), expected, "{user} {group} {mode:o}");
        }
        let unpacked = Owners { users: [0, 1000], groups: [0, 1000] };
        assert!(unpacked.are_of(1000, 1000, 0o664) && unpacked.are_of(0, 0, 0o440) && !unpacked.are_of(1001, 0, 0o440));
    }
}
