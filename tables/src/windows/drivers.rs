//! `drivers`: the devices of a Windows image with the driver of each, from what the plug and play manager wrote to the hive
//! SYSTEM; then the drivers without a device, such as filters. Whether a driver is signed is not in the registry.

use std::collections::BTreeMap;

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::{u64_of, unix_time};
use crate::windows::machine::{Entry, Machine};
use crate::windows::services::{self, Service};

table! {
    /// Drivers of a Windows image, by device; those without a device have no device_id.
    drivers {
        device_id: Text,
        device_name: Text,
        image: Text,
        description: Text,
        service: Text,
        service_key: Text,
        version: Text,
        inf: Text,
        class: Text,
        provider: Text,
        manufacturer: Text,
        driver_key: Text,
        date: BigInt,
        signed: Integer,
    }
}

const CLASSES: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Control\Class\";
const SERVICES: &str = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\";

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let mut drivers: BTreeMap<String, (Service, bool)> =
        services::all(&machine).into_iter().map(|service| (service.name.to_lowercase(), (service, false))).collect();
    let classes = machine.control_set(r"Control\Class");
    let mut rows = Vec::new();
    let buses = machine.control_set("Enum");
    for bus in buses.iter().flat_map(Entry::children) {
        for device in bus.children() {
            for instance in device.children() {
                let id = format!(r"{}\{}\{}", bus.name(), device.name(), instance.name());
                let service = instance.text("Service").and_then(|name| {
                    let (service, is_used) = drivers.get_mut(&name.to_lowercase())?;
                    *is_used = true;
                    Some(service.clone())
                });
                rows.push(of_device(id, &instance, classes.as_ref(), service.as_ref()));
            }
        }
    }
    rows.extend(drivers.into_values().filter(|(service, is_used)| service.is_driver() && !is_used).map(
        |(service, _)| {
            row! {
                device_name: service.display_name.as_str(),
                description: service.description.as_str(),
                image: image(&service),
                service_key: format!("{SERVICES}{}", service.name),
                service: service.name,
            }
        },
    ));
    Box::new(rows.into_iter())
}

fn of_device(id: String, instance: &Entry, classes: Option<&Entry>, service: Option<&Service>) -> Row {
    let driver_key = instance.text("Driver").filter(|key| !key.is_empty());
    let driver = driver_key.as_ref().and_then(|key| classes?.at(key));
    let of_driver = |name: &str| driver.as_ref().and_then(|driver| driver.text(name));
    let of_device = |name: &str| instance.text(name).map(|text| readable(&text).to_owned());
    let date = driver.as_ref().and_then(|driver| driver.value("DriverDateData"));
    row! {
        device_id: id,
        device_name: of_device("FriendlyName").or_else(|| of_device("DeviceDesc")),
        image: service.map(image),
        description: of_driver("DriverDesc").or_else(|| of_device("DeviceDesc")),
        service: service.map(|service| service.name.as_str()),
        service_key: service.map(|service| format!("{SERVICES}{}", service.name)),
        version: of_driver("DriverVersion"),
        inf: of_driver("InfPath"),
        class: of_device("Class").or_else(|| class(driver_key.as_deref(), classes)),
        provider: of_driver("ProviderName").map(|name| readable(&name).to_owned()),
        manufacturer: of_device("Mfg"),
        driver_key: driver_key.map(|key| format!("{CLASSES}{key}")),
        date: date.filter(|date| date.bytes.len() >= 8).map(|date| unix_time(u64_of(&date.bytes, 0))),
    }
}

/// The name of the class that a driver's key is in.
fn class(driver_key: Option<&str>, classes: Option<&Entry>) -> Option<String> {
    let (class, _) = driver_key?.split_once('\\')?;
    classes?.child(class)?.text("Class")
}

/// `@oem1.inf,%name%;Name` says where the name comes from, and the name.
fn readable(text: &str) -> &str {
    if text.starts_with('@') { text.rsplit(';').next().unwrap_or(text) } else { text }
}

/// Where the driver's file is, in the form that programs use.
pub(crate) fn image(service: &Service) -> String {
    let path = service.path.trim();
    if path.is_empty() {
        // The loader's own rule for a driver without a path.
        return format!(r"C:\Windows\System32\drivers\{}.sys", service.name);
    }
    let lower = path.to_ascii_lowercase();
    for prefix in [r"\systemroot\", r"%systemroot%\"] {
        if lower.starts_with(prefix) {
            return format!(r"C:\Windows\{}", &path[prefix.len()..]);
        }
    }
    match path.strip_prefix(r"\??\") {
        Some(path) => path.to_owned(),
        None if lower.starts_with(r"system32\") => format!(r"C:\Windows\{path}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drivers_file_is_shown_as_programs_name_it() {
        let service = |path: &str| Service {
            name: "disk".to_owned(),
            display_name: String::new(),
            description: String::new(),
            kind: 1,
            start: 0,
            path: path.to_owned(),
            module_path: String::new(),
            account: String::new(),
        };
        for (path, expected) in [
            (r"System32\drivers\disk.sys", r"C:\Windows\System32\drivers\disk.sys"),
            (r"\SystemRoot\System32\drivers\disk.sys", r"C:\Windows\System32\drivers\disk.sys"),
            (r"\??\D:\x.sys", r"D:\x.sys"),
            ("", r"C:\Windows\System32\drivers\disk.sys"),
        ] {
            assert_eq!(image(&service(path)), expected);
        }
        assert_eq!(readable("@disk.inf,%x%;Disk drive"), "Disk drive");
    }
}
