//! `ec2_instance_tags`: tags of this machine in Amazon EC2, where its metadata shows them.

use super::ec2::Metadata;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Tags of this machine in Amazon EC2, where they are allowed in its metadata.
    ec2_instance_tags: live_only {
        instance_id: Text,
        key: Text,
        value: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(metadata) = Metadata::of(scan) else { return Box::new(std::iter::empty()) };
    let instance = metadata.get("meta-data/instance-id");
    let keys = metadata.get("meta-data/tags/instance").unwrap_or_default();
    // A key with a blank or a slash in it cannot be asked for.
    let is_askable = |key: &&str| key.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
    let rows: Vec<Row> = keys
        .lines()
        .filter(is_askable)
        .map(|key| {
            let value = metadata.get(&format!("meta-data/tags/instance/{key}"));
            row! { instance_id: instance.as_deref(), key, value }
        })
        .collect();
    Box::new(rows.into_iter())
}
