//! `block_devices`: disks and their partitions.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Disks and partitions; size in blocks of 512 bytes.
    block_devices: live_only {
        name: Text [index],
        parent: Text,
        vendor: Text,
        model: Text,
        serial: Text,
        size: BigInt,
        block_size: Integer,
        uuid: Text,
        r#type: Text,
        label: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().sys.join("block");
    let mut rows: Vec<Row> = Vec::new();
    for disk in scan.kernel_names(&folder) {
        let path = folder.join(&disk);
        let value = |file: &str| scan.sys(path.join(file));
        let number = |file: &str| value(file).and_then(|text| text.parse::<i64>().ok());
        let block_size = number("queue/logical_block_size");
        rows.push(row! {
            name: format!("/dev/{disk}"),
            parent: "",
            vendor: value("device/vendor"),
            model: value("device/model").or_else(|| value("dm/name")),
            serial: value("device/serial").or_else(|| value("serial")),
            size: number("size"),
            block_size,
            uuid: value("dm/uuid"),
            r#type: "",
            label: "",
        });
        for partition in scan.kernel_names(&path) {
            if partition.starts_with(&disk) {
                let size = value(&format!("{partition}/size")).and_then(|text| text.parse::<i64>().ok());
                rows.push(row! {
                    name: format!("/dev/{partition}"),
                    parent: format!("/dev/{disk}"),
                    size,
                    block_size,
                });
            }
        }
    }
    Box::new(rows.into_iter())
}
