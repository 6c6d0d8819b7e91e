//! LXD through its socket, for the tables about its instances; Incus answers the same questions. Without a socket there is
//! nothing to read. A module that reads these tables declares `network`, since the sandbox refuses every connection
//! otherwise.

use serde_json::Value as Json;

use super::local_api::{LocalApi, MAX_OBJECTS};
use crate::reader::Scan;

const SOCKETS: [&str; 4] = [
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/incus/unix.socket",
];

/// The way to LXD.
pub(super) struct Lxd(LocalApi);

impl Lxd {
    pub fn of(scan: &Scan) -> Option<Self> {
        LocalApi::of(scan, &SOCKETS, "lxd", "LXD or Incus").map(Self)
    }

    /// What is said below `/1.0`, without the envelope; what goes wrong is said.
    pub fn get(&self, path: &str) -> Option<Json> {
        self.0.get(&format!("/1.0/{path}"))?.get_mut("metadata").map(Json::take)
    }

    /// The objects of a list.
    pub fn list(&self, path: &str) -> Vec<Json> {
        match self.get(path) {
            Some(Json::Array(objects)) => objects.into_iter().take(MAX_OBJECTS).collect(),
            _ => Vec::new(),
        }
    }
}

/// Whether a name can stand in a path; what cannot is no instance.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
