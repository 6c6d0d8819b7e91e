//! `ycloud_instance_metadata`: what Yandex Cloud tells this machine about itself, in the shape that Google's has.

use std::net::IpAddr;

use serde_json::Value as Json;

use super::cloud::{self, ADDRESS};
use super::json::text;
use crate::constraints::Operator;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// What Yandex Cloud says of this machine; a condition on metadata_endpoint asks another address.
    ycloud_instance_metadata: live_only {
        instance_id: Text [index],
        folder_id: Text,
        cloud_id: Text,
        name: Text,
        description: Text,
        hostname: Text,
        zone: Text,
        ssh_public_key: Text,
        serial_port_enabled: Text,
        metadata_endpoint: Text [index],
    }
}

fn rows(scan: &Scan) -> Rows {
    let mut endpoints = scan.texts("metadata_endpoint", Operator::Equals);
    if endpoints.is_empty() && cloud::firmware_says(scan, "sys_vendor", "Yandex") {
        endpoints.push(format!("http://{ADDRESS}"));
    } else if endpoints.is_empty() {
        scan.warn_of_no_subject("this is no machine of Yandex Cloud");
    }
    let rows: Vec<Row> = endpoints.iter().filter_map(|endpoint| ask(scan, endpoint)).collect();
    Box::new(rows.into_iter())
}

fn ask(scan: &Scan, endpoint: &str) -> Option<Row> {
    let address: IpAddr = endpoint.trim_end_matches('/').strip_prefix("http://")?.parse().ok()?;
    let path = "/computeMetadata/v1/instance/?alt=json&recursive=true";
    let answer = cloud::ask(scan, address, "GET", path, &[("Metadata-Flavor", "Google")])?;
    serde_json::from_slice(&answer).ok().map(|machine| describe(&machine, endpoint))
}

fn describe(machine: &Json, endpoint: &str) -> Row {
    let id = machine.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    row! {
        instance_id: id,
        folder_id: text(machine, "/vendor/folderId"),
        cloud_id: text(machine, "/vendor/cloudId"),
        name: text(machine, "/name"),
        description: text(machine, "/description"),
        hostname: text(machine, "/hostname"),
        // `projects/x/zones/ru-central1-a`
        zone: text(machine, "/zone").and_then(|zone| zone.rsplit('/').next()),
        ssh_public_key: text(machine, "/attributes/ssh-keys"),
        serial_port_enabled: text(machine, "/attributes/serial-port-enable"),
        metadata_endpoint: endpoint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_described() {
        let machine = serde_json::json!({
            "id": "epd1", "name": "vm", "zone": "projects/1/zones/ru-central1-a", "vendor": { "folderId": "b1g" },
        });
        let row = describe(&machine, "http://169.254.169.254");
        let shown: Vec<String> = row.0.iter().map(ToString::to_string).collect();
        assert_eq!((shown[0].as_str(), shown[1].as_str(), shown[6].as_str()), ("epd1", "b1g", "ru-central1-a"));
    }
}
