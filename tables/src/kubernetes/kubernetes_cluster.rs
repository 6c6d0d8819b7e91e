//! `kubernetes_cluster`: the API server that the other tables ask, with its version. Steampipe has no such table.

use serde_json::Value as Json;

use super::NO_CLUSTER;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// The Kubernetes cluster that the other tables show, with the version of its API server.
    kubernetes_cluster {
        name: Text,
        server: Text,
        version: Text,
        major: Integer,
        minor: Integer,
        platform: Text,
        git_commit: Text,
        git_tree_state: Text,
        build_date: Text,
        go_version: Text,
        compiler: Text,
        context_name: Text,
        title: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(cluster) = &scan.host().cluster else {
        scan.warn_of_no_subject(NO_CLUSTER);
        return Box::new(std::iter::empty());
    };
    let answer = cluster.get("/version", scan.budget()).map_err(|error| error.to_string());
    let version = answer.and_then(|body| serde_json::from_slice::<Json>(&body).map_err(|error| error.to_string()));
    match version {
        Ok(version) => {
            let access = cluster.access();
            Box::new(std::iter::once(described(access.context(), access.server(), &version)))
        }
        Err(problem) => {
            if !scan.budget().has_failed() {
                scan.warn_undecided(format!("{} does not say its version: {problem}", cluster.access().server()));
            }
            Box::new(std::iter::empty())
        }
    }
}

fn described(context: &str, server: &str, version: &Json) -> Row {
    let text = |name: &str| version[name].as_str();
    // Some vendors write `34+`.
    let number = |name: &str| text(name)?.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse::<i64>().ok();
    row! {
        name: context,
        server,
        version: text("gitVersion"),
        major: number("major"),
        minor: number("minor"),
        platform: text("platform"),
        git_commit: text("gitCommit"),
        git_tree_state: text("gitTreeState"),
        build_date: text("buildDate"),
        go_version: text("goVersion"),
        compiler: text("compiler"),
        context_name: context,
        title: context,
    }
}
