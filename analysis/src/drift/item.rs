//! Things that come and go on an asset, and the changes of them. Their texts are a host's own: kept to a bound, compared
//! by a digest of the whole, so that two long texts with one beginning are two things.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Bytes that are kept of a text; a longer one is cut and ends in `…`. Identity is by the whole text.
pub const MAX_TEXT: usize = 1_024;

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A program that runs; the subject is its path or name, without what differs with each start.
    Process,
    /// A socket that accepts connections; the subject is `4444/tcp`.
    Port,
    /// A file; the detail is what tells its content (a digest, mode and owner).
    File,
    /// An account; the detail is its rights.
    Account,
    /// Software that is installed; the detail is its version.
    Software,
    /// A service of the init system; the detail is whether it is enabled.
    Service,
    /// What starts by itself: a timer, a line of cron, a login item.
    Autorun,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::Process, Self::Port, Self::File, Self::Account, Self::Software, Self::Service, Self::Autorun];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Process => 1,
            Self::Port => 2,
            Self::File => 3,
            Self::Account => 4,
            Self::Software => 5,
            Self::Service => 6,
            Self::Autorun => 7,
        }
    }

    /// Entries that an asset's baseline keeps of the kind. A thing takes two, one for it and one for the form it has.
    /// Above what honest hosts have (a large one: 5,000 packages, 1,000 programs, 200 ports).
    pub const fn quota(self) -> usize {
        match self {
            Self::File | Self::Software => 16_384,
            Self::Process => 4_096,
            Self::Port | Self::Account | Self::Service | Self::Autorun => 2_048,
        }
    }

    /// Entries that a group's baseline keeps: more than three hostile members fill.
    pub const fn group_quota(self) -> usize {
        4 * self.quota()
    }
}

/// A digest of a thing's identity: 128 bits of SHA-256, so that no host finds a second text for the digest of a thing
/// that is usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureId(pub(super) [u8; 16]);

impl FeatureId {
    fn of(kind: Kind, parts: &[&str]) -> Self {
        let mut digest = Sha256::new();
        digest.update([kind.code(), u8::try_from(parts.len()).unwrap_or(u8::MAX)]);
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finalize()[..16]);
        Self(id)
    }
}

/// A thing on an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    kind: Kind,
    subject: String,
    detail: Option<String>,
    #[serde(skip)]
    name: FeatureId,
    #[serde(skip)]
    form: FeatureId,
}

impl Item {
    /// A thing, named by its subject; the detail says in which form it is there, where things of the kind change.
    pub fn new(kind: Kind, subject: &str, detail: Option<&str>) -> Self {
        let name = FeatureId::of(kind, &[subject]);
        let form = FeatureId::of(kind, &[subject, if detail.is_some() { "in form" } else { "" }, detail.unwrap_or("")]);
        Self { kind, subject: cut(subject), detail: detail.map(cut), name, form }
    }

    /// What kind of thing.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name, cut to [`MAX_TEXT`]. A host's own text: show it by [`crate::text::named`].
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its form, cut to [`MAX_TEXT`].
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// The identity of the thing, in whatever form.
    pub const fn name(&self) -> FeatureId {
        self.name
    }

    /// The identity of the thing in its form.
    pub const fn form(&self) -> FeatureId {
        self.form
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |item: &Self| (item.kind, item.form);
        (key(self), &self.subject, &self.detail).cmp(&(key(other), &other.subject, &other.detail))
    }
}

/// What happened to a thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is there and was not.
    Appeared(Item),
    /// It is there in another form.
    Changed {
        /// As it was.
        before: Item,
        /// As it is.
        after: Item,
    },
    /// It is no longer there.
    Vanished(Item),
}

impl Change {
    /// What is there now and was not.
    pub const fn gained(&self) -> Option<&Item> {
        match self {
            Self::Appeared(item) | Self::Changed { after: item, .. } => Some(item),
            Self::Vanished(_) => None,
        }
    }

