//! `lxd_cluster`: whether LXD is part of a cluster, and what a new member must be told.

use super::json::{flag, list, text};
use super::lxd::Lxd;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// The cluster of LXD, one row a setting that members have of their own.
    lxd_cluster: live_only {
        server_name: Text,
        enabled: Integer,
        member_config_entity: Text,
        member_config_name: Text,
        member_config_key: Text,
        member_config_value: Text,
        member_config_description: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(cluster) = Lxd::of(scan).and_then(|lxd| lxd.get("cluster")) else { return Box::new(std::iter::empty()) };
    let (server_name, enabled) = (text(&cluster, "/server_name"), flag(&cluster, "/enabled"));
    let mut rows: Vec<Row> = list(&cluster, "/member_config")
        .iter()
        .map(|setting| {
            row! {
                server_name,
                enabled,
                member_config_entity: text(setting, "/entity"),
                member_config_name: text(setting, "/name"),
                member_config_key: text(setting, "/key"),
                member_config_value: text(setting, "/value"),
                member_config_description: text(setting, "/description"),
            }
        })
        .collect();
    if rows.is_empty() {
        rows.push(row! { server_name, enabled });
    }
    Box::new(rows.into_iter())
}
