//! `appcompat_shims`: databases of compatibility fixes that were added to a Windows image. A fix changes what a program does, which
//! is why some malicious ones come as such.

use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;
use crate::windows::encoding::unix_time;
use crate::windows::machine::{Entry, Machine};

table! {
    /// Programs of a Windows image with added compatibility fixes.
    appcompat_shims {
        executable: Text,
        path: Text,
        description: Text,
        install_time: Integer,
        r#type: Text,
        sdb_id: Text,
    }
}

const FLAGS: &str = r"Microsoft\Windows NT\CurrentVersion\AppCompatFlags";

fn rows(scan: &Scan) -> Rows {
    let Some(machine) = Machine::of(scan) else { return Box::new(std::iter::empty()) };
    let Some(flags) = machine.software(FLAGS) else { return Box::new(std::iter::empty()) };
    let databases: Vec<Entry> = flags.child("InstalledSDB").iter().flat_map(Entry::children).collect();
    let mut rows: Vec<Row> = Vec::new();
    for program in flags.child("Custom").iter().flat_map(Entry::children) {
        for value in program.values() {
            let id = value.name.trim_end_matches(".sdb");
            let database = databases.iter().find(|database| database.name().eq_ignore_ascii_case(id));
            let field = |name: &str| database.and_then(|database| database.text(name));
            let installed = database.and_then(|database| database.number("DatabaseInstallTimeStamp"));
            rows.push(row! {
                executable: program.name(),
                path: field("DatabasePath"),
                description: field("DatabaseDescription"),
                install_time: installed.map(unix_time),
                r#type: field("DatabaseType"),
                sdb_id: id,
            });
        }
    }
    Box::new(rows.into_iter())
}
