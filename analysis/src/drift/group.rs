//! The baseline of a group of like assets: on how many of them each thing is, and on how many it was in the last weeks.
//!
//! A sum over assets: each gives exactly one [`Contribution`] to each thing, and its baseline remembers which, so that
//! it is taken back exactly and no asset counts twice. Groups of different assets merge by adding. A group that is full
//! takes up nothing new: it then counts too few and never too many, so that a thing looks rarer than it is.

use std::collections::BTreeMap;

use super::asset::Asset;
use super::item::{FeatureId, Kind};
use super::time::{Day, WEEKS, Week};

/// What an asset gives to the count of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contribution {
    /// Nothing: it never had it, or that is past remembering.
    None,
    /// It has it.
    There,
    /// It had it, until that week.
    Gone(Week),
}

/// What is remembered of a thing in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Assets that have it.
    pub(super) there: u32,
    /// Assets that have it no longer, by the week in which it went; at most [`WEEKS`] weeks.
    pub(super) gone: BTreeMap<Week, u32>,
    /// When any of them first had it; for what an inventory found, some days before.
    pub(super) since: Day,
}

impl Known {
    fn add(&mut self, contribution: Contribution) {
        match contribution {
            Contribution::None => {}
            Contribution::There => self.there = self.there.saturating_add(1),
            Contribution::Gone(week) => {
                let count = self.gone.entry(week).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    fn take(&mut self, contribution: Contribution) {
        match contribution {
            Contribution::None => {}
            Contribution::There => self.there = self.there.saturating_sub(1),
            Contribution::Gone(week) => {
                if let Some(count) = self.gone.get_mut(&week) {
                    *count = count.saturating_sub(1);
                }
                self.gone.retain(|_, count| *count > 0);
            }
        }
    }

    /// Drops what is past remembering at `week`, or at the newest week it holds where that came late.
    fn forget(&mut self, week: Week) {
        let newest = self.gone.keys().next_back().map_or(week, |newest| week.max(*newest));
        self.gone.retain(|gone, _| newest.since(*gone) < u32::from(WEEKS));
    }

    fn is_over(&self, week: Week) -> bool {
        self.there == 0 && self.gone.keys().all(|gone| week.since(*gone) >= u32::from(WEEKS))
    }

    fn assets(&self) -> u64 {
        u64::from(self.there) + self.gone.values().map(|count| u64::from(*count)).sum::<u64>()
    }
}

/// Things of one kind in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupShelf {
    /// Assets on which the kind was looked at.
    pub(super) members: u32,
    /// When it was first looked at on any.
    pub(super) since: Day,
    pub(super) known: BTreeMap<FeatureId, Known>,
    /// Whether something was ever left out or forgotten: then "never" cannot be said.
    pub(super) has_gaps: bool,
    /// When it was last cleared of what is past remembering, while full.
    pub(super) swept: Week,
}

impl GroupShelf {
    const fn new(day: Day) -> Self {
        Self { members: 0, since: day, known: BTreeMap::new(), has_gaps: false, swept: Week(i32::MIN) }
    }

    /// Whether a new entry has room. A full shelf is cleared of what is past remembering once a week, not for each of
    /// the many things that a hostile host may name.
    fn has_room(&mut self, kind: Kind, week: Week) -> bool {
        if self.known.len() >= kind.group_quota() && self.swept < week {
            self.swept = week;
            self.known.retain(|_, known| !known.is_over(week));
            self.has_gaps = true;
        }
        let has_room = self.known.len() < kind.group_quota();
        self.has_gaps |= !has_room;
        has_room
    }
}

/// How many others of a group have a thing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Others {
    /// How many others there are.
    pub(super) all: u32,
    /// Have it.
    pub(super) have: u32,
    /// Had it in the last weeks, and have it no longer.
    pub(super) had: u32,
    /// These, each counting for as many eighths as weeks are left until it is forgotten.
    pub(super) had_eighths: u64,
    /// For how many days the group has known it; none if it never saw it.
    pub(super) known_days: Option<u32>,
    /// For how many days the group has looked at the kind.
    pub(super) group_days: u32,
    /// Whether something may have been forgotten.
    pub(super) has_gaps: bool,
}

/// The baseline of a group of like assets. Bounded by [`Kind::group_quota`], whatever its members report;
/// [`Group::encode`] makes bytes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    pub(super) shelves: BTreeMap<Kind, GroupShelf>,
}

