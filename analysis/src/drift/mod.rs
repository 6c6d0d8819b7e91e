//! Drift: what changed on an asset, how unusual that is there and among its like, and in words a person reads.
//!
//! Two baselines are kept, and both only ever grow by what changed: an [`Asset`] knows what it has, and in which of the
//! last [`WEEKS`] weeks it had it; a [`Group`] of like assets knows on how many of them each thing is, or was in those
//! weeks, counting less with every week. Each asset counts for one, whatever it does, so a host that starts and stops a
//! thing a thousand times makes it no more usual; both are bounded by quotas, and what is over a quota is scored as if
//! never seen: a hostile host can be loud, but cannot teach silence.
//!
//! The first look at an asset is its inventory and no drift. In a group of fewer than [`MIN_OTHERS`] others the group
//! says nothing, and the sentence says that. Approved changes and maintenance windows silence a drift: it is still
//! there, with who silenced it, and still learned.

mod asset;
mod codec;
mod group;
mod item;
mod rarity;
mod sentence;
mod silence;
mod time;

pub use asset::Asset;
pub use codec::DecodeError;
pub use group::Group;
pub use item::{Change, FeatureId, Item, Kind, MAX_TEXT};
pub use rarity::{Evidence, MATURE_DAYS, MIN_OTHERS, rarity};
pub use silence::{Approval, PatternError, Silence, Subject};
pub use time::{Day, WEEKS, Week};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::grant::Grant;

/// Drifts that one run gives at most, the rarest first; how many more there were is counted. A person reads no more, and
/// a host that changes everything at once must not fill a table.
pub const MAX_DRIFTS: usize = 1_000;

/// One look at an asset.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// When, by the server's clock: a host's own could make its past expire.
    pub at: DateTime<Utc>,
    /// When the look before was: a change happened after that, and up to `at`.
    pub previous: Option<DateTime<Utc>>,
    /// Whether it is the first of its kind (of that module on that asset): then what it found was there before.
    pub is_inventory: bool,
    /// What it looked at, also where it found nothing: the first autorun of a host that had none is drift.
    pub kinds: &'a [Kind],
}

/// What a run is judged by beside the baselines.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What the assets of the group are, in the plural: "web servers".
    pub group: &'a str,
    /// Changes that somebody approved for this asset.
    pub approvals: &'a [Approval],
    /// Maintenance windows of this asset, as instants: the caller knows the zone they were planned in.
    pub windows: &'a [Grant],
}

/// A change that is worth showing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// What changed.
    pub change: Change,
    /// 0–100.
    pub rarity: u8,
    /// What the rarity was drawn from.
    pub evidence: Evidence,
    /// All of it in words. Holds no control characters, and is shorter than 600 characters.
    pub sentence: String,
    /// Why nobody is told of it.
    pub silence: Option<Silence>,
}

/// What a run gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The rarest first; at most [`MAX_DRIFTS`].
    pub drifts: Vec<Drift>,
    /// Drifts beyond these.
    pub further: usize,
    /// Things learned as inventory.
    pub inventory: usize,
    /// Things that no baseline is kept of, because the asset reports more than it has room for.
    pub unlearned: usize,
}

/// Judges the changes of a run by the baselines as they were before it, then teaches it to both. The asset must be a
/// member of the group (the first run of its kind makes it one).
///
/// The order of changes does not matter; repeats count once; a thing that vanished and appeared in another form is one
/// change. All changes of a run are to be given at once, and a run once: baselines and cursor belong in one transaction.
pub fn follow(
    asset: &mut Asset,
    group: &mut Group,
    changes: Vec<Change>,
    run: Run<'_>,
    context: Context<'_>,
) -> Outcome {
    let day = Day::of(run.at);
    let mut outcome = Outcome::default();
    let changes = item::normalised(changes);
    for change in &changes {
        if run.is_inventory || !asset.knows(change.kind()) {
            continue;
        }
        let evidence = Evidence::of(asset, group, change, day);
        outcome.drifts.push(Drift {
            rarity: rarity(change, &evidence),
            sentence: sentence::sentence(change, &evidence, context.group),
            silence: silence::silence(change, run, context),
            evidence,
            change: change.clone(),
        });
    }
    outcome.inventory = changes.iter().filter(|change| change.gained().is_some()).count();
    outcome.inventory -= outcome.drifts.iter().filter(|drift| drift.change.gained().is_some()).count();
    let is_new = |kind: Kind| run.is_inventory || !asset.knows(kind);
    let since: Vec<Day> =
        changes.iter().map(|change| if is_new(change.kind()) { day.established() } else { day }).collect();
    for kind in run.kinds.iter().copied().chain(changes.iter().map(Change::kind)) {
        asset.begin(kind, day, group);
    }
    // What went makes room for what came.
    for item in changes.iter().filter_map(Change::lost) {
        asset.lose(item, day, group);
    }
    for (item, since) in changes.iter().zip(since).filter_map(|(change, since)| Some((change.gained()?, since))) {
        if !asset.gain(item, day, since, group) {
            outcome.unlearned += 1;
        }
    }
    outcome.drifts.sort_by(|a, b| b.rarity.cmp(&a.rarity).then_with(|| a.change.cmp(&b.change)));
    outcome.further = outcome.drifts.len().saturating_sub(MAX_DRIFTS);
    outcome.drifts.truncate(MAX_DRIFTS);
    outcome
}

#[cfg(test)]
mod tests;
