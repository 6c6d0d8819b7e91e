//! Accounts and groups of a Windows image, from the hive SAM. Its structures are undocumented and have not changed since Windows
//! 2000; only names, comments, groups and members are read, never what proves a password.

use crate::windows::encoding::{u32_of, u64_of, utf16};
use crate::windows::machine::{Entry, Machine, SYSTEM_SID};

/// Where the texts of an account begin in its record `V`, and of a group in its record `C`.
const ACCOUNT_TEXTS: usize = 0xcc;
const GROUP_TEXTS: usize = 0x34;
/// Sub-authorities of one SID (`[MS-DTYP]` 2.4.2).
const MAX_AUTHORITIES: usize = 15;
const MAX_MEMBERS: u32 = 100_000;
/// What Windows gives to every account that names no other group.
const USERS_GROUP: u32 = 513;

/// An account, of this machine or one that has a profile on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The last number of its SID.
    pub id: u32,
    pub group: u32,
    pub name: String,
    pub comment: String,
    pub sid: String,
    /// The folder of its profile; none if it never signed in.
    pub folder: String,
    /// osquery's word for where it is from: `local`, `roaming`, `special`.
    pub kind: &'static str,
}

/// A local group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    pub id: u32,
    pub name: String,
    pub sid: String,
    pub comment: String,
    /// SIDs of its members.
    pub members: Vec<String>,
}

/// The accounts of the machine, then those that only have a profile.
pub(crate) fn accounts(machine: &Machine) -> Vec<Account> {
    let profiles = machine.profiles();
    let domain = machine.system_hive("SAM").and_then(|root| root.at(r"SAM\Domains\Account"));
    let mut accounts = Vec::new();
    if let (Some(domain), Some(machine_sid)) = (&domain, domain.as_ref().and_then(machine_sid)) {
        for key in domain.child("Users").iter().flat_map(Entry::children) {
            let (Ok(id), Some(record)) = (u32::from_str_radix(key.name(), 16), key.value("V")) else { continue };
            let sid = format!("{machine_sid}-{id}");
            let profile = profiles.iter().find(|profile| profile.sid == sid);
            accounts.push(Account {
                id,
                group: key.value("F").map_or(USERS_GROUP, |flags| u32_of(&flags.bytes, 0x34)),
                name: text_at(&record.bytes, 0x0c, ACCOUNT_TEXTS),
                comment: text_at(&record.bytes, 0x24, ACCOUNT_TEXTS),
                folder: profile.map(|profile| profile.folder.clone()).unwrap_or_default(),
                sid,
                kind: "local",
            });
        }
    }
    for profile in profiles {
        if accounts.iter().any(|account| account.sid == profile.sid) {
            continue;
        }
        let id = profile.sid.rsplit('-').next().and_then(|id| id.parse().ok()).unwrap_or(0);
        let is_special = matches!(profile.sid.as_str(), SYSTEM_SID | "S-1-5-19" | "S-1-5-20");
        accounts.push(Account {
            id,
            group: if is_special { id } else { USERS_GROUP },
            name: special_name(&profile.sid).map_or_else(|| profile.name().to_owned(), str::to_owned),
            comment: String::new(),
            folder: profile.folder,
            sid: profile.sid,
            kind: if is_special { "special" } else { "roaming" },
        });
    }
    accounts
}

fn special_name(sid: &str) -> Option<&'static str> {
    match sid {
        SYSTEM_SID => Some("SYSTEM"),
        "S-1-5-19" => Some("LOCAL SERVICE"),
        "S-1-5-20" => Some("NETWORK SERVICE"),
        _ => None,
    }
}

/// The local groups: those that every Windows has, then the machine's own.
pub(crate) fn groups(machine: &Machine) -> Vec<Group> {
    let Some(domains) = machine.system_hive("SAM").and_then(|root| root.at(r"SAM\Domains")) else { return Vec::new() };
    let own_sid = domains.child("Account").as_ref().and_then(machine_sid);
    let places = [("Builtin", Some("S-1-5-32".to_owned())), ("Account", own_sid)];
    let mut groups = Vec::new();
    for (name, domain_sid) in places {
        let (Some(list), Some(domain_sid)) = (domains.child(name).and_then(|key| key.child("Aliases")), domain_sid)
        else {
            continue;
        };
        for key in list.children() {
            let (Ok(id), Some(record)) = (u32::from_str_radix(key.name(), 16), key.value("C")) else { continue };
            groups.push(Group {
                id,
                name: text_at(&record.bytes, 0x10, GROUP_TEXTS),
                comment: text_at(&record.bytes, 0x1c, GROUP_TEXTS),
                sid: format!("{domain_sid}-{id}"),
                members: members(&record.bytes),
            });
        }
    }
    groups
}

/// Pairs of an account and a local group that it is in, by their numbers.
pub(crate) fn memberships(machine: &Machine) -> Vec<(u32, u32)> {
    let accounts = accounts(machine);
    let groups = groups(machine);
    let mut pairs = Vec::new();
    for group in &groups {
        let members = accounts.iter().filter(|account| group.members.contains(&account.sid));
        pairs.extend(members.map(|account| (account.id, group.id)));
    }
    pairs
}

/// The machine's own SID: the last three numbers of its record.
fn machine_sid(domain: &Entry) -> Option<String> {
    let record = domain.value("V")?.bytes;
    let end = record.get(record.len().checked_sub(12)?..)?;
    Some(format!("S-1-5-21-{}-{}-{}", u32_of(end, 0), u32_of(end, 4), u32_of(end, 8)))
}

/// A text that a record describes by offset and length.
fn text_at(record: &[u8], at: usize, base: usize) -> String {
    let number = |at: usize| usize::try_from(u32_of(record, at)).unwrap_or(usize::MAX);
    let text = base.checked_add(number(at)).and_then(|start| record.get(start..)?.get(..number(at + 4)));
    text.map(utf16).unwrap_or_default()
}

fn members(record: &[u8]) -> Vec<String> {
    let start = usize::try_from(u32_of(record, 0x28)).ok().and_then(|start| start.checked_add(GROUP_TEXTS));
    let mut rest = start.and_then(|start| record.get(start..)).unwrap_or_default();
    let mut members = Vec::new();
    for _ in 0..u32_of(record, 0x30).min(MAX_MEMBERS) {
        let Some((sid, length)) = sid(rest) else { break };
        members.push(sid);
        rest = rest.get(length..).unwrap_or_default();
    }
    members
}

/// A SID in its text form, and its length in bytes.
fn sid(bytes: &[u8]) -> Option<(String, usize)> {
    let count = usize::from(*bytes.get(1)?).min(MAX_AUTHORITIES);
    let length = 8 + count * 4;
    let bytes = bytes.get(..length)?;
    // Six bytes in big endian.
    let authority = u64_of(bytes, 0).swap_bytes() & 0xffff_ffff_ffff;
    let mut text = format!("S-{}-{authority}", bytes[0]);
    for index in 0..count {
        text.push('-');
        text.push_str(&u32_of(bytes, 8 + index * 4).to_string());
    }
    Some((text, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sid_is_shown_as_windows_writes_it() {
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0, 9];
        assert_eq!(sid(&bytes), Some(("S-1-5-32-544".to_owned(), 16)));
        assert_eq!(sid(&bytes[..15]), None);
    }

    proptest! {
        #[test]
        fn any_record_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            members(&bytes);
            text_at(&bytes, 0x0c, ACCOUNT_TEXTS);
            text_at(&bytes, 0x10, GROUP_TEXTS);
        }
    }
}
