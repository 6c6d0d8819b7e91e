//! `platform_info`: the firmware.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// The firmware of the machine.
    platform_info: live_only {
        vendor: Text,
        version: Text,
        date: Text,
        revision: Text,
        extra: Text,
        firmware_type: Text,
        address: Text,
        size: Text,
        volume_size: Integer,
    }
}

fn rows(scan: &Scan) -> Rows {
    let firmware = |name: &str| scan.sys(format!("class/dmi/id/{name}"));
    if firmware("bios_vendor").is_none() {
        return Box::new(std::iter::empty());
    }
    let is_uefi = scan.host().sys.join("firmware/efi").is_dir();
    Box::new(std::iter::once(row! {
        vendor: firmware("bios_vendor"),
        version: firmware("bios_version"),
        date: firmware("bios_date"),
        revision: firmware("bios_release"),
        extra: "",
        firmware_type: if is_uefi { "uefi" } else { "bios" },
    }))
}
