//! What starts with a Windows image or with an account's session: the `Run` keys and the Startup folders. Rows of
//! `startup_items`, and a part of `autoexec`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::paths;
use crate::windows::encoding::is_same_name;
use crate::windows::machine::{Entry, Machine, locate, locate_in_home};

/// Keys whose values are started; all that begin so (`RunOnce`, `RunServices`) count.
const RUN_KEYS: [(&str, &str); 3] = [
    (r"Microsoft\Windows\CurrentVersion", "Run"),
    (r"WOW6432Node\Microsoft\Windows\CurrentVersion", "Run"),
    (r"Microsoft\Windows\CurrentVersion\Policies\Explorer", "Run"),
];
/// Where the Task Manager notes what a person switched off.
const APPROVED: &str = r"Microsoft\Windows\CurrentVersion\Explorer\StartupApproved";
const COMMON_STARTUP: [&str; 6] = ["ProgramData", "Microsoft", "Windows", "Start Menu", "Programs", "Startup"];
const OWN_STARTUP: [&str; 7] = ["AppData", "Roaming", "Microsoft", "Windows", "Start Menu", "Programs", "Startup"];
/// What every Startup folder has and nothing starts.
const FOLDER_SETTINGS: &str = "desktop.ini";

/// Something that is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Autorun {
    pub name: String,
    pub path: String,
    /// The key or folder that it is in.
    pub source: String,
    pub is_enabled: bool,
    pub username: String,
}

pub(crate) fn all(machine: &Machine) -> Vec<Autorun> {
    let mut found = Vec::new();
    if let Some(software) = machine.system_hive("SOFTWARE") {
        let approved = approvals(&software);
        of_keys(&software, r"HKEY_LOCAL_MACHINE\SOFTWARE", "SYSTEM", &approved, &mut found);
        let folder = locate(machine.scan(), Path::new("/"), &COMMON_STARTUP);
        if let Some(folder) = folder {
            let names = machine.scan().list(&folder).iter().map(|entry| paths::name(&entry.name)).collect();
            let shown = format!(r"C:\{}", COMMON_STARTUP.join(r"\"));
            of_folder(names, &shown, "SYSTEM", &approved, &mut found);
        }
    }
    let profiles = machine.profiles();
    for (sid, root) in machine.user_hives() {
        let Some(software) = root.child("Software") else { continue };
        let approved = approvals(&software);
        let profile = profiles.iter().find(|profile| profile.sid == sid);
        let username = profile.map_or("SYSTEM", |profile| profile.name());
        of_keys(&software, &format!(r"HKEY_USERS\{sid}\SOFTWARE"), username, &approved, &mut found);
        let Some(profile) = profile else { continue };
        let startup = machine.path_of(&profile.folder).and_then(|home| {
            let folder = locate_in_home(machine.scan(), &home, &OWN_STARTUP)?;
            let below = folder.strip_prefix(&home).ok()?.to_str()?.to_owned();
            Some(machine.scan().home_names(home.to_str()?, &below))
        });
        let shown = format!(r"{}\{}", profile.folder, OWN_STARTUP.join(r"\"));
        of_folder(startup.unwrap_or_default(), &shown, username, &approved, &mut found);
    }
    found
}

fn of_keys(software: &Entry, shown: &str, username: &str, approved: &BTreeMap<String, bool>, found: &mut Vec<Autorun>) {
    for (folder, start) in RUN_KEYS {
        let Some(parent) = software.at(folder) else { continue };
        let is_run = |key: &Entry| key.name().get(..start.len()).is_some_and(|first| is_same_name(first, start));
        for key in parent.children().filter(is_run) {
            let source = format!(r"{shown}\{folder}\{}", key.name());
            for value in key.values().filter(|value| !value.name.is_empty()) {
                found.push(Autorun {
                    path: value.shown(),
                    source: source.clone(),
                    is_enabled: approved.get(&value.name.to_lowercase()).copied().unwrap_or(true),
                    username: username.to_owned(),
                    name: value.name,
                });
            }
        }
    }
}

fn of_folder(
    names: Vec<String>,
    shown: &str,
    username: &str,
    approved: &BTreeMap<String, bool>,
    found: &mut Vec<Autorun>,
) {
    found.extend(names.into_iter().filter(|name| !is_same_name(name, FOLDER_SETTINGS)).map(|name| Autorun {
        path: format!(r"{shown}\{name}"),
        source: shown.to_owned(),
        is_enabled: approved.get(&name.to_lowercase()).copied().unwrap_or(true),
        username: username.to_owned(),
        name,
    }));
}

/// The names that the Task Manager lists, and whether they may start.
fn approvals(software: &Entry) -> BTreeMap<String, bool> {
    let lists = software.at(APPROVED);
    lists
        .iter()
        .flat_map(Entry::children)
        .flat_map(|list| {
            list.values().map(|value| (value.name.to_lowercase(), may_start(&value.bytes))).collect::<Vec<_>>()
        })
        .collect()
}

/// The first byte is odd, or the time of switching off follows, where it may not.
fn may_start(state: &[u8]) -> bool {
    match state {
        [first, rest @ ..] if *first < 0x10 => first & 1 == 0 && rest.iter().all(|byte| *byte == 0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_task_manager_switched_off_does_not_start() {
        assert!(may_start(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        assert!(!may_start(&[3, 0, 0, 0, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 1]));
        assert!(may_start(&[]));
    }
}
