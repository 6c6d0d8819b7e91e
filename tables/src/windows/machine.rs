//! A Windows below the root: its folder, its hives, and the profiles of its accounts. Names are looked up whatever their
//! capitals, as NTFS does. Only images are looked at: a root whose kernel runs here is no Windows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::paths;
use crate::reader::Scan;
use crate::root::Follow;
use crate::windows::data;
use crate::windows::encoding::is_same_name;
use crate::windows::hive::{Hive, Key, ValueCell};
use crate::windows::storage::FileStorage;

/// Data of one value that is read; Windows advises against more than a part of it.
pub(crate) const MAX_DATA_BYTES: usize = 1 << 20;
/// Profiles of one machine; each has a hive of its own.
const MAX_PROFILES: usize = 1_000;
const PROFILES: &str = r"Microsoft\Windows NT\CurrentVersion\ProfileList";
/// The account of the system itself, whose hive is that of `.DEFAULT`.
pub(crate) const SYSTEM_SID: &str = "S-1-5-18";
/// The drive that Windows is on, as it sees it.
const SYSTEM_DRIVE: &str = "C:";
const USER_HIVE: &[&str] = &["NTUSER.DAT"];
const USER_CLASSES: &[&str] = &["AppData", "Local", "Microsoft", "Windows", "UsrClass.dat"];
/// What the name of an account's classes ends with.
const CLASSES: &str = "_Classes";

/// A Windows below the root.
#[derive(Debug)]
pub(crate) struct Machine {
    scan: Scan,
    folder: PathBuf,
    hives: RefCell<BTreeMap<PathBuf, Option<Rc<Hive>>>>,
}

/// An account that has a profile on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub sid: String,
    /// As Windows writes it: `C:\Users\bob`.
    pub folder: String,
}

impl Profile {
    /// The name of its folder, which is the account's name when it was made.
    pub fn name(&self) -> &str {
        self.folder.rsplit('\\').next().unwrap_or_default()
    }
}

/// A key with the hive that it is in.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    hive: Rc<Hive>,
    key: Key,
}

/// A value with its data.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub name: String,
    pub kind: u32,
    pub bytes: Vec<u8>,
}

impl Value {
    /// As osquery shows it.
    pub fn shown(&self) -> String {
        data::shown(self.kind, &self.bytes)
    }
}

impl Machine {
    /// The Windows below the root, if there is one.
    pub fn of(scan: &Scan) -> Option<Rc<Machine>> {
        if scan.host().live {
            return None;
        }
        let folder = ["Windows", "WINNT"].iter().find_map(|name| locate(scan, Path::new("/"), &[name]))?;
        let has_registry = locate(scan, &folder, &["System32", "config", "SYSTEM"]).is_some()
            || locate(scan, &folder, &["System32", "config", "SOFTWARE"]).is_some();
        has_registry.then(|| Rc::new(Machine { scan: scan.clone(), folder, hives: RefCell::new(BTreeMap::new()) }))
    }

    pub fn scan(&self) -> &Scan {
        &self.scan
    }

    /// A path below the Windows folder.
    pub fn below(&self, parts: &[&str]) -> Option<PathBuf> {
        locate(&self.scan, &self.folder, parts)
    }

    /// The root of a hive of the system: `SOFTWARE`, `SYSTEM`, `SAM`, `SECURITY`, `DEFAULT`.
    pub fn system_hive(&self, name: &str) -> Option<Entry> {
        let path = self.below(&["System32", "config", name])?;
        self.hive(&path)
    }

    /// The root of the boot loader's hive.
    pub fn boot_hive(&self) -> Option<Entry> {
        self.hive(&boot_stores(&self.scan).into_iter().next()?)
    }

    /// A key of `HKEY_LOCAL_MACHINE\SOFTWARE`.
    pub fn software(&self, path: &str) -> Option<Entry> {
        self.system_hive("SOFTWARE")?.at(path)
    }

    /// A key of `HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet`.
    pub fn control_set(&self, path: &str) -> Option<Entry> {
        let system = self.system_hive("SYSTEM")?;
        system.child(&current_control_set(&system)?)?.at(path)
    }

    /// The accounts that have a profile, in the order of the registry.
    pub fn profiles(&self) -> Vec<Profile> {
        let list = self.software(PROFILES);
        let profiles = list.iter().flat_map(Entry::children).take(MAX_PROFILES);
        profiles
            .filter_map(|entry| {
                let folder = self.expand(&entry.text("ProfileImagePath")?);
                Some(Profile { sid: entry.name().to_owned(), folder })
            })
            .collect()
    }

