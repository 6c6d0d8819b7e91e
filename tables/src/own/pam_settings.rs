//! `pam_settings`: what each rule of PAM tells its module, one setting a row: the last of equal arguments, and for faillock and
//! pwquality, where no argument has it, what their files say as these modules read them (`faillock.conf(5)`,
//! `pwquality.conf(5)`). Defaults are not shown: that nobody set something is news as well.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::pam::{self, Rule};
use crate::paths;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// Settings of the modules that rules of PAM call, as they take effect: one row a rule and name, with the last of its arguments (position counts from 1), or for faillock and pwquality else what their files say (position 0, source the file). Where no rule calls one of these two, file is empty and the rows are what its files say.
    pam_settings: kept {
        file: Text,
        line: BigInt,
        r#type: Text,
        module: Text,
        name: Text,
        value: Text,
        position: BigInt,
        source: Text,
    }
}

/// A module with files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Configured {
    Faillock,
    Pwquality,
}

/// What a module is told of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    value: String,
    position: usize,
    source: String,
}

type Settings = BTreeMap<String, Told>;

/// The longest line that both modules take.
const MAX_LINE_BYTES: usize = 1_023;
/// Files that are remembered; a rule may name any.
const MAX_FILES: usize = 64;

const FAILLOCK_FLAGS: [&str; 6] = ["even_deny_root", "audit", "silent", "no_log_info", "local_users_only", "nodelay"];
const PWQUALITY_NUMBERS: [&str; 16] = [
    "difok",
    "minlen",
    "dcredit",
    "ucredit",
    "lcredit",
    "ocredit",
    "minclass",
    "maxrepeat",
    "maxclassrepeat",
    "maxsequence",
    "gecoscheck",
    "dictcheck",
    "usercheck",
    "usersubstr",
    "enforcing",
    "retry",
];
const PWQUALITY_OTHERS: [&str; 4] = ["badwords", "dictpath", "enforce_for_root", "local_users_only"];

impl Configured {
    const ALL: [Configured; 2] = [Configured::Faillock, Configured::Pwquality];

    fn of(module: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|configured| configured.module() == module)
    }

    fn module(self) -> &'static str {
        match self {
            Configured::Faillock => "pam_faillock.so",
            Configured::Pwquality => "pam_pwquality.so",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Configured::Faillock => "/etc/security/faillock.conf",
            Configured::Pwquality => "/etc/security/pwquality.conf",
        }
    }

    /// A setting as the module takes it: its name and value. None is one that it refuses.
    fn accepted(self, name: &str, value: &str) -> Option<(String, String)> {
        match self {
            Configured::Faillock => {
                let value = match name {
                    "deny" => (scanned(value)? & 0xffff).to_string(),
                    "unlock_time" | "root_unlock_time" if value == "never" => "0".to_owned(),
                    "fail_interval" | "unlock_time" | "root_unlock_time" => {
                        const LONGEST_SECONDS: u64 = 604_800;
                        let seconds = scanned(value)? & 0xffff_ffff;
                        (seconds <= LONGEST_SECONDS).then(|| seconds.to_string())?
                    }
                    "dir" | "admin_group" => value.to_owned(),
                    flag if FAILLOCK_FLAGS.contains(&flag) => value.to_owned(),
                    _ => return None,
                };
                Some((name.to_owned(), value))
            }
            Configured::Pwquality => {
                let name = name.to_ascii_lowercase();
                let value = if PWQUALITY_NUMBERS.contains(&name.as_str()) {
                    value.trim_start().parse::<i32>().ok()?.to_string()
                } else if PWQUALITY_OTHERS.contains(&name.as_str()) {
                    value.to_owned()
                } else {
                    return None;
                };
                Some((name, value))
            }
        }
    }
}

