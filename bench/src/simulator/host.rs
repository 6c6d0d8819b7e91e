//! A host as modules see it: packages, accounts, listening ports and settings of sshd, drawn from a seed. It keeps numbers, not
//! texts, so that ten thousand hosts fit into a few megabytes; the texts are made when a run is.

use std::collections::{BTreeMap, BTreeSet};

use catalog::envelope::{Fact, Finding, Verdict};
use catalog::facts::Row;
use catalog::wire::{HostIdentity, OsInfo};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::content::Content;

const PACKAGES: [&str; 24] = [
    "libc6",
    "openssl",
    "openssh-server",
    "bash",
    "coreutils",
    "systemd",
    "nginx",
    "postgresql",
    "python3",
    "curl",
    "perl",
    "tzdata",
    "zlib1g",
    "libssl3",
    "git",
    "sudo",
    "rsyslog",
    "cron",
    "vim",
    "redis-server",
    "docker-ce",
    "gnupg",
    "apt",
    "dpkg",
];
const SECTIONS: [&str; 6] = ["libs", "admin", "net", "utils", "database", "httpd"];
const SERVICES: [(&str, u16); 8] = [
    ("sshd", 22),
    ("nginx", 80),
    ("nginx", 443),
    ("postgres", 5432),
    ("redis-server", 6379),
    ("node", 3000),
    ("java", 8080),
    ("prometheus", 9090),
];
/// Packages that exist; each host has some of them.
const PACKAGES_IN_ALL: u32 = 4_000;
const DEBIANS: [(&str, &str, &str); 2] = [
    ("Debian GNU/Linux 12 (bookworm)", "12", "6.1.0-28-amd64"),
    ("Debian GNU/Linux 13 (trixie)", "13", "6.12.48-amd64"),
];

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    Software,
    Users,
    Network,
    Sshd,
}

impl Subject {
    pub const ALL: [Self; 4] = [Self::Software, Self::Users, Self::Network, Self::Sshd];

    /// The module that reports it.
    pub const fn module(self) -> &'static str {
        match self {
            Self::Software => "linux-inventory-software",
            Self::Users => "linux-inventory-users",
            Self::Network => "linux-inventory-network",
            Self::Sshd => "linux-sshd-hardening",
        }
    }

    /// The subject of a module.
    pub fn of(module: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.module() == module)
    }
}

/// A host.
#[derive(Debug)]
pub struct Host {
    seed: u64,
    /// Number of the package, and how often it was upgraded.
    packages: BTreeMap<u32, u32>,
    /// Numbers of the people who have an account.
    people: BTreeSet<u32>,
    /// Port, and the number of the service that listens there.
    ports: BTreeMap<u16, usize>,
    /// Positions of the sshd checks that fail.
    weak_settings: BTreeSet<usize>,
    random: StdRng,
}