    /// The root of an account's hive, `HKEY_USERS\<SID>`, or of its classes, `HKEY_USERS\<SID>_Classes`.
    pub fn user_hive(&self, name: &str) -> Option<Entry> {
        if is_same_name(name, ".DEFAULT") || is_same_name(name, SYSTEM_SID) {
            return self.system_hive("DEFAULT");
        }
        let (sid, file) = match name.len().checked_sub(CLASSES.len()).and_then(|end| name.split_at_checked(end)) {
            Some((sid, ending)) if is_same_name(ending, CLASSES) => (sid, USER_CLASSES),
            _ => (name, USER_HIVE),
        };
        let profile = self.profiles().into_iter().find(|profile| is_same_name(&profile.sid, sid))?;
        self.hive_in(&profile, file)
    }

    /// The accounts whose hive can be read, with its root; the system's own is `.DEFAULT`.
    pub fn user_hives(&self) -> impl Iterator<Item = (String, Entry)> {
        let default = self.system_hive("DEFAULT").map(|root| (".DEFAULT".to_owned(), root));
        let profiles = self.profiles().into_iter().filter(|profile| !is_same_name(&profile.sid, SYSTEM_SID));
        default.into_iter().chain(profiles.filter_map(move |profile| {
            let root = self.hive_in(&profile, USER_HIVE)?;
            Some((profile.sid, root))
        }))
    }

    fn hive_in(&self, profile: &Profile, file: &[&str]) -> Option<Entry> {
        let Some(home) = self.path_of(&profile.folder) else {
            if !is_on_system_drive(&profile.folder) {
                self.scan
                    .warn(format!("the profile {} lies on another drive, which is not below the root", profile.folder));
            }
            return None;
        };
        self.hive(&locate_in_home(&self.scan, &home, file)?)
    }

    /// A path of Windows with its variables replaced, of those that are the same for everyone.
    pub fn expand(&self, path: &str) -> String {
        let windows = format!(r"C:\{}", self.folder.file_name().map(paths::name).unwrap_or_default());
        let mut expanded = path.to_owned();
        for (variable, value) in [
            ("%systemdrive%", "C:"),
            ("%systemroot%", &windows),
            ("%windir%", &windows),
            ("%programdata%", r"C:\ProgramData"),
            ("%allusersprofile%", r"C:\ProgramData"),
            ("%programfiles%", r"C:\Program Files"),
        ] {
            if let Some(start) = expanded.to_ascii_lowercase().find(variable) {
                expanded.replace_range(start..start + variable.len(), value);
            }
        }
        expanded
    }

    /// Where a path of Windows is below the root; another drive than the system's is not there.
    pub fn path_of(&self, path: &str) -> Option<PathBuf> {
        let path = self.expand(path);
        let below = if is_on_system_drive(&path) { path.get(SYSTEM_DRIVE.len()..)? } else { return None };
        let parts: Vec<&str> = below.split('\\').filter(|part| !part.is_empty()).collect();
        locate(&self.scan, Path::new("/"), &parts)
    }

    fn hive(&self, path: &Path) -> Option<Entry> {
        let known = self.hives.borrow().get(path).cloned();
        let hive = known.unwrap_or_else(|| {
            let hive = open(&self.scan, path).map(Rc::new);
            self.hives.borrow_mut().insert(path.to_owned(), hive.clone());
            hive
        })?;
        Entry::root_of(hive)
    }
}

impl Entry {
    /// The root of a hive.
    pub fn root_of(hive: Rc<Hive>) -> Option<Entry> {
        let key = hive.root()?;
        Some(Entry { hive, key })
    }

    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// When it was last changed, in seconds since 1970.
    pub fn written(&self) -> i64 {
        self.key.written
    }

    /// The keys below; reading ends where a table would keep too much of them.
    pub fn children(&self) -> impl Iterator<Item = Entry> + use<> {
        let hive = Rc::clone(&self.hive);
        self.every_child().take_while(move |child| hive.may_keep(child.name().len()))
    }

    /// The keys below, for who keeps none of them.
    pub fn every_child(&self) -> impl Iterator<Item = Entry> + use<> {
        let Entry { hive, key } = self.clone();
        let places = hive.places_of_subkeys(&key);
        places.into_iter().filter_map(move |place| {
            let key = hive.subkey_at(&key, place)?;
            Some(Entry { hive: Rc::clone(&hive), key })
        })
    }

    pub fn child(&self, name: &str) -> Option<Entry> {
        let key = self.hive.subkey(&self.key, name)?;
        Some(Entry { hive: Rc::clone(&self.hive), key })
    }

