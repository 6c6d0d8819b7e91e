//! `docker_version`: which Docker answers.

use super::docker::Docker;
use super::json::text;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Version of Docker and what it is built for.
    docker_version: live_only {
        version: Text,
        api_version: Text,
        min_api_version: Text,
        git_commit: Text,
        go_version: Text,
        os: Text,
        arch: Text,
        kernel_version: Text,
        build_time: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let version = Docker::of(scan).and_then(|docker| docker.get("/version"));
    let row: Option<Row> = version.map(|version| {
        let field = |pointer: &str| text(&version, pointer).map(str::to_owned);
        row! {
            version: field("/Version"),
            api_version: field("/ApiVersion"),
            min_api_version: field("/MinAPIVersion"),
            git_commit: field("/GitCommit"),
            go_version: field("/GoVersion"),
            os: field("/Os"),
            arch: field("/Arch"),
            kernel_version: field("/KernelVersion"),
            build_time: field("/BuildTime"),
        }
    });
    Box::new(row.into_iter())
}