impl Host {
    /// The host of a seed: the same one every time.
    pub fn of(seed: u64, content: &Content) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(60..180_usize);
        let packages = (0..count).map(|_| (random.random_range(0..PACKAGES_IN_ALL), 0)).collect();
        let people = (0..random.random_range(2..12)).map(|_| random.random_range(0..5_000)).collect();
        let mut ports: BTreeMap<u16, usize> = BTreeMap::from([(22, 0)]);
        for _ in 0..random.random_range(1..6) {
            let service = random.random_range(1..SERVICES.len());
            ports.insert(SERVICES[service].1, service);
        }
        let weak_settings = (0..content.sshd_checks.len()).filter(|_| random.random_bool(0.25)).collect();
        Self { seed, packages, people, ports, weak_settings, random }
    }

    /// Its name.
    pub fn name(&self) -> String {
        format!("host-{:06}.example", self.seed)
    }

    /// What makes it this host.
    pub fn identity(&self) -> HostIdentity {
        let state_uuid = uuid::Builder::from_custom_bytes(u128::from(self.seed).to_be_bytes()).into_uuid();
        HostIdentity { state_uuid, ..HostIdentity::default() }
    }

    /// What it runs.
    pub fn os(&self) -> OsInfo {
        let (name, version, kernel) = DEBIANS[usize::from(self.seed.is_multiple_of(4))];
        let text = str::to_owned;
        OsInfo {
            name: text(name),
            version: text(version),
            id: text("debian"),
            arch: text("x86_64"),
            kernel: text(kernel),
        }
    }

    /// Something happens on the host: always a change, and what it is about.
    pub fn change(&mut self, content: &Content) -> Subject {
        match self.random.random_range(0..10) {
            0..4 => {
                let port = self.random.random_range(30_000..60_000);
                let temporary: Vec<u16> = self.ports.keys().copied().filter(|port| *port >= 30_000).collect();
                // What was opened is closed after a while.
                if temporary.len() >= 3 {
                    self.ports.remove(&temporary[0]);
                } else {
                    self.ports.insert(port, self.random.random_range(5..SERVICES.len()));
                }
                Subject::Network
            }
            4..7 => {
                let any = self.random.random_range(0..self.packages.len());
                if let Some(upgraded) = self.packages.values_mut().nth(any) {
                    *upgraded += 1;
                }
                Subject::Software
            }
            7 => {
                let person = self.random.random_range(0..5_000);
                if !self.people.remove(&person) {
                    self.people.insert(person);
                }
                Subject::Users
            }
            _ => {
                let setting = self.random.random_range(0..content.sshd_checks.len());
                if !self.weak_settings.remove(&setting) {
                    self.weak_settings.insert(setting);
                }
                Subject::Sshd
            }
        }
    }

    /// The rows that the subject's module keeps.
    pub fn facts(&self, subject: Subject) -> Vec<Fact> {
        match subject {
            Subject::Software => self.packages.iter().map(|(&number, &upgraded)| package(number, upgraded)).collect(),
            Subject::Users => self.accounts(),
            Subject::Network => self.ports.iter().map(|(&port, &service)| listening(port, service)).collect(),
            Subject::Sshd => Vec::new(),
        }
    }

    /// The verdict of each check of the subject's module, by position.
    pub fn verdict(&self, position: usize) -> Verdict {
        if self.weak_settings.contains(&position) { Verdict::Fail } else { Verdict::Pass }
    }

    /// One finding for each failing check.
    pub fn findings(&self, content: &Content) -> Vec<Finding> {
        let of = |position: &usize| {
            let check = content.sshd_checks.get(*position)?;
            let evidence = Row::from([
                ("actual".to_owned(), json!((self.seed + *position as u64) % 10)),
                ("expected".to_owned(), json!("4 or less")),
            ]);
            Some(Finding { check: check.id.clone(), severity: check.severity, resource: "sshd".to_owned(), evidence })
        };
        self.weak_settings.iter().filter_map(of).collect()
    }

    fn accounts(&self) -> Vec<Fact> {
        let system = ["root", "daemon", "sshd", "www-data", "nobody"]
            .into_iter()
            .enumerate()
            .map(|(uid, name)| (uid as u64, name.to_owned()));
        let people = self.people.iter().map(|&number| (1_000 + u64::from(number), format!("user{number:04}")));
        let account = |(uid, name): (u64, String)| {
            let home = if uid >= 1_000 { format!("/home/{name}") } else { format!("/var/lib/{name}") };
            let row = row([
                ("username", json!(name)),
                ("uid", json!(uid)),
                ("gid", json!(uid)),
                ("description", json!("")),
                ("directory", json!(home)),
                ("shell", json!(if uid >= 1_000 { "/bin/bash" } else { "/usr/sbin/nologin" })),
            ]);
            Fact::new("users", &["username".to_owned()], row)
        };
        system.chain(people).map(account).collect()
    }
}

fn row<const N: usize>(columns: [(&str, Value); N]) -> Row {
    columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A package of the archive.
pub fn package(number: u32, upgraded: u32) -> Fact {
    let stem = PACKAGES[number as usize % PACKAGES.len()];
    let row = row([
        ("name", json!(format!("{stem}-{number}"))),
        ("version", json!(format!("{}.{}.{}", number % 7 + 1, number % 31, upgraded))),
        ("revision", json!(format!("{}+deb12u{upgraded}", number % 5))),
        ("arch", json!("amd64")),
        ("source", json!(stem)),
        ("section", json!(SECTIONS[number as usize % SECTIONS.len()])),
        ("maintainer", json!("Debian Maintainers <maintainers@debian.example>")),
    ]);
    Fact::new("deb_packages", &["name".to_owned(), "arch".to_owned()], row)
}

fn listening(port: u16, service: usize) -> Fact {
    let process = SERVICES[service].0;
    let row = row([
        ("port", json!(port)),
        ("protocol", json!(6)),
        ("family", json!(2)),
        ("address", json!("0.0.0.0")),
        ("process", json!(process)),
        ("path", json!(format!("/usr/sbin/{process}"))),
    ]);
    Fact::new("listening_ports", &["port".to_owned(), "protocol".to_owned(), "address".to_owned()], row)
}

/// The run's id: from the time, as agents make them.
pub fn run_id() -> Uuid {
    Uuid::now_v7()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_host_and_every_change_is_one() {
        let content = Content::read().unwrap();
        let (mut one, mut same) = (Host::of(7, &content), Host::of(7, &content));
        for _ in 0..50 {
            let before = |host: &Host, subject| (host.facts(subject), host.findings(&content));
            let was = Subject::ALL.map(|subject| before(&one, subject));
            let subject = one.change(&content);
            assert_eq!(subject, same.change(&content));
            let now = Subject::ALL.map(|subject| before(&one, subject));
            assert_eq!(now, Subject::ALL.map(|subject| before(&same, subject)));
            assert_ne!(was, now, "{subject:?}");
        }
        assert_ne!(one.facts(Subject::Software), Host::of(8, &content).facts(Subject::Software));
    }
}
