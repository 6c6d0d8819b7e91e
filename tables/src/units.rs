//! systemd's units from what is on disk: unit files, the links that enable them, and the marks in `/run` of those that run.
//! Asking the manager over D-Bus would say more, but not for an image and not from a container.

mod effective;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

pub(crate) use self::effective::{services_with, values};
use crate::paths;
use crate::posix::FileType;
use crate::reader::Scan;

/// Folders with unit files; an earlier one wins (`systemd.unit(5)`).
const FOLDERS: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
];
const TYPES: [&str; 10] =
    [".service", ".socket", ".timer", ".mount", ".automount", ".target", ".path", ".slice", ".swap", ".device"];
/// Folders of links that start a unit along with another.
const ENABLING: [&str; 3] = [".wants", ".requires", ".upholds"];
const ACTIVE_UNITS: &str = "/run/systemd/units";

/// Whether a unit starts by itself, in the words of `systemctl is-enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Enabled,
    EnabledRuntime,
    Disabled,
    Static,
    Indirect,
    Masked,
    MaskedRuntime,
    Linked,
    LinkedRuntime,
    Alias,
    Generated,
}

impl State {
    /// Whether the unit cannot be started.
    pub const fn is_masked(self) -> bool {
        matches!(self, State::Masked | State::MaskedRuntime)
    }

    pub const fn word(self) -> &'static str {
        match self {
            State::Enabled => "enabled",
            State::EnabledRuntime => "enabled-runtime",
            State::Disabled => "disabled",
            State::Static => "static",
            State::Indirect => "indirect",
            State::Masked => "masked",
            State::MaskedRuntime => "masked-runtime",
            State::Linked => "linked",
            State::LinkedRuntime => "linked-runtime",
            State::Alias => "alias",
            State::Generated => "generated",
        }
    }
}

/// Whether a unit runs now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Active,
    Inactive,
    Unknown,
}

impl Activity {
    pub const fn word(self) -> &'static str {
        match self {
            Activity::Active => "active",
            Activity::Inactive => "inactive",
            Activity::Unknown => "unknown",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub id: String,
    pub path: String,
    pub description: String,
    pub user: String,
    pub state: State,
    pub activity: Activity,
}

/// The sections of a unit file.
#[derive(Debug, Default)]
pub(crate) struct UnitFile {
    sections: Vec<String>,
    /// The position of its section, key and value.
    settings: Vec<(usize, String, String)>,
}

impl UnitFile {
    pub fn parse(text: &str) -> Self {
        let mut settings = Vec::new();
        // What comes before the first is in none.
        let mut sections = vec![String::new()];
        let mut continued = String::new();
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(start) = line.strip_suffix('\\') {
                continued.push_str(start);
                continued.push(' ');
                continue;
            }
            let whole = std::mem::take(&mut continued) + line;
            if let Some(name) = whole.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                sections.push(name.to_owned());
            } else if let Some((key, value)) = whole.split_once('=') {
                settings.push((sections.len() - 1, key.trim().to_owned(), value.trim().to_owned()));
            }
        }
        UnitFile { sections, settings }
    }

    /// The last value of a key.
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.settings
            .iter()
            .rev()
            .find(|(place, name, _)| name == key && self.is_in(*place, section))
            .map(|setting| setting.2.as_str())
    }

    fn is_in(&self, place: usize, section: &str) -> bool {
        self.sections.get(place).is_some_and(|name| name == section)
    }

    fn installs(&self, keys: &[&str]) -> bool {
        self.settings.iter().any(|(place, key, value)| {
            self.is_in(*place, "Install") && !value.is_empty() && keys.contains(&key.as_str())
        })
    }

    fn can_be_enabled(&self) -> bool {
        self.installs(&["WantedBy", "RequiredBy", "Alias", "UpheldBy"])
    }

    /// The other names that enabling gives it.
    fn aliases(&self) -> impl Iterator<Item = &str> {
        self.settings
            .iter()
            .filter(move |(place, key, _)| key == "Alias" && self.is_in(*place, "Install"))
            .flat_map(|(.., names)| names.split_whitespace())
    }
}