/// `sscanf` of a number without a sign: what follows its digits does not count, and one below zero is a great one.
fn scanned(value: &str) -> Option<u64> {
    let value = value.trim_start();
    let (is_negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    let number = match digits[..end].parse::<u64>() {
        Ok(number) if is_negative => number.wrapping_neg(),
        Ok(number) => number,
        Err(_) if end > 0 => u64::MAX,
        Err(_) => return None,
    };
    Some(number)
}

/// The files of the two modules, each read once.
#[derive(Debug, Clone)]
struct Files {
    scan: Scan,
    read: Rc<RefCell<HashMap<PathBuf, Rc<Settings>>>>,
    called: Rc<RefCell<Vec<Configured>>>,
}

impl Files {
    fn new(scan: &Scan) -> Self {
        Files { scan: scan.clone(), read: Rc::default(), called: Rc::default() }
    }

    /// What the files of a module say; faillock takes another file from an argument.
    fn settings(&self, module: Configured, file: &Path) -> Rc<Settings> {
        if let Some(known) = self.read.borrow().get(file) {
            return Rc::clone(known);
        }
        let mut settings = Settings::new();
        let mut files = Vec::new();
        if module == Configured::Pwquality {
            let mut folder = file.as_os_str().to_owned();
            folder.push(".d");
            files = self.scan.paths(PathBuf::from(folder), ".conf");
        }
        files.push(file.to_owned());
        for file in files {
            let Some(text) = self.scan.text(&file) else { continue };
            let source = paths::display(&file);
            if let Err(line) = take(module, &text, &source, &mut settings) {
                self.scan
                    .warn(format!("line {line} of {source} is refused by {}, which reads no further", module.module()));
                break;
            }
        }
        let settings = Rc::new(settings);
        let mut read = self.read.borrow_mut();
        if read.len() < MAX_FILES {
            read.insert(file.to_owned(), Rc::clone(&settings));
        }
        settings
    }

    fn of_rule(&self, rule: &Rule) -> Settings {
        let configured = Configured::of(rule.module_name());
        let mut settings = Settings::new();
        if let Some(module) = configured {
            let mut called = self.called.borrow_mut();
            if !called.contains(&module) {
                called.push(module);
            }
            drop(called);
            let named = rule.arguments.iter().rev().find_map(|argument| argument.strip_prefix("conf="));
            let file = match named {
                Some(named) if module == Configured::Faillock => named,
                _ => module.file(),
            };
            if file.starts_with('/') {
                settings = Settings::clone(&self.settings(module, Path::new(file)));
            }
        }
        for (position, argument) in (1..).zip(&rule.arguments) {
            let (name, value) = argument.split_once('=').unwrap_or((argument.as_str(), ""));
            let as_given = || (name.to_owned(), value.to_owned());
            let taken = match configured {
                // A number that is none leaves what was said before.
                Some(module) => module.accepted(name, value).or_else(|| (!is_known(module, name)).then(as_given)),
                None => Some(as_given()),
            };
            if let Some((name, value)) = taken {
                settings.insert(name, Told { value, position, source: String::new() });
            }
        }
        settings
    }
}

/// Whether a module has a setting of that name, whatever its value.
fn is_known(module: Configured, name: &str) -> bool {
    module.accepted(name, "0").is_some()
}

fn rows(scan: &Scan) -> Rows {
    let (form, files) = pam::files(scan);
    let configured = Files::new(scan);
    let uncalled = configured.clone();
    let of_rules = pam::rules(scan, form, files).flat_map(move |(file, rule)| {
        let settings = configured.of_rule(&rule);
        let module = rule.module_name().to_owned();
        settings.into_iter().map(move |(name, told)| to_row(&file, Some(rule.line), &rule.kind, &module, name, told))
    });
    // Asked for when all rules are known.
    let of_files = std::iter::once_with(move || {
        let called = uncalled.called.borrow().clone();
        let others = Configured::ALL.into_iter().filter(move |module| !called.contains(module));
        others.flat_map(move |module| {
            let settings = Settings::clone(&uncalled.settings(module, Path::new(module.file())));
            settings.into_iter().map(move |(name, told)| to_row("", None, "", module.module(), name, told))
        })
    });
    Box::new(of_rules.chain(of_files.flatten()))
}

fn to_row(file: &str, line: Option<i64>, kind: &str, module: &str, name: String, told: Told) -> Row {
    let Told { value, position, source } = told;
    let source = if source.is_empty() { file.to_owned() } else { source };
    row! { file, line, r#type: kind, module, name, value, position, source }
}

/// Takes what a file says; what it refuses faillock passes over, and pwquality ends with it, at the line that is given.
fn take(module: Configured, text: &str, source: &str, settings: &mut Settings) -> Result<(), usize> {
    for (number, line) in (1..).zip(text.lines()) {
        if line.len() > MAX_LINE_BYTES && module == Configured::Pwquality {
            return Err(number);
        }
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() || line.len() > MAX_LINE_BYTES {
            continue;
        }
        let end = content.find(|letter: char| letter.is_whitespace() || letter == '=').unwrap_or(content.len());
        let (name, rest) = content.split_at(end);
        // One sign between them, with or without blanks around it.
        let rest = rest.trim_start();
        let value = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        match module.accepted(name, value) {
            Some((name, value)) => {
                settings.insert(name, Told { value, position: 0, source: source.to_owned() });
            }
            None if module == Configured::Pwquality => return Err(number),
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and value of each setting that a text leaves.
    fn taken(module: Configured, text: &str) -> (Vec<(String, String)>, Result<(), usize>) {
        let mut settings = Settings::new();
        let ended = take(module, text, "/x", &mut settings);
        (settings.into_iter().map(|(name, told)| (name, told.value)).collect(), ended)
    }

    #[test]
    fn files_are_read_as_their_modules_read_them() {
        let too_long = format!("deny = 3\ndeny = 0{}\n", " ".repeat(MAX_LINE_BYTES));
        for (module, text, expected) in [
            (Configured::Faillock, "deny = 3\ndeny = 0 # off\n", "deny 0"),
            (Configured::Faillock, "deny 0\n", "deny 0"),
            (Configured::Faillock, "deny=4\ndeny = none\nunlock_time=900s\n", "deny 4"),
            (Configured::Faillock, "deny = 65536\n", "deny 0"),
            (Configured::Faillock, too_long.as_str(), "deny 3"),
            (Configured::Faillock, "  deny\t=\t3\t# three\n#deny = 0\n", "deny 3"),
            (Configured::Pwquality, "minlen = 14\nminlen = 6 # short\n", "minlen 6"),
            (Configured::Pwquality, "MinLen 6\n", "minlen 6"),
        ] {
            let (settings, ended) = taken(module, text);
            let (name, value) = settings.first().unwrap();
            assert_eq!((format!("{name} {value}").as_str(), ended), (expected, Ok(())), "{text}");
        }
    }

    #[test]
    fn a_line_that_is_refused_ends_the_file_of_pwquality() {
        let (settings, ended) = taken(Configured::Pwquality, "minlen = 14\nnonsense\nminlen = 6\n");
        assert_eq!((settings, ended), (vec![("minlen".to_owned(), "14".to_owned())], Err(2)));
        let (settings, ended) = taken(Configured::Faillock, "nonsense\nunlock_time = never\nunlock_time = 9999999\n");
        assert_eq!((settings, ended), (vec![("unlock_time".to_owned(), "0".to_owned())], Ok(())));
    }

    #[test]
    fn a_number_is_what_scanf_finds() {
        for (text, expected) in
            [("3", Some(3)), (" +3x", Some(3)), ("-1", Some(u64::MAX)), ("x", None), ("", None), ("-", None)]
        {
            assert_eq!(scanned(text), expected, "{text}");
        }
        assert_eq!(scanned("99999999999999999999"), Some(u64::MAX));
    }
}
