//! `usb_devices`: devices on the USB as the kernel names them.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Devices on the USB.
    usb_devices: live_only {
        usb_address: Integer,
        usb_port: Integer,
        vendor: Text,
        vendor_id: Text,
        version: Text,
        model: Text,
        model_id: Text,
        serial: Text,
        class: Text,
        subclass: Text,
        protocol: Text,
        removable: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().sys.join("bus/usb/devices");
    let rows: Vec<Row> = scan
        .kernel_names(&folder)
        .into_iter()
        .filter_map(|device| {
            let value = |file: &str| scan.sys(folder.join(&device).join(file));
            // Interfaces (`1-1:1.0`) have no address.
            let address = value("devnum")?.parse::<i64>().ok()?;
            Some(row! {
                usb_address: address,
                usb_port: value("busnum").and_then(|text| text.parse::<i64>().ok()),
                vendor: value("manufacturer"),
                vendor_id: value("idVendor"),
                version: value("bcdDevice"),
                model: value("product"),
                model_id: value("idProduct"),
                serial: value("serial"),
                class: value("bDeviceClass"),
                subclass: value("bDeviceSubClass"),
                protocol: value("bDeviceProtocol"),
                removable: value("removable").map(|text| text == "removable"),
            })
        })
        .collect();
    Box::new(rows.into_iter())
}