/// All units, by name.
pub(crate) fn all(scan: &Scan) -> Vec<Unit> {
    let mut files: BTreeMap<String, (PathBuf, FileType)> = BTreeMap::new();
    let mut enabled: BTreeMap<String, State> = BTreeMap::new();
    let usr_is_merged = scan.read_link("/lib").is_some();
    for folder in FOLDERS.iter().filter(|folder| !(usr_is_merged && folder.starts_with("/lib/"))) {
        for entry in scan.list(folder) {
            let name = paths::name(&entry.name);
            let path = Path::new(folder).join(&entry.name);
            if TYPES.iter().any(|ending| name.ends_with(ending)) {
                files.entry(name).or_insert((path, entry.kind));
            } else if ENABLING.iter().any(|ending| name.ends_with(ending)) {
                let state = match *folder {
                    "/etc/systemd/system" => State::Enabled,
                    folder if folder.starts_with("/run/") => State::EnabledRuntime,
                    _ => continue,
                };
                for link in scan.list(&path) {
                    enabled.entry(paths::name(&link.name)).or_insert(state);
                }
            }
        }
    }
    add_instances(&mut files, &enabled);
    let aliases = alias_links(scan, &files);
    let links: BTreeMap<(&str, &str), State> =
        aliases.iter().map(|(alias, unit, state)| ((alias.as_str(), unit.as_str()), *state)).collect();
    let active = active_units(scan);
    let mut units: Vec<Unit> = files
        .iter()
        .map(|(id, (path, kind))| describe(scan, id, path, *kind, &enabled, &links, active.as_ref()))
        .collect();
    units.extend(init_scripts(scan, &files, active.as_ref()));
    units
}

/// Links of the administrator that give a unit another name: the name, the unit, and the state that this is.
fn alias_links(scan: &Scan, files: &BTreeMap<String, (PathBuf, FileType)>) -> Vec<(String, String, State)> {
    files
        .iter()
        .filter(|(_, (path, kind))| {
            *kind == FileType::Symlink && !path.starts_with("/usr") && !path.starts_with("/lib")
        })
        .filter_map(|(name, (path, _))| {
            let unit = paths::name(end_of_links(scan, path)?.file_name()?);
            let state = if path.starts_with("/run") { State::EnabledRuntime } else { State::Enabled };
            (unit != *name).then(|| (name.clone(), unit, state))
        })
        .collect()
}

/// An enabled `getty@tty1.service` has its template's file.
fn add_instances(files: &mut BTreeMap<String, (PathBuf, FileType)>, enabled: &BTreeMap<String, State>) {
    for id in enabled.keys() {
        let Some((name, rest)) = id.split_once('@') else { continue };
        let Some((instance, ending)) = rest.rsplit_once('.') else { continue };
        if !instance.is_empty()
            && !files.contains_key(id)
            && let Some(template) = files.get(&format!("{name}@.{ending}")).cloned()
        {
            files.insert(id.clone(), template);
        }
    }
}

fn describe(
    scan: &Scan,
    id: &str,
    path: &Path,
    kind: FileType,
    enabled: &BTreeMap<String, State>,
    links: &BTreeMap<(&str, &str), State>,
    active: Option<&BTreeSet<String>>,
) -> Unit {
    let target = if kind == FileType::Symlink { end_of_links(scan, path) } else { None };
    let is_null = target.as_deref() == Some(Path::new("/dev/null"));
    let text = if is_null { None } else { scan.text(path) };
    // A file without a byte masks, one of blank lines is a unit without settings.
    let is_empty = text.as_ref().is_some_and(String::is_empty);
    let file = UnitFile::parse(&text.unwrap_or_default());
    let is_alias =
        target.as_ref().and_then(|target| target.file_name()).is_some_and(|name| name.to_string_lossy() != id);
    let is_runtime = path.starts_with("/run");
    let is_linked = target.as_ref().is_some_and(|target| !FOLDERS.iter().any(|folder| target.starts_with(folder)));
    let state = if is_null || is_empty {
        if is_runtime { State::MaskedRuntime } else { State::Masked }
    } else if is_alias && !id.contains('@') {
        State::Alias
    } else if path.to_string_lossy().starts_with("/run/systemd/generator") {
        State::Generated
    } else if let Some(state) = enabled.get(id).or_else(|| file.aliases().find_map(|alias| links.get(&(alias, id)))) {
        *state
    } else if is_linked && path.starts_with("/etc/systemd") {
        State::Linked
    } else if is_linked && is_runtime {
        State::LinkedRuntime
    } else if file.can_be_enabled() {
        State::Disabled
    } else if file.installs(&["Also"]) {
        State::Indirect
    } else {
        State::Static
    };
    Unit {
        id: id.to_owned(),
        path: paths::display(path),
        description: file.value("Unit", "Description").unwrap_or_default().to_owned(),
        user: file.value("Service", "User").unwrap_or_default().to_owned(),
        state,
        activity: activity(id, active),
    }
}

