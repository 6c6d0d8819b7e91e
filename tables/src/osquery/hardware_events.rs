//! `hardware_events`: empty, with a warning. The table exists so that packs that ask for it run; what happened between two scans is
//! not recorded.

use crate::reader::Scan;
use crate::schema::{Rows, table};

table! {
    /// Devices that came and went; always empty, events are not recorded.
    hardware_events: live_only {
        action: Text,
        path: Text,
        r#type: Text,
        driver: Text,
        vendor: Text,
        vendor_id: Text,
        model: Text,
        model_id: Text,
        serial: Text,
        revision: Text,
        time: BigInt [index],
        eid: Text [hidden],
    }
}

fn rows(scan: &Scan) -> Rows {
    scan.warn_of_no_subject("events are not recorded; compare pci_devices and usb_devices of two scans");
    Box::new(std::iter::empty())
}
