//! `ec2_instance_metadata`: what Amazon EC2 tells this machine about itself.

use serde_json::Value as Json;

use super::ec2::Metadata;
use super::json::text;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// What Amazon EC2 says of this machine.
    ec2_instance_metadata: live_only {
        instance_id: Text,
        instance_type: Text,
        architecture: Text,
        region: Text,
        availability_zone: Text,
        local_hostname: Text,
        local_ipv4: Text,
        mac: Text,
        security_groups: Text,
        iam_arn: Text,
        ami_id: Text,
        reservation_id: Text,
        account_id: Text,
        ssh_public_key: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    Box::new(Metadata::of(scan).and_then(|metadata| describe(&metadata)).into_iter())
}

fn describe(metadata: &Metadata<'_>) -> Option<Row> {
    let parsed = |path: &str| metadata.get(path).and_then(|text| serde_json::from_str::<Json>(&text).ok());
    let document = parsed("dynamic/instance-identity/document")?;
    let role = parsed("meta-data/iam/info").unwrap_or_default();
    Some(row! {
        instance_id: text(&document, "/instanceId"),
        instance_type: text(&document, "/instanceType"),
        architecture: text(&document, "/architecture"),
        region: text(&document, "/region"),
        availability_zone: text(&document, "/availabilityZone"),
        local_hostname: metadata.get("meta-data/local-hostname"),
        local_ipv4: text(&document, "/privateIp"),
        mac: metadata.get("meta-data/mac"),
        security_groups: metadata.get("meta-data/security-groups").map(|groups| groups.replace('\n', ",")),
        iam_arn: text(&role, "/InstanceProfileArn"),
        ami_id: text(&document, "/imageId"),
        reservation_id: metadata.get("meta-data/reservation-id"),
        account_id: text(&document, "/accountId"),
        ssh_public_key: metadata.get("meta-data/public-keys/0/openssh-key"),
    })
}
