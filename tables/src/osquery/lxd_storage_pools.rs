//! `lxd_storage_pools`: where LXD keeps its instances, and how full it is.

use serde_json::Value as Json;

use super::json::{number, text};
use super::lxd::{Lxd, is_name};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Storage of LXD; space in bytes.
    lxd_storage_pools: live_only {
        name: Text,
        driver: Text,
        source: Text,
        size: Text,
        space_used: BigInt,
        space_total: BigInt,
        inodes_used: BigInt,
        inodes_total: BigInt,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(lxd) = Lxd::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(lxd.list("storage-pools?recursion=1").into_iter().map(move |pool| {
        let name = text(&pool, "/name").filter(|name| is_name(name));
        let used = name.and_then(|name| lxd.get(&format!("storage-pools/{name}/resources"))).unwrap_or_default();
        describe(&pool, &used)
    }))
}

fn describe(pool: &Json, used: &Json) -> Row {
    row! {
        name: text(pool, "/name"),
        driver: text(pool, "/driver"),
        source: text(pool, "/config/source"),
        size: text(pool, "/config/size"),
        space_used: number(used, "/space/used"),
        space_total: number(used, "/space/total"),
        inodes_used: number(used, "/inodes/used"),
        inodes_total: number(used, "/inodes/total"),
    }
}
