//! `pci_devices`: devices on the PCI bus by their numbers; names come from `pci.ids` of the host, if it has one.

use std::collections::HashMap;
use std::path::Path;

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Devices on the PCI bus.
    pci_devices: live_only {
        pci_slot: Text,
        pci_class: Text,
        driver: Text,
        vendor: Text,
        vendor_id: Text,
        model: Text,
        model_id: Text,
        pci_class_id: Text,
        pci_subclass_id: Text,
        pci_subclass: Text,
        subsystem_vendor_id: Text,
        subsystem_vendor: Text,
        subsystem_model_id: Text,
        subsystem_model: Text,
    }
}

const NAMES: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

fn rows(scan: &Scan) -> Rows {
    let folder = scan.host().sys.join("bus/pci/devices");
    let names = NAMES
        .iter()
        .find_map(|path| scan.exists(path).then(|| scan.text(path)).flatten())
        .map(|text| parse_names(&text))
        .unwrap_or_default();
    let rows: Vec<Row> = scan
        .kernel_names(&folder)
        .into_iter()
        .map(|slot| {
            let value = |file: &str| {
                scan.sys(folder.join(&slot).join(file))
                    .map(|text| text.trim_start_matches("0x").to_owned())
                    .unwrap_or_default()
            };
            let driver = std::fs::read_link(folder.join(&slot).join("driver")).ok();
            let (vendor, device, class) = (value("vendor"), value("device"), value("class"));
            let (subsystem_vendor, subsystem_device) = (value("subsystem_vendor"), value("subsystem_device"));
            let name = |key: String| names.get(&key).cloned().unwrap_or_default();
            row! {
                pci_slot: slot.as_str(),
                pci_class: class_name(&class),
                driver: driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy()),
                vendor: name(vendor.clone()),
                vendor_id: format!("0x{}", vendor.to_uppercase()),
                model: name(format!("{vendor}{device}")),
                model_id: format!("0x{}", device.to_uppercase()),
                pci_class_id: class.get(..2).map(|id| format!("0x{}", id.to_uppercase())),
                pci_subclass_id: class.get(2..4).map(|id| format!("0x{}", id.to_uppercase())),
                subsystem_vendor_id: format!("0x{}", subsystem_vendor.to_uppercase()),
                subsystem_vendor: name(subsystem_vendor),
                subsystem_model_id: format!("0x{}", subsystem_device.to_uppercase()),
            }
        })
        .collect();
    Box::new(rows.into_iter())
}

/// Names by vendor (`8086`) and by vendor and device (`80861237`).
fn parse_names(text: &str) -> HashMap<String, String> {
    let mut names = HashMap::new();
    let mut vendor = String::new();
    for line in text.lines().take_while(|line| !line.starts_with("C ")) {
        let (is_device, content) = match line.strip_prefix('\t') {
            Some(deeper) if deeper.starts_with('\t') => continue,
            Some(device) => (true, device),
            None => (false, line),
        };
        let Some((id, name)) = content.split_once("  ").filter(|(id, _)| id.len() == 4) else { continue };
        if is_device {
            names.insert(format!("{vendor}{id}"), name.trim().to_owned());
        } else {
            id.clone_into(&mut vendor);
            names.insert(id.to_owned(), name.trim().to_owned());
        }
    }
    names
}

/// The base class of PCI (PCI Code and ID Assignment Specification).
fn class_name(class: &str) -> &'static str {
    match class.get(..2) {
        Some("01") => "Mass storage controller",
        Some("02") => "Network controller",
        Some("03") => "Display controller",
        Some("04") => "Multimedia controller",
        Some("05") => "Memory controller",
        Some("06") => "Bridge",
        Some("07") => "Communication controller",
        Some("08") => "Generic system peripheral",
        Some("09") => "Input device controller",
        Some("0b") => "Processor",
        Some("0c") => "Serial bus controller",
        Some("0d") => "Wireless controller",
        Some("10") => "Encryption controller",
        Some("12") => "Processing accelerators",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_found_by_number() {
        let names = parse_names("# x\n8086  Intel\n\t1237  440FX\n\t\tffff 1  sub\nC 00  class\n");
        assert_eq!((names["8086"].as_str(), names["80861237"].as_str(), names.len()), ("Intel", "440FX", 2));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            parse_names(&text);
            class_name(&text);
        }
    }
}
