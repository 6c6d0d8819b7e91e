//! A service of the host that answers over a socket of its own in HTTP and JSON: Docker, Podman, LXD, Incus. What goes wrong is
//! said with the table; something that the service does not have is no answer.

use std::path::Path;

use serde_json::Value as Json;

use crate::http::{self, Request};
use crate::reader::{Scan, is_crowded_json};
use crate::root::Follow;

/// Objects of one kind that are taken from a list.
pub(super) const MAX_OBJECTS: usize = 10_000;

/// The way to a service.
pub(super) struct LocalApi {
    pub scan: Scan,
    /// The name by which it is asked.
    host: &'static str,
    socket: &'static str,
}

impl LocalApi {
    /// By the first of the sockets that is there; `who` listens on none of them otherwise.
    pub fn of(scan: &Scan, sockets: &[&'static str], host: &'static str, who: &str) -> Option<Self> {
        let found = sockets.iter().find(|socket| scan.metadata(socket, Follow::Links).is_some());
        if found.is_none() {
            scan.warn_of_no_subject(format!("there is no socket of {who} on this host"));
        }
        found.map(|socket| Self { scan: scan.clone(), host, socket })
    }

    /// The answer to a question.
    pub fn get(&self, path: &str) -> Option<Json> {
        if !self.scan.budget().is_open() {
            return None;
        }
        let request = Request { method: "GET", host: self.host, path, headers: &[] };
        let answer = http::unix(&self.scan, Path::new(self.socket))
            .map_err(http::Error::from)
            .and_then(|stream| http::ask(stream, request, self.scan.budget()));
        let problem = match answer {
            Ok(body) if is_crowded_json(&body) => "its answer holds more values than are read".to_owned(),
            Ok(body) => match serde_json::from_slice(&body) {
                Ok(json) => return Some(json),
                Err(error) => error.to_string(),
            },
            // A container or an image that is gone meanwhile, or never was.
            Err(http::Error::Status(404)) => return None,
            Err(error) => error.to_string(),
        };
        if !self.scan.budget().has_failed() {
            self.scan.warn(format!("{} does not answer {path}: {problem}", self.socket));
        }
        None
    }
}
