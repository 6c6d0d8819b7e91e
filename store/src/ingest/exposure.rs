//! Who can reach what a finding is about, as far as the finding itself says so: an address on which something listens as its
//! resource or in its evidence, an account or process that may do everything. That the internet reaches the asset is its
//! owner's to say.
//!
//! Drawn from what is hashed as the finding's content, so that a finding whose row stays keeps its exposure.

use std::net::{IpAddr, SocketAddr};

use analysis::risk::Exposure;
use catalog::facts::Row;
use serde_json::Value;

/// Columns that name who something runs as or belongs to.
const ACCOUNTS: [&str; 4] = ["account", "run_as", "user", "username"];

/// The exposure of a finding.
pub(super) fn of(resource: &str, evidence: &Row) -> Exposure {
    Exposure { listens: listens(resource, evidence), privileged: is_privileged(evidence), internet_facing: false }
}

/// As it is stored.
pub(super) const fn code(exposure: Exposure) -> i16 {
    match (exposure.listens, exposure.privileged) {
        (false, false) => 0,
        (true, false) => 1,
        (false, true) => 2,
        (true, true) => 3,
    }
}

/// From what is stored.
pub(crate) const fn decode(code: i16) -> Exposure {
    Exposure { listens: code & 1 != 0, privileged: code & 2 != 0, internet_facing: false }
}

/// By how many percent it makes a finding weigh more.
pub(super) fn extra(exposure: Exposure) -> i64 {
    i64::from(exposure.percent()) - 100
}

fn listens(resource: &str, evidence: &Row) -> bool {
    if resource.parse::<SocketAddr>().is_ok_and(|socket| is_outside(socket.ip())) {
        return true;
    }
    evidence.contains_key("port")
        && evidence.get("address").and_then(Value::as_str).and_then(|text| text.parse().ok()).is_some_and(is_outside)
}

/// Whether others than the host itself reach it.
fn is_outside(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}

fn is_privileged(evidence: &Row) -> bool {
    let is_root = |column: &str| evidence.get(column).and_then(Value::as_str) == Some("root");
    // The owner of a file is no sign: most files are root's. A process of root's, or a program that becomes root, is.
    let acts = ["pid", "setuid"].iter().any(|column| evidence.get(*column).and_then(number).is_some_and(|n| n > 0));
    let is_zero = |column: &str| evidence.get(column).and_then(number) == Some(0);
    ACCOUNTS.into_iter().any(is_root) || (acts && ["uid", "euid"].into_iter().any(is_zero))
}

/// Agents send numbers as numbers or as text.
fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_is_exposed_as_its_own_row_says() {
        for (resource, evidence, expected) in [
            ("0.0.0.0:5432", json!({}), 1),
            ("[::]:5432", json!({ "process": "postgres" }), 1),
            ("127.0.0.1:5432", json!({}), 0),
            ("[::ffff:127.0.0.1]:5432", json!({}), 0),
            ("sshd", json!({ "address": "10.0.0.1", "port": "22" }), 1),
            ("sshd", json!({ "address": "10.0.0.1" }), 0),
            ("sshd", json!({ "address": "::1", "port": 22 }), 0),
            ("nginx", json!({ "pid": 7, "uid": 0 }), 2),
            ("nginx", json!({ "pid": "7", "uid": "0" }), 2),
            ("nginx", json!({ "pid": 7, "uid": 33 }), 0),
            ("/etc/shadow", json!({ "uid": 0, "actual": "0644" }), 0),
            ("/usr/bin/x", json!({ "setuid": 1, "uid": 0 }), 2),
            ("/root/.ssh/authorized_keys", json!({ "username": "root" }), 2),
            ("0.0.0.0:80", json!({ "pid": 1, "uid": 0 }), 3),
            ("0.0.0.0:80", json!({ "pid": [1], "uid": null }), 1),
        ] {
            let row: Row = serde_json::from_value(evidence.clone()).unwrap();
            let exposure = of(resource, &row);
            assert_eq!(code(exposure), expected, "{resource} {evidence}");
            assert_eq!(decode(code(exposure)), exposure);
            assert_eq!(extra(exposure), 50 * i64::from(expected & 1) + 25 * i64::from(expected & 2));
        }
    }
}
