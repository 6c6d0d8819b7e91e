//! What silences a drift: a change that somebody approved, or a window in which somebody works on the asset. What is
//! silenced is kept and learned like everything else; only nobody is told.

use serde::{Deserialize, Serialize};

use super::item::{Change, Kind};
use super::{Context, Run};
use crate::grant::Grant;

/// Characters of an approval's subject.
const MAX_SUBJECT: usize = 1_000;

/// Why an approval's subject is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing is named: that is a maintenance window.
    #[error("name what is approved; for everything at once plan a maintenance window")]
    Empty,
    /// It is too long.
    #[error("write at most {MAX_SUBJECT} characters")]
    TooLong,
}

/// Which things an approval is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Subject {
    text: String,
    is_beginning: bool,
}

/// A subject as somebody wrote it, before anybody looked at it.
#[derive(Deserialize)]
struct Written {
    text: String,
    #[serde(default)]
    is_beginning: bool,
}

impl TryFrom<Written> for Subject {
    type Error = PatternError;

    fn try_from(Written { text, is_beginning }: Written) -> Result<Self, PatternError> {
        Self::checked(&text, is_beginning)
    }
}

impl Subject {
    /// The thing of exactly that name.
    pub fn exactly(name: &str) -> Result<Self, PatternError> {
        Self::checked(name, false)
    }

    /// Everything whose name begins so.
    pub fn beginning_with(name: &str) -> Result<Self, PatternError> {
        Self::checked(name, true)
    }

    fn checked(text: &str, is_beginning: bool) -> Result<Self, PatternError> {
        if text.trim().is_empty() {
            return Err(PatternError::Empty);
        }
        if text.chars().take(MAX_SUBJECT + 1).count() > MAX_SUBJECT {
            return Err(PatternError::TooLong);
        }
        Ok(Self { text: text.to_owned(), is_beginning })
    }

    /// The name, or its beginning.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether everything is meant whose name begins so.
    pub const fn is_beginning(&self) -> bool {
        self.is_beginning
    }

    fn names(&self, subject: &str) -> bool {
        if self.is_beginning { subject.starts_with(&self.text) } else { subject == self.text }
    }
}

/// A change that somebody approved. Whether it holds for an asset or its group is the caller's to filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Of which kind.
    pub kind: Kind,
    /// Of what.
    pub subject: Subject,
    /// Only in that form (a version, a digest); none: in every form.
    pub detail: Option<String>,
    /// Who, why, until when.
    pub grant: Grant,
}

impl Approval {
    /// Whether it is about that change: what it made, or for what vanished, what it took.
    pub fn concerns(&self, change: &Change) -> bool {
        let item = change.item();
        self.kind == item.kind()
            && self.subject.names(item.subject())
            && self.detail.as_ref().is_none_or(|detail| item.detail() == Some(detail))
    }
}

/// Why nobody is told of a drift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Silence {
    /// Somebody approved it.
    Approval(Grant),
    /// Somebody worked on the asset.
    Maintenance(Grant),
}

/// What silences a change, the approval before the window, and of several the one that lasts longest.
///
/// Nobody knows when between two looks a thing changed. It is silenced if that may have been while the approval or the
/// window was in force: work that ends an hour before the next scan is still work.
pub(super) fn silence(change: &Change, run: Run<'_>, context: Context<'_>) -> Option<Silence> {
    let latest = |grants: &mut dyn Iterator<Item = &Grant>| {
        grants.filter(|grant| grant.overlaps(run.previous, run.at)).max_by_key(|grant| grant.until()).cloned()
    };
    let approvals = context.approvals.iter().filter(|approval| approval.concerns(change));
    latest(&mut approvals.map(|approval| &approval.grant))
        .map(Silence::Approval)
        .or_else(|| latest(&mut context.windows.iter()).map(Silence::Maintenance))
}