    /// What was there and is not.
    pub const fn lost(&self) -> Option<&Item> {
        match self {
            Self::Vanished(item) | Self::Changed { before: item, .. } => Some(item),
            Self::Appeared(_) => None,
        }
    }

    /// The thing, as it is or was last.
    pub const fn item(&self) -> &Item {
        match self {
            Self::Appeared(item) | Self::Vanished(item) | Self::Changed { after: item, .. } => item,
        }
    }

    /// What kind of thing.
    pub const fn kind(&self) -> Kind {
        self.item().kind
    }
}

/// The same changes as a set: what went and came in one form is none, what went in one form and came in another is one
/// change, and each is there once, in an order that does not depend on that of the input.
pub(super) fn normalised(changes: Vec<Change>) -> Vec<Change> {
    type Forms = BTreeMap<FeatureId, Item>;
    let mut by_name: BTreeMap<(Kind, FeatureId), (Forms, Forms)> = BTreeMap::new();
    for change in changes {
        let (lost, gained) = match change {
            Change::Appeared(item) => (None, Some(item)),
            Change::Vanished(item) => (Some(item), None),
            Change::Changed { before, after } => (Some(before), Some(after)),
        };
        if let Some(item) = lost {
            by_name.entry((item.kind, item.name)).or_default().0.insert(item.form, item);
        }
        if let Some(item) = gained {
            by_name.entry((item.kind, item.name)).or_default().1.insert(item.form, item);
        }
    }
    let mut out = Vec::new();
    for (mut lost, mut gained) in by_name.into_values() {
        lost.retain(|form, _| gained.remove(form).is_none());
        if lost.len() == 1 && gained.len() == 1 {
            out.extend(
                lost.into_values().zip(gained.into_values()).map(|(before, after)| Change::Changed { before, after }),
            );
            continue;
        }
        out.extend(lost.into_values().map(Change::Vanished));
        out.extend(gained.into_values().map(Change::Appeared));
    }
    out
}

fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_TEXT - '…'.len_utf8());
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(subject: &str) -> Item {
        Item::new(Kind::Port, subject, None)
    }

    fn package(version: &str) -> Item {
        Item::new(Kind::Software, "openssl", Some(version))
    }

    #[test]
    fn identity_is_by_the_whole_text_and_no_two_texts_run_together() {
        let long = |end: &str| Item::new(Kind::File, &format!("{}{end}", "é".repeat(2_000)), None);
        assert_eq!(long("a").subject(), long("b").subject());
        assert!(long("a").subject().len() <= MAX_TEXT && long("a").subject().ends_with('…'));
        assert_ne!(long("a").name(), long("b").name());
        assert_ne!(package("1").form(), package("2").form());
        assert_eq!(package("1").name(), package("2").name());
        assert_ne!(Item::new(Kind::File, "ab", Some("c")).form(), Item::new(Kind::File, "a", Some("bc")).form());
        assert_ne!(Item::new(Kind::File, "a", Some("")).form(), Item::new(Kind::File, "a", None).form());
        assert_ne!(Item::new(Kind::File, "a", None).name(), Item::new(Kind::Process, "a", None).name());
    }

    #[test]
    fn a_thing_that_went_and_came_in_another_form_is_one_change() {
        let changes = vec![
            Change::Appeared(package("2")),
            Change::Appeared(port("22/tcp")),
            Change::Vanished(package("1")),
            Change::Vanished(port("22/tcp")),
            Change::Appeared(port("80/tcp")),
            Change::Appeared(port("80/tcp")),
        ];
        let mut reversed = changes.clone();
        reversed.reverse();
        let found = normalised(changes);
        assert_eq!(found, normalised(reversed));
        let expected =
            [Change::Appeared(port("80/tcp")), Change::Changed { before: package("1"), after: package("2") }];
        assert_eq!(found.len(), 2);
        assert!(expected.iter().all(|change| found.contains(change)));
    }
}
