//! `autoexec`: everything that a Windows image starts by itself, as osquery puts it together: services and drivers that start
//! without being asked for, tasks, and what starts with a session.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::machine::Machine;
use crate::windows::{autoruns, drivers, scheduled_tasks, services};

table! {
    /// Programs that a Windows image starts by itself; source is the table that says more.
    autoexec {
        path: Text [index],
        name: Text,
        source: Text,
    }
}

/// The last value of `Start` of what starts by itself.
const AUTO_START: u64 = 2;

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let mut rows: Vec<Row> = Vec::new();
    for service in services::all(&machine).into_iter().filter(|service| service.start <= AUTO_START) {
        if service.is_program() {
            let path = if service.module_path.is_empty() { service.path } else { service.module_path };
            rows.push(row! { path, name: service.name, source: "services" });
        } else if service.is_driver() {
            rows.push(row! { path: drivers::image(&service), name: service.name, source: "drivers" });
        }
    }
    rows.extend(scheduled_tasks::all(&machine).filter(|task| task.task.is_enabled).flat_map(|named| {
        let name = named.name().to_owned();
        let commands = named.task.commands.into_iter();
        commands
            .map(move |command| row! { path: command.program, name: name.as_str(), source: "scheduled_tasks" })
            .collect::<Vec<Row>>()
    }));
    rows.extend(
        autoruns::all(&machine)
            .into_iter()
            .filter(|item| item.is_enabled)
            .map(|item| row! { path: item.path, name: item.name, source: "startup_items" }),
    );
    Box::new(rows.into_iter())
}