    /// The key at a path below, with its parts between backslashes.
    pub fn at(&self, path: &str) -> Option<Entry> {
        path.split('\\').filter(|part| !part.is_empty()).try_fold(self.clone(), |entry, part| entry.child(part))
    }

    /// The values; reading ends where a table would keep too much of them.
    pub fn values(&self) -> impl Iterator<Item = Value> + use<> {
        let hive = Rc::clone(&self.hive);
        self.every_value().take_while(move |value| hive.may_keep(value.name.len() + value.bytes.len()))
    }

    /// The values, for who keeps none of them.
    pub fn every_value(&self) -> impl Iterator<Item = Value> + use<> {
        let Entry { hive, key } = self.clone();
        (0..hive.count_of_values(&key)).filter_map(move |index| read(&hive, hive.value_number(&key, index)?))
    }

    /// A value by its name; empty for the default value.
    pub fn value(&self, name: &str) -> Option<Value> {
        let value = read(&self.hive, self.hive.value(&self.key, name)?)?;
        self.hive.may_keep(value.bytes.len()).then_some(value)
    }

    /// A value as osquery shows it.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.shown())
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.value(name).and_then(|value| data::number(value.kind, &value.bytes))
    }
}

fn read(hive: &Hive, cell: ValueCell) -> Option<Value> {
    let bytes = hive.data(&cell, MAX_DATA_BYTES)?;
    Some(Value { name: cell.name, kind: cell.kind, bytes })
}

fn is_on_system_drive(path: &str) -> bool {
    path.get(..SYSTEM_DRIVE.len()).is_some_and(|drive| is_same_name(drive, SYSTEM_DRIVE))
}

/// The name of the key that `CurrentControlSet` stands for while Windows runs.
pub(crate) fn current_control_set(system: &Entry) -> Option<String> {
    let number = system.child("Select")?.number("Current")?;
    Some(format!("ControlSet{number:03}"))
}

/// The boot loader's stores below the root: of BIOS, and of an EFI partition that is mounted there or is the root.
pub(crate) fn boot_stores(scan: &Scan) -> Vec<PathBuf> {
    const STORES: [&[&str]; 4] = [
        &["Boot", "BCD"],
        &["EFI", "Microsoft", "Boot", "BCD"],
        &["boot", "efi", "EFI", "Microsoft", "Boot", "BCD"],
        &["efi", "EFI", "Microsoft", "Boot", "BCD"],
    ];
    if scan.host().live {
        return Vec::new();
    }
    let mut found: Vec<PathBuf> = STORES.iter().filter_map(|parts| locate(scan, Path::new("/"), parts)).collect();
    found.dedup();
    found
}

/// Opens a hive; what cannot be read is a warning.
pub(crate) fn open(scan: &Scan, path: &Path) -> Option<Hive> {
    let shown = paths::display(path);
    let (reader, metadata) = scan.open(path, Follow::Never)?;
    match Hive::open(Box::new(FileStorage::new(scan, shown.clone(), reader, metadata.size))) {
        Ok(hive) => {
            if hive.is_dirty {
                scan.warn(format!(
                    "{shown} was not closed: its newest changes are in its transaction log, which is not replayed"
                ));
            }
            Some(hive)
        }
        Err(error) => {
            if !scan.budget().has_failed() {
                scan.warn(format!("cannot read {shown}: {error}"));
            }
            None
        }
    }
}

/// The path below a folder whose parts have these names, whatever their capitals.
pub(crate) fn locate(scan: &Scan, folder: &Path, parts: &[&str]) -> Option<PathBuf> {
    let mut here = folder.to_owned();
    for part in parts {
        if *part == ".." {
            return None;
        }
        let exact = here.join(part);
        here = if scan.exists(&exact) {
            exact
        } else {
            let names = scan.list(&here).into_iter().map(|entry| entry.name);
            here.join(names.into_iter().find(|name| is_same_name(&name.to_string_lossy(), part))?)
        };
    }
    Some(here)
}

/// Like [`locate`] in a folder that a user may write: no part below it may be a link.
pub(crate) fn locate_in_home(scan: &Scan, home: &Path, parts: &[&str]) -> Option<PathBuf> {
    let home_text = home.to_str()?;
    let mut below = PathBuf::new();
    for part in parts {
        let names = if below.as_os_str().is_empty() {
            scan.list(home).iter().map(|entry| paths::name(&entry.name)).collect()
        } else {
            scan.home_names(home_text, below.to_str()?)
        };
        below.push(names.into_iter().find(|name| is_same_name(name, part))?);
    }
    Some(home.join(below))
}
