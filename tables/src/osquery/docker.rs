//! Docker through its socket, for the tables about containers and images. Podman answers the same questions. Without a
//! socket there is nothing to read, and the tables say so; a module that reads them declares `network`, since the sandbox
//! refuses every connection otherwise.

use serde_json::Value as Json;

use super::json;
use super::local_api::{LocalApi, MAX_OBJECTS};
use crate::constraints::Operator;
use crate::reader::Scan;

const SOCKETS: [&str; 3] = ["/var/run/docker.sock", "/run/docker.sock", "/run/podman/podman.sock"];

/// The way to Docker.
pub(super) struct Docker(LocalApi);

impl Docker {
    pub fn of(scan: &Scan) -> Option<Self> {
        LocalApi::of(scan, &SOCKETS, "docker", "Docker or Podman").map(Self)
    }

    /// The answer to a question; what goes wrong is said.
    pub fn get(&self, path: &str) -> Option<Json> {
        self.0.get(path)
    }

    /// The objects of a list.
    pub fn list(&self, path: &str, pointer: &str) -> Vec<Json> {
        let mut answer = self.get(path).unwrap_or_default();
        let list = answer.pointer_mut(pointer).and_then(Json::as_array_mut).map(std::mem::take);
        list.unwrap_or_default().into_iter().take(MAX_OBJECTS).collect()
    }

    /// The containers that the query asks for, running or not, with their ids as the query has them.
    pub fn containers(&self) -> Vec<(String, Json)> {
        self.asked_for("id", "/Id", self.list("/containers/json?all=1", ""))
    }

    /// The images that the query asks for.
    pub fn images(&self) -> Vec<(String, Json)> {
        self.asked_for("id", "/Id", self.list("/images/json", ""))
    }

    /// Objects that the query asks for, all if it asks for none. An id may be cut short, as in Docker's own commands.
    pub fn asked_for(&self, column: &str, pointer: &str, objects: Vec<Json>) -> Vec<(String, Json)> {
        let asked = self.0.scan.texts(column, Operator::Equals);
        let named = objects.into_iter().filter_map(|object| Some((id(json::text(&object, pointer)?), object)));
        if asked.is_empty() {
            return named.collect();
        }
        let is_meant =
            |asked: &str, own: &str| asked == own || column == "id" && !asked.is_empty() && own.starts_with(asked);
        let shown = |own: String| asked.iter().find(|asked| is_meant(asked, &own)).cloned();
        named.filter_map(|(own, object)| Some((shown(own)?, object))).collect()
    }

    /// Ids of a column that must be given; what cannot be one is left out, so that it does not change the question.
    pub fn given_ids(&self) -> Vec<String> {
        let is_id = |id: &String| {
            !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
        };
        self.0.scan.texts("id", Operator::Equals).into_iter().filter(is_id).collect()
    }
}

/// An id without the name of its digest.
pub(super) fn id(text: &str) -> String {
    text.strip_prefix("sha256:").unwrap_or(text).to_owned()
}
