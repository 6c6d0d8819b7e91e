//! `services`: the services of a Windows image, from the hive SYSTEM. What runs is not known of an image: the columns of a running
//! service are NULL.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::windows::machine::{Entry, Machine};

table! {
    /// Services of a Windows image, without drivers.
    services {
        name: Text,
        service_type: Text,
        display_name: Text,
        status: Text,
        pid: Integer,
        start_type: Text,
        win32_exit_code: Integer,
        service_exit_code: Integer,
        path: Text,
        module_path: Text,
        description: Text,
        user_account: Text,
    }
}

/// Bits of `Type` (`winnt.h`): programs of their own and those that share one.
const PROGRAM_TYPES: u64 = 0x30;
/// Kernel and file system drivers, adapters and recognisers.
const DRIVER_TYPES: u64 = 0x0f;

/// A key of `Services`, as the service control manager reads it.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub name: String,
    pub display_name: String,
    pub description: String,
    pub kind: u64,
    pub start: u64,
    pub path: String,
    pub module_path: String,
    pub account: String,
}

impl Service {
    pub fn is_program(&self) -> bool {
        self.kind & PROGRAM_TYPES != 0
    }

    pub fn is_driver(&self) -> bool {
        !self.is_program() && self.kind & DRIVER_TYPES != 0
    }

    /// osquery's word for the type.
    const fn kind_name(&self) -> &'static str {
        match self.kind {
            0x10 => "OWN_PROCESS",
            0x20 => "SHARE_PROCESS",
            0x100 => "INTERACTIVE_PROCESS",
            0x110 => "OWN_PROCESS(Interactive)",
            0x120 => "SHARE_PROCESS(Interactive)",
            _ => "UNKNOWN",
        }
    }

    /// osquery's word for when it starts.
    pub const fn start_name(&self) -> &'static str {
        match self.start {
            0 => "BOOT_START",
            1 => "SYSTEM_START",
            2 => "AUTO_START",
            3 => "DEMAND_START",
            4 => "DISABLED",
            _ => "UNKNOWN",
        }
    }
}

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let programs = all(&machine).into_iter().filter(Service::is_program);
    Box::new(programs.map(|service| {
        row! {
            service_type: service.kind_name(),
            start_type: service.start_name(),
            name: service.name,
            display_name: service.display_name,
            path: service.path,
            module_path: service.module_path,
            description: service.description,
            user_account: service.account,
        }
    }))
}

/// All services and drivers, by name. A key without a type is none: the manager passes over it as well.
pub(crate) fn all(machine: &Machine) -> Vec<Service> {
    let keys = machine.control_set("Services");
    keys.iter().flat_map(Entry::children).filter_map(|key| read(&key)).collect()
}

fn read(key: &Entry) -> Option<Service> {
    let text = |name: &str| key.text(name).unwrap_or_default();
    // The program of most shared services is svchost, which loads this library.
    let module = key.child("Parameters").and_then(|parameters| parameters.text("ServiceDll"));
    Some(Service {
        kind: key.number("Type")?,
        start: key.number("Start").unwrap_or(3),
        display_name: key.text("DisplayName").unwrap_or_else(|| key.name().to_owned()),
        description: text("Description"),
        path: text("ImagePath"),
        module_path: module.unwrap_or_else(|| text("ServiceDll")),
        account: text("ObjectName"),
        name: key.name().to_owned(),
    })
}