/// Where a link leads, over further links, with `..` taken out: `../../../dev/null` is `/dev/null`.
fn end_of_links(scan: &Scan, link: &Path) -> Option<PathBuf> {
    /// As many as the kernel follows.
    const MAX_LINKS: usize = 40;
    let mut here = link.to_owned();
    for _ in 0..MAX_LINKS {
        let Some(target) = scan.read_link(&here) else { break };
        here = without_dots(&here.parent().unwrap_or(Path::new("/")).join(target));
    }
    (here != link).then_some(here)
}

fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// Init scripts without a unit of their name: systemd makes one at boot, enabled by a link in a run level.
fn init_scripts(
    scan: &Scan,
    files: &BTreeMap<String, (PathBuf, FileType)>,
    active: Option<&BTreeSet<String>>,
) -> Vec<Unit> {
    scan.list("/etc/init.d")
        .into_iter()
        .filter(|entry| entry.kind == FileType::RegularFile)
        .filter_map(|entry| {
            let name = paths::name(&entry.name);
            let id = format!("{name}.service");
            (!files.contains_key(&id) && !is_no_service(&name)).then(|| Unit {
                path: format!("/etc/init.d/{name}"),
                description: format!("LSB: {name}"),
                user: String::new(),
                state: State::Generated,
                activity: activity(&id, active),
                id,
            })
        })
        .collect()
}

/// Parts of the start-up that have no unit, and the folder's note.
fn is_no_service(name: &str) -> bool {
    name == "README" || Path::new(name).extension().is_some_and(|ending| ending == "sh")
}

/// The units that run, from the marks that the manager keeps for them; none where no manager runs.
fn active_units(scan: &Scan) -> Option<BTreeSet<String>> {
    if !scan.host().live || !scan.exists(ACTIVE_UNITS) {
        return None;
    }
    let names = scan.list(ACTIVE_UNITS).into_iter().map(|entry| paths::name(&entry.name));
    Some(names.filter_map(|name| name.strip_prefix("invocation:").map(str::to_owned)).collect())
}

fn activity(id: &str, active: Option<&BTreeSet<String>>) -> Activity {
    match active {
        None => Activity::Unknown,
        Some(active) if active.contains(id) => Activity::Active,
        Some(_) => Activity::Inactive,
    }
}

/// Reads any bytes as such a file, for its fuzz target.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let file = UnitFile::parse(&text);
    file.value("Install", "WantedBy");
    file.aliases().count();
    file.can_be_enabled();
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_has_no_dots() {
        for (path, expected) in
            [("/etc/systemd/system/../../../dev/null", "/dev/null"), ("/a/./b", "/a/b"), ("/../..", "/")]
        {
            assert_eq!(without_dots(Path::new(path)), Path::new(expected));
        }
    }

    #[test]
    fn a_unit_file_has_sections() {
        let file = UnitFile::parse(
            "[Unit]\nDescription=A\n# c\n[Service]\nExecStart=/bin/x \\\n  -y\n[Install]\nWantedBy=multi-user.target\n",
        );
        assert_eq!(file.value("Unit", "Description"), Some("A"));
        assert_eq!(file.value("Service", "ExecStart"), Some("/bin/x  -y"));
        assert!(file.can_be_enabled());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "(?s).*") {
            UnitFile::parse(&text);
        }
    }
}
