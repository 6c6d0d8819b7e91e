//! `docker_container_fs_changes`: what differs in a container from its image.

use super::docker::Docker;
use super::json::{number, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Files that differ in a container of Docker from its image: C changed, A added, D deleted.
    docker_container_fs_changes: live_only {
        id: Text [required],
        path: Text,
        change_type: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.given_ids().into_iter().flat_map(move |id| {
        let changes = docker.list(&format!("/containers/{id}/changes"), "");
        changes.into_iter().map(move |change| {
            let change_type = match number(&change, "/Kind") {
                Some(0) => "C",
                Some(1) => "A",
                Some(2) => "D",
                _ => "",
            };
            row! { id: id.as_str(), path: text(&change, "/Path"), change_type }
        })
    }))
}
