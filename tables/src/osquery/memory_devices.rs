//! `memory_devices`: memory modules and their sockets, as the firmware describes them.

use super::smbios::{self, MEMORY_DEVICE, Structure};
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Memory modules and empty sockets; size in MiB, speeds in MT/s, voltages in mV.
    memory_devices: live_only {
        handle: Text,
        array_handle: Text,
        form_factor: Text,
        total_width: Integer,
        data_width: Integer,
        size: Integer,
        set: Integer,
        device_locator: Text,
        bank_locator: Text,
        memory_type: Text,
        memory_type_details: Text,
        max_speed: Integer,
        configured_clock_speed: Integer,
        manufacturer: Text,
        serial_number: Text,
        asset_tag: Text,
        part_number: Text,
        min_voltage: Integer,
        max_voltage: Integer,
        configured_voltage: Integer,
    }
}

const FORM_FACTORS: [&str; 17] = [
    "Other",
    "Unknown",
    "SIMM",
    "SIP",
    "Chip",
    "DIP",
    "ZIP",
    "Proprietary Card",
    "DIMM",
    "TSOP",
    "Row of chips",
    "RIMM",
    "SODIMM",
    "SRIMM",
    "FB-DIMM",
    "Die",
    "CAMM",
];

/// Empty where the standard has reserved a number.
const TYPES: [&str; 36] = [
    "Other",
    "Unknown",
    "DRAM",
    "EDRAM",
    "VRAM",
    "SRAM",
    "RAM",
    "ROM",
    "FLASH",
    "EEPROM",
    "FEPROM",
    "EPROM",
    "CDRAM",
    "3DRAM",
    "SDRAM",
    "SGRAM",
    "RDRAM",
    "DDR",
    "DDR2",
    "DDR2 FB-DIMM",
    "",
    "",
    "",
    "DDR3",
    "FBD2",
    "DDR4",
    "LPDDR",
    "LPDDR2",
    "LPDDR3",
    "LPDDR4",
    "Logical non-volatile device",
    "HBM",
    "HBM2",
    "DDR5",
    "LPDDR5",
    "HBM3",
];

/// By bit, from bit 1.
const DETAILS: [&str; 15] = [
    "Other",
    "Unknown",
    "Fast-paged",
    "Static column",
    "Pseudo-static",
    "RAMBUS",
    "Synchronous",
    "CMOS",
    "EDO",
    "Window DRAM",
    "Cache DRAM",
    "Non-volatile",
    "Registered (Buffered)",
    "Unbuffered (Unregistered)",
    "LRDIMM",
];

fn rows(scan: &Scan) -> Rows {
    let bytes = smbios::read(scan);
    let devices = smbios::structures(&bytes).filter(|structure| structure.kind == MEMORY_DEVICE);
    let rows: Vec<Row> = devices.map(|device| describe(&device)).collect();
    Box::new(rows.into_iter())
}

fn describe(device: &Structure<'_>) -> Row {
    let known = |at: usize| device.word(at).filter(|word| *word != 0xffff);
    let details = device.word(0x13).map(|bits| {
        let is_set = |(bit, _): &(usize, &&str)| bits >> (bit + 1) & 1 == 1;
        DETAILS.iter().enumerate().filter(is_set).map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
    });
    row! {
        handle: device.shown_handle(),
        array_handle: device.word(0x04).map(smbios::shown),
        form_factor: device.name(0x0e, &FORM_FACTORS),
        total_width: known(0x08),
        data_width: known(0x0a),
        size: size_mib(device),
        set: device.byte(0x0f).filter(|set| *set != 0xff),
        device_locator: device.text(0x10),
        bank_locator: device.text(0x11),
        memory_type: device.name(0x12, &TYPES).filter(|name| !name.is_empty()),
        memory_type_details: details,
        max_speed: device.word(0x15),
        configured_clock_speed: device.word(0x20),
        manufacturer: device.text(0x17),
        serial_number: device.text(0x18),
        asset_tag: device.text(0x19),
        part_number: device.text(0x1a),
        min_voltage: device.word(0x22),
        max_voltage: device.word(0x24),
        configured_voltage: device.word(0x26),
    }
}

/// The size in MiB: the word counts MiB, or KiB with its highest bit set; from 32 GiB on it stands elsewhere.
fn size_mib(device: &Structure<'_>) -> Option<u32> {
    match device.word(0x0c)? {
        0xffff => None,
        0x7fff => device.double_word(0x1c).map(|mib| mib & 0x7fff_ffff),
        kib @ 0x8000.. => Some(u32::from(kib & 0x7fff) >> 10),
        mib => Some(u32::from(mib)),
    }
}
