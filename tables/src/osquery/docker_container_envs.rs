//! `docker_container_envs`: variables that containers are started with.

use serde_json::Value as Json;

use super::docker::Docker;
use super::json::{list, text};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Variables of containers of Docker.
    docker_container_envs: live_only {
        id: Text [index],
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(docker) = Docker::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(docker.containers().into_iter().flat_map(move |(id, container)| {
        let path = format!("/containers/{}/json", text(&container, "/Id").unwrap_or_default());
        let details = docker.get(&path).unwrap_or_default();
        let variables = list(&details, "/Config/Env").iter().filter_map(Json::as_str);
        let rows: Vec<Row> = variables
            .map(|variable| {
                let (key, value) = variable.split_once('=').unwrap_or((variable, ""));
                row! { id: id.as_str(), key, value }
            })
            .collect();
        rows.into_iter()
    }))
}
