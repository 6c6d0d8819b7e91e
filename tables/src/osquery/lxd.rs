//! LXD through its socket, for the tables about its instances; Incus answers the same questions. Without a socket there is
//! nothing to read. A module that reads these tables declares `network`, since the sandbox refuses every connection
//! otherwise.

use std::path::Path;

use serde_json::Value as Json;

use crate::http::{self, Request};
use crate::reader::{Scan, is_crowded_json};
use crate::root::Follow;

const SOCKETS: [&str; 4] = [
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
    "/run/incus/unix.socket",
];

/// Objects of one kind.
const MAX_OBJECTS: usize = 10_000;

/// The way to LXD.
pub(super) struct Lxd {
    scan: Scan,
    socket: &'static str,
}

impl Lxd {
    pub fn of(scan: &Scan) -> Option<Self> {
        let found = SOCKETS.iter().find(|socket| scan.metadata(socket, Follow::Links).is_some());
        if found.is_none() {
            scan.warn_of_no_subject("there is no socket of LXD or Incus on this host");
        }
        found.map(|socket| Lxd { scan: scan.clone(), socket })
    }

    /// What is said below `/1.0`, without the envelope; what goes wrong is said.
    pub fn get(&self, path: &str) -> Option<Json> {
        if !self.scan.budget().is_open() {
            return None;
        }
        let path = format!("/1.0/{path}");
        let request = Request { method: "GET", host: "lxd", path: &path, headers: &[] };
        let answer = http::unix(&self.scan, Path::new(self.socket))
            .map_err(http::Error::from)
            .and_then(|stream| http::ask(stream, request, self.scan.budget()));
        let problem = match answer {
            Ok(body) if is_crowded_json(&body) => "its answer holds more values than are read".to_owned(),
            Ok(body) => match serde_json::from_slice::<Json>(&body) {
                Ok(mut json) => return json.get_mut("metadata").map(Json::take),
                Err(error) => error.to_string(),
            },
            Err(http::Error::Status(404)) => return None,
            Err(error) => error.to_string(),
        };
        if !self.scan.budget().has_failed() {
            self.scan.warn(format!("{} does not answer {path}: {problem}", self.socket));
        }
        None
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
