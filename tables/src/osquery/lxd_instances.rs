//! `lxd_instances`: containers and virtual machines of LXD.

use serde_json::Value as Json;

use super::json::{flag, number, text};
use super::lxd::{Lxd, is_name};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Containers and virtual machines of LXD.
    lxd_instances: live_only {
        name: Text [index],
        status: Text,
        stateful: Integer,
        ephemeral: Integer,
        created_at: Text,
        base_image: Text,
        architecture: Text,
        os: Text,
        description: Text,
        pid: Integer,
        processes: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(lxd) = Lxd::of(scan) else { return Box::new(std::iter::empty()) };
    Box::new(lxd.list("instances?recursion=1").into_iter().map(move |instance| {
        let name = text(&instance, "/name").filter(|name| is_name(name));
        let state = name.and_then(|name| lxd.get(&format!("instances/{name}/state"))).unwrap_or_default();
        describe(&instance, &state)
    }))
}

fn describe(instance: &Json, state: &Json) -> Row {
    // The names of these settings hold dots, no slashes.
    let setting = |name: &str| instance.get("config").and_then(|config| config.get(name)?.as_str());
    row! {
        name: text(instance, "/name"),
        status: text(instance, "/status"),
        stateful: flag(instance, "/stateful"),
        ephemeral: flag(instance, "/ephemeral"),
        created_at: text(instance, "/created_at"),
        base_image: setting("volatile.base_image"),
        architecture: text(instance, "/architecture"),
        os: setting("image.os"),
        description: setting("image.description"),
        pid: number(state, "/pid"),
        processes: number(state, "/processes"),
    }
}
