//! `msr`: registers of the processors about speed and power. The kernel shows them only where its module `msr` is loaded,
//! and only to root.

use std::path::Path;

use crate::posix::FileExt;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Model-specific registers of each processor, where the kernel's module msr is loaded.
    msr: live_only {
        processor_number: BigInt,
        turbo_disabled: BigInt,
        turbo_ratio_limit: BigInt,
        platform_info: BigInt,
        perf_ctl: BigInt,
        perf_status: BigInt,
        feature_control: BigInt,
        rapl_power_limit: BigInt,
        rapl_energy_status: BigInt,
        rapl_power_units: BigInt,
    }
}

/// Registers of Intel's processors (SDM, volume 4).
const PLATFORM_INFO: u64 = 0xce;
const FEATURE_CONTROL: u64 = 0x3a;
const PERF_STATUS: u64 = 0x198;
const PERF_CTL: u64 = 0x199;
const MISC_ENABLE: u64 = 0x1a0;
const TURBO_RATIO_LIMIT: u64 = 0x1ad;
const RAPL_POWER_UNITS: u64 = 0x606;
const RAPL_POWER_LIMIT: u64 = 0x610;
const RAPL_ENERGY_STATUS: u64 = 0x611;

const TURBO_DISABLED_BIT: u32 = 38;

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().root.join("dev/cpu");
    let mut processors: Vec<u32> = scan.kernel_names(&folder).iter().filter_map(|name| name.parse().ok()).collect();
    processors.sort_unstable();
    let rows: Vec<Row> = processors
        .into_iter()
        .filter_map(|number| describe(number, &folder.join(number.to_string()).join("msr")))
        .collect();
    Box::new(rows.into_iter())
}

fn describe(number: u32, path: &Path) -> Option<Row> {
    let file = std::fs::File::open(path).ok()?;
    // A processor answers an error for a register that it lacks.
    let register = |address: u64| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, address).ok().map(|()| u64::from_le_bytes(bytes))
    };
    Some(row! {
        processor_number: number,
        turbo_disabled: register(MISC_ENABLE).map(|value| value >> TURBO_DISABLED_BIT & 1),
        turbo_ratio_limit: register(TURBO_RATIO_LIMIT),
        platform_info: register(PLATFORM_INFO),
        perf_ctl: register(PERF_CTL),
        perf_status: register(PERF_STATUS),
        feature_control: register(FEATURE_CONTROL),
        rapl_power_limit: register(RAPL_POWER_LIMIT),
        rapl_energy_status: register(RAPL_ENERGY_STATUS),
        rapl_power_units: register(RAPL_POWER_UNITS),
    })
}
