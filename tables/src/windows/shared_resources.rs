//! `shared_resources`: folders and printers that a Windows image shares. The shares that the server makes by itself (`C$`,
//! `ADMIN$`, `IPC$`) are in no file and not shown.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::data::texts;
use crate::windows::machine::{Entry, Machine, Value};

table! {
    /// What a Windows image shares on the network.
    shared_resources {
        description: Text,
        install_date: Text,
        status: Text,
        allow_maximum: Integer,
        maximum_allowed: BigInt,
        name: Text,
        path: Text,
        r#type: BigInt,
        type_name: Text,
    }
}

const SHARES: &str = r"Services\LanmanServer\Shares";
/// `MaxUses` of a share without a limit.
const NO_LIMIT: i64 = 0xffff_ffff;

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let list = machine.control_set(SHARES);
    let shares: Vec<Row> = list.iter().flat_map(Entry::values).map(|value| to_row(&value)).collect();
    Box::new(shares.into_iter())
}

fn to_row(value: &Value) -> Row {
    let fields = texts(&value.bytes);
    let field = |name: &str| {
        let mut pairs = fields.iter().filter_map(|field| field.split_once('='));
        pairs.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let number = |name: &str| field(name).and_then(|value| value.parse::<i64>().ok());
    let kind = number("Type").unwrap_or(0);
    let most = number("MaxUses").unwrap_or(NO_LIMIT);
    row! {
        description: field("Remark").unwrap_or_default(),
        install_date: "",
        status: "",
        allow_maximum: most == NO_LIMIT,
        maximum_allowed: if most == NO_LIMIT { 0 } else { most },
        name: field("ShareName").unwrap_or_else(|| value.name.clone()),
        path: field("Path"),
        r#type: kind,
        type_name: type_name(kind),
    }
}

/// What WMI calls the types of shares (`Win32_Share`).
fn type_name(kind: i64) -> &'static str {
    match kind {
        0 => "Disk Drive",
        1 => "Print Queue",
        2 => "Device",
        3 => "IPC",
        0x8000_0000 => "Disk Drive Admin",
        0x8000_0001 => "Print Queue Admin",
        0x8000_0002 => "Device Admin",
        0x8000_0003 => "IPC Admin",
        _ => "UNKNOWN",
    }
}
