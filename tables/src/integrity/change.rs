//! What differs between an entry and its record.

use super::baseline::{Content, Record};

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was not there.
    Added,
    /// It is there no more.
    Removed,
    /// It is there, and differs.
    Changed,
}

impl ChangeKind {
    /// The name as it is written in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

/// In what an entry differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Field {
    Kind,
    Mode,
    Owner,
    Group,
    Size,
    Content,
    /// Capabilities or access list.
    Attributes,
    /// Where a link points.
    Target,
    /// The number of a device: with another one the same name opens another device.
    Device,
    /// The mtime, of a file only: that of a folder changes with each file in it, which is told by itself.
    Modified,
}

impl Field {
    /// The name as it is written in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "type",
            Self::Mode => "mode",
            Self::Owner => "uid",
            Self::Group => "gid",
            Self::Size => "size",
            Self::Content => "content",
            Self::Attributes => "attributes",
            Self::Target => "target",
            Self::Device => "device",
            Self::Modified => "mtime",
        }
    }
}

/// A difference between a baseline and the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What became of the entry.
    pub kind: ChangeKind,
    /// As the baseline has it; none if it was added.
    pub before: Option<Record>,
    /// As the tree has it; none if it was removed.
    pub after: Option<Record>,
    /// In what they differ; empty if it was added or removed.
    pub fields: Vec<Field>,
}

impl Change {
    pub(super) fn added(after: Record) -> Self {
        Self { kind: ChangeKind::Added, before: None, after: Some(after), fields: Vec::new() }
    }

    pub(super) fn removed(before: Record) -> Self {
        Self { kind: ChangeKind::Removed, before: Some(before), after: None, fields: Vec::new() }
    }

    /// None if they do not differ in what counts.
    pub(super) fn between(before: &Record, after: &Record) -> Option<Self> {
        let fields = differences(before, after);
        (!fields.is_empty()).then(|| Self {
            kind: ChangeKind::Changed,
            before: Some(before.clone()),
            after: Some(after.clone()),
            fields,
        })
    }

    /// The path; bytes that are not UTF-8 are replaced.
    pub fn path_text(&self) -> String {
        let path = self.after.as_ref().or(self.before.as_ref()).map_or(&b""[..], |record| &record.path);
        String::from_utf8_lossy(path).into_owned()
    }
}

/// Whether what the entry holds can be compared now and could not be when its record was made.
pub(super) fn was_unknown(before: &Record, after: &Record) -> bool {
    before.kind == after.kind
        && match (&before.content, &after.content) {
            (Content::Unknown, after) => *after != Content::Unknown,
            (Content::None, Content::Device(_)) => true,
            _ => false,
        }
}

fn differences(before: &Record, after: &Record) -> Vec<Field> {
    let is_file = after.kind == super::Kind::File;
    // What could not be read then or now is told as a gap; it is no change.
    let (content, attributes, target, device) = match (&before.content, &after.content) {
        (Content::Digest(before, old), Content::Digest(after, new)) => (before != after, old != new, false, false),
        (Content::Target(before), Content::Target(after)) => (false, false, before != after, false),
        (Content::Device(before), Content::Device(after)) => (false, false, false, before != after),
        _ => (false, false, false, false),
    };
    let found = [
        (Field::Kind, before.kind != after.kind),
        (Field::Mode, before.mode != after.mode),
        (Field::Owner, before.uid != after.uid),
        (Field::Group, before.gid != after.gid),
        (Field::Size, is_file && before.size != after.size),
        (Field::Content, content),
        (Field::Attributes, attributes),
        (Field::Target, target),
        (Field::Device, device),
        (Field::Modified, is_file && before.modified != after.modified),
    ];
    found.into_iter().filter_map(|(field, differs)| differs.then_some(field)).collect()
}