impl Group {
    /// The group of these assets, from nothing: what a kept one is held against, and what makes a lost one anew. It
    /// knows things since `day`, for assets do not remember more.
    pub fn of<'a>(assets: impl IntoIterator<Item = &'a Asset>, day: Day) -> Self {
        let mut group = Self::default();
        for asset in assets {
            group.join(asset, day);
        }
        group
    }

    /// Takes up an asset with all that its baseline remembers.
    pub fn join(&mut self, asset: &Asset, day: Day) {
        for (kind, things) in &asset.shelves {
            self.add_member(*kind, things.since);
            for (id, seen) in &things.seen {
                let change = (Contribution::None, seen.contribution());
                self.change((*kind, *id), change, day.week(), day.established());
            }
        }
    }

    /// Gives up an asset, with all that its baseline remembers: it went, or belongs to another group now.
    pub fn leave(&mut self, asset: &Asset, day: Day) {
        for (kind, things) in &asset.shelves {
            if let Some(own) = self.shelves.get_mut(kind) {
                own.members = own.members.saturating_sub(1);
            }
            for (id, seen) in &things.seen {
                self.change((*kind, *id), (seen.contribution(), Contribution::None), day.week(), day);
            }
        }
    }

    /// Adds a group of other assets.
    pub fn merge(&mut self, other: &Self) {
        for (kind, theirs) in &other.shelves {
            let things = self.shelves.entry(*kind).or_insert_with(|| GroupShelf::new(theirs.since));
            things.members = things.members.saturating_add(theirs.members);
            things.since = things.since.min(theirs.since);
            things.swept = things.swept.max(theirs.swept);
            things.has_gaps |= theirs.has_gaps;
            for (id, known) in &theirs.known {
                let Some(own) = things.known.get_mut(id) else {
                    things.known.insert(*id, known.clone());
                    continue;
                };
                own.there = own.there.saturating_add(known.there);
                own.since = own.since.min(known.since);
                for (week, count) in &known.gone {
                    let own = own.gone.entry(*week).or_default();
                    *own = own.saturating_add(*count);
                }
                own.forget(Week(i32::MIN));
            }
            things.shrink(*kind);
        }
    }

    /// Assets of the group on which the kind was looked at.
    pub fn members(&self, kind: Kind) -> u32 {
        self.shelves.get(&kind).map_or(0, |things| things.members)
    }

    /// Entries that are kept of a kind.
    pub fn len(&self, kind: Kind) -> usize {
        self.shelves.get(&kind).map_or(0, |things| things.known.len())
    }

    /// Whether it never had a member.
    pub fn is_empty(&self) -> bool {
        self.shelves.is_empty()
    }

    pub(super) fn add_member(&mut self, kind: Kind, day: Day) {
        let things = self.shelves.entry(kind).or_insert_with(|| GroupShelf::new(day));
        things.members = things.members.saturating_add(1);
        things.since = things.since.min(day);
    }

    /// Follows what one asset gives to a thing.
    pub(super) fn change(
        &mut self,
        (kind, id): (Kind, FeatureId),
        (from, to): (Contribution, Contribution),
        week: Week,
        since: Day,
    ) {
        let Some(things) = self.shelves.get_mut(&kind) else { return };
        if !things.known.contains_key(&id) {
            if to == Contribution::None || !things.has_room(kind, week) {
                return;
            }
            things.known.insert(id, Known { there: 0, gone: BTreeMap::new(), since });
        }
        if let Some(known) = things.known.get_mut(&id) {
            known.take(from);
            known.add(to);
            known.forget(week);
            if to == Contribution::There {
                known.since = known.since.min(since);
            }
        }
    }

    /// How many others than that asset have a thing.
    pub(super) fn others(&self, asset: &Asset, (kind, id): (Kind, FeatureId), day: Day) -> Others {
        let Some(things) = self.shelves.get(&kind) else { return Others::default() };
        let own_member = u32::from(asset.knows(kind));
        let mut others = Others {
            all: things.members.saturating_sub(own_member),
            group_days: day.since(things.since),
            has_gaps: things.has_gaps,
            ..Others::default()
        };
        let Some(known) = things.known.get(&id) else { return others };
        let mut known = known.clone();
        known.take(asset.contribution(kind, id));
        known.forget(day.week());
        others.have = known.there;
        for (week, count) in &known.gone {
            let left = u32::from(WEEKS).saturating_sub(day.week().since(*week));
            others.had = others.had.saturating_add(*count);
            others.had_eighths += u64::from(left) * u64::from(*count);
        }
        others.known_days = Some(day.since(known.since));
        others
    }
}

impl GroupShelf {
    /// Down to the quota: what most assets have is kept, of equals what is known longest.
    fn shrink(&mut self, kind: Kind) {
        let quota = kind.group_quota();
        if self.known.len() <= quota {
            return;
        }
        let mut ids: Vec<_> =
            self.known.iter().map(|(id, known)| (std::cmp::Reverse(known.assets()), known.since, *id)).collect();
        ids.sort_unstable();
        for (.., id) in ids.split_off(quota) {
            self.known.remove(&id);
        }
        self.has_gaps = true;
    }
}
