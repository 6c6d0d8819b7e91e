//! `lxd_cluster_members`: the machines of a cluster of LXD.

use super::json::{flag, text};
use super::lxd::Lxd;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Machines of a cluster of LXD.
    lxd_cluster_members: live_only {
        server_name: Text,
        url: Text,
        database: Integer,
        status: Text,
        message: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let members = Lxd::of(scan).map(|lxd| lxd.list("cluster/members?recursion=1")).unwrap_or_default();
    Box::new(members.into_iter().map(|member| {
        row! {
            server_name: text(&member, "/server_name"),
            url: text(&member, "/url"),
            database: flag(&member, "/database"),
            status: text(&member, "/status"),
            message: text(&member, "/message"),
        }
    }))
}
