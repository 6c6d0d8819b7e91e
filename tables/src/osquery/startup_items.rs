//! `startup_items`: what starts with the system or a session without systemd: init scripts, `rc.local`, autostart files.

use std::collections::HashSet;
use std::path::Path;

use crate::accounts;
use crate::paths;
use crate::posix::FileType;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::units::UnitFile;
use crate::value::Row;
use crate::windows::{self, machine::Machine};

table! {
    /// Init scripts and autostart files; status is enabled or disabled.
    startup_items {
        name: Text,
        path: Text,
        args: Text,
        r#type: Text,
        source: Text,
        status: Text,
        username: Text,
    }
}

const RUN_LEVELS: [&str; 4] = ["/etc/rc2.d", "/etc/rc3.d", "/etc/rc4.d", "/etc/rc5.d"];

const AUTOSTART: &str = ".config/autostart";

fn rows(scan: &Scan) -> Rows {
    if let Some(machine) = Machine::of(scan) {
        return Box::new(windows::autoruns::all(&machine).into_iter().map(|item| {
            row! {
                name: item.name,
                path: item.path,
                args: "",
                r#type: "Startup Item",
                source: item.source,
                status: if item.is_enabled { "enabled" } else { "disabled" },
                username: item.username,
            }
        }));
    }
    let mut rows = init_scripts(scan);
    if scan.metadata("/etc/rc.local", crate::root::Follow::Links).is_some_and(|found| found.mode & 0o111 != 0) {
        rows.push(row! { name: "rc.local", path: "/etc/rc.local", r#type: "Startup Item", source: "/etc/rc.local", status: "enabled", username: "root" });
    }
    for file in scan.paths("/etc/xdg/autostart", ".desktop") {
        rows.extend(autostart(&file, &scan.text(&file).unwrap_or_default(), ""));
    }
    for user in accounts::users(scan) {
        for name in scan
            .home_entries(&user.home, AUTOSTART)
            .into_iter()
            .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "desktop"))
        {
            let below = Path::new(AUTOSTART).join(name);
            let text = scan.home_text(&user.home, &below).unwrap_or_default();
            rows.extend(autostart(&Path::new(&user.home).join(below), &text, &user.name));
        }
    }
    Box::new(rows.into_iter())
}

fn init_scripts(scan: &Scan) -> Vec<Row> {
    let enabled: HashSet<String> = RUN_LEVELS
        .iter()
        .flat_map(|folder| scan.list(folder))
        .map(|entry| paths::name(&entry.name))
        .filter_map(|name| {
            name.strip_prefix('S')
                .map(|rest| rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).to_owned())
        })
        .collect();
    scan.list("/etc/init.d")
        .into_iter()
        .filter(|entry| entry.kind == FileType::RegularFile && entry.name != "README")
        .map(|entry| {
            let name = paths::name(&entry.name);
            let status = if enabled.contains(&name) { "enabled" } else { "disabled" };
            row! { path: format!("/etc/init.d/{name}"), args: "", r#type: "Startup Item", source: "/etc/init.d", status, username: "root", name }
        })
        .collect()
}

fn autostart(file: &Path, text: &str, username: &str) -> Option<Row> {
    let entry = UnitFile::parse(text);
    let command = entry.value("Desktop Entry", "Exec")?;
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let is_hidden = entry.value("Desktop Entry", "Hidden") == Some("true");
    Some(row! {
        name: entry.value("Desktop Entry", "Name"),
        path: program,
        args: arguments,
        r#type: "Startup Item",
        source: paths::display(file),
        status: if is_hidden { "disabled" } else { "enabled" },
        username,
    })
}
