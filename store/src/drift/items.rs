//! Rows of facts as things that come and go. The tables are those of the catalog's modules; a table that is not named here
//! is kept and shown in the timeline, and no drift is drawn from it.

use std::net::IpAddr;

use analysis::drift::{Item, Kind};
use catalog::facts::{Facts, Row};
use serde_json::Value;

use crate::error::{Error, Result};

/// The tables that are followed.
pub(super) const FOLLOWED: [&str; 16] = [
    "crontab",
    "deb_packages",
    "listening_ports",
    "npm_packages",
    "patches",
    "processes",
    "programs",
    "python_packages",
    "rpm_packages",
    "scheduled_tasks",
    "services",
    "startup_items",
    "suid_files",
    "systemd_timers",
    "systemd_units",
    "users",
];

/// What kind of things a table holds; none if it is not followed.
pub(super) fn kind_of(table: &str) -> Option<Kind> {
    Some(match table {
        "processes" => Kind::Process,
        "listening_ports" => Kind::Port,
        "suid_files" => Kind::File,
        "users" => Kind::Account,
        "deb_packages" | "rpm_packages" | "python_packages" | "npm_packages" | "programs" | "patches" => Kind::Software,
        "systemd_units" | "services" => Kind::Service,
        "systemd_timers" | "crontab" | "scheduled_tasks" | "startup_items" => Kind::Autorun,
        _ => return None,
    })
}

/// Whether drift can come of facts that moved. Facts that come whole may also leave out rows that were there.
pub(crate) fn concerns(facts: &Facts) -> bool {
    facts.base.is_none()
        || facts.added.iter().any(|fact| kind_of(&fact.table).is_some())
        || facts.removed.iter().any(|fact| kind_of(&fact.table).is_some())
}

/// The name of a kind as it is stored.
pub const fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Process => "process",
        Kind::Port => "port",
        Kind::File => "file",
        Kind::Account => "account",
        Kind::Software => "software",
        Kind::Service => "service",
        Kind::Autorun => "autorun",
    }
}

/// The kind of that name.
pub(super) fn kind_named(name: &str) -> Result<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| name_of(*kind) == name)
        .ok_or_else(|| Error::Invalid(format!("'{name}' is no kind of thing that drifts")))
}

/// The thing that a row tells of; none if it lacks what names one.
pub(super) fn item_of(table: &str, row: &Row) -> Option<Item> {
    let kind = kind_of(table)?;
    let (subject, detail) = match table {
        "listening_ports" => (socket(row)?, None),
        "processes" => (text(row, "path")?, None),
        "suid_files" => (text(row, "path")?, Some(columns(row, &["mode", "uid", "gid"]))),
        "users" => (text(row, "username")?, Some(columns(row, &["uid", "gid", "shell"]))),
        "deb_packages" => (text(row, "name")?, joined(row, "version", "revision")),
        "rpm_packages" => (text(row, "name")?, joined(row, "version", "release")),
        "python_packages" => (format!("python/{}", text(row, "name")?), text(row, "version")),
        "npm_packages" => (format!("npm/{}", text(row, "name")?), text(row, "version")),
        "programs" => (text(row, "name")?, text(row, "version")),
        "patches" => (text(row, "hotfix_id")?, None),
        "systemd_units" => (text(row, "id")?, text(row, "unit_file_state")),
        "services" => (text(row, "name")?, text(row, "start_type")),
        "systemd_timers" => (text(row, "name")?, None),
        "crontab" => (text(row, "command")?, None),
        "scheduled_tasks" => (text(row, "path")?, text(row, "action")),
        "startup_items" => (text(row, "path").or_else(|| text(row, "name"))?, None),
        _ => return None,
    };
    Some(Item::new(kind, &subject, detail.as_deref()))
}

/// `4444/tcp`; what only the host itself reaches is another thing, `localhost:4444/tcp`. On how many addresses it listens
/// makes no difference.
fn socket(row: &Row) -> Option<String> {
    let port: u16 = text(row, "port")?.parse().ok()?;
    let protocol = match text(row, "protocol")?.as_str() {
        "6" | "tcp" => "tcp".to_owned(),
        "17" | "udp" => "udp".to_owned(),
        other => other.to_owned(),
    };
    let address = text(row, "address").unwrap_or_default();
    let is_local = address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
    Some(format!("{}{port}/{protocol}", if is_local { "localhost:" } else { "" }))
}

/// A version and what follows it after a hyphen, unless the version has that already.
fn joined(row: &Row, version: &str, revision: &str) -> Option<String> {
    let version = text(row, version)?;
    match text(row, revision) {
        Some(revision) if !version.ends_with(&format!("-{revision}")) => Some(format!("{version}-{revision}")),
        _ => Some(version),
    }
}

fn columns(row: &Row, names: &[&str]) -> String {
    let of = |name: &&str| format!("{name} {}", text(row, name).unwrap_or_else(|| "unknown".to_owned()));
    names.iter().map(of).collect::<Vec<_>>().join(", ")
}

/// A column that says something; agents send numbers as numbers or as text.
fn text(row: &Row, column: &str) -> Option<String> {
    match row.get(column)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(table: &str, row: Value) -> Option<(String, Option<String>)> {
        let row: Row = serde_json::from_value(row).unwrap();
        let item = item_of(table, &row)?;
        Some((item.subject().to_owned(), item.detail().map(str::to_owned)))
    }

    #[test]
    fn a_row_is_the_thing_that_people_know_it_by() {
        let some = |subject: &str, detail: Option<&str>| Some((subject.to_owned(), detail.map(str::to_owned)));
        for (table, row, expected) in [
            ("listening_ports", json!({ "port": 4444, "protocol": 6, "address": "0.0.0.0" }), some("4444/tcp", None)),
            ("listening_ports", json!({ "port": "4444", "protocol": "6", "address": "::" }), some("4444/tcp", None)),
            (
                "listening_ports",
                json!({ "port": 53, "protocol": 17, "address": "127.0.0.53" }),
                some("localhost:53/udp", None),
            ),
            ("listening_ports", json!({ "port": 70000, "protocol": 6 }), None),
            ("listening_ports", json!({ "port": 22 }), None),
            ("processes", json!({ "path": "/usr/sbin/nginx", "username": "root" }), some("/usr/sbin/nginx", None)),
            ("processes", json!({ "path": "" }), None),
            (
                "users",
                json!({ "username": "eve", "uid": 0, "gid": "0", "shell": "/bin/sh" }),
                some("eve", Some("uid 0, gid 0, shell /bin/sh")),
            ),
            ("deb_packages", json!({ "name": "a", "version": "1.2", "revision": "3" }), some("a", Some("1.2-3"))),
            ("deb_packages", json!({ "name": "a", "version": "1.2-3", "revision": "3" }), some("a", Some("1.2-3"))),
            ("npm_packages", json!({ "name": "a", "version": "1" }), some("npm/a", Some("1"))),
            ("startup_items", json!({ "name": "a", "path": null }), some("a", None)),
            ("routes", json!({ "destination": "0.0.0.0" }), None),
        ] {
            assert_eq!(item(table, row.clone()), expected, "{table} {row}");
        }
    }

    #[test]
    fn every_followed_table_has_a_kind_and_every_kind_its_name() {
        for table in FOLLOWED {
            assert!(kind_of(table).is_some(), "{table}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind_named(name_of(kind)).unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), name_of(kind));
        }
        assert!(kind_named("colour").is_err());
    }
}
