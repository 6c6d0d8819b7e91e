//! `secureboot`: whether the firmware starts only signed programs, from its own variables.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};

table! {
    /// Secure boot; no row on a machine without UEFI.
    secureboot: live_only {
        secure_boot: Integer,
        setup_mode: Integer,
    }
}

/// The vendor of UEFI's global variables (UEFI specification, 3.3).
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

fn rows(scan: &Scan) -> Rows {
    // Four bytes of attributes, then one of value.
    let variable = |name: &str| {
        let path = scan.host().sys.join(format!("firmware/efi/efivars/{name}-{GLOBAL}"));
        std::fs::read(path).ok().and_then(|bytes| bytes.get(4).copied())
    };
    let secure_boot = variable("SecureBoot");
    let setup_mode = variable("SetupMode");
    Box::new(secure_boot.into_iter().map(move |value| row! { secure_boot: value, setup_mode }))
}
