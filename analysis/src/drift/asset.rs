//! The baseline of one asset: what it has, and in which of the last weeks it had what it has no longer.

use std::collections::BTreeMap;

use super::group::{Contribution, Group};
use super::item::{FeatureId, Item, Kind};
use super::time::{Day, WEEKS, Week};

/// What is remembered of a thing on an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// How many forms of it are there now; of a form itself 1 or 0.
    pub(super) copies: u32,
    /// The week to which the bits belong: in which it last stirred, so of a thing that is gone, in which it went.
    pub(super) last: Week,
    /// A bit for each week in which it was there, the lowest for `last`.
    pub(super) weeks: u8,
    /// A bit for each week in which it came, went or changed, the lowest for `last`.
    pub(super) stirred: u8,
}

impl Seen {
    const fn new(week: Week) -> Self {
        Self { copies: 0, last: week, weeks: 0, stirred: 0 }
    }

    pub(super) const fn is_there(&self) -> bool {
        self.copies > 0
    }

    pub(super) const fn contribution(&self) -> Contribution {
        if self.is_there() { Contribution::There } else { Contribution::Gone(self.last) }
    }

    /// The bits of the weeks up to `week`. While a thing is there, every week has it.
    fn weeks_up_to(&self, week: Week) -> u8 {
        let passed = week.since(self.last);
        let filled = if passed < u32::from(WEEKS) { ((1_u16 << passed) - 1).to_le_bytes()[0] } else { u8::MAX };
        shifted(self.weeks, passed) | if self.is_there() { filled } else { 0 }
    }

    fn stirred_up_to(&self, week: Week) -> u8 {
        shifted(self.stirred, week.since(self.last))
    }

    fn is_over(&self, week: Week) -> bool {
        !self.is_there() && week.since(self.last) >= u32::from(WEEKS)
    }

    fn advance(&mut self, week: Week, is_news: bool) {
        self.weeks = self.weeks_up_to(week);
        self.stirred = self.stirred_up_to(week) | u8::from(is_news);
        self.last = self.last.max(week);
    }

    fn come(&mut self, week: Week, is_news: bool) {
        self.advance(week, is_news);
        self.weeks |= 1;
        self.copies = self.copies.saturating_add(1);
    }

    fn go(&mut self, week: Week) {
        self.advance(week, true);
        self.copies = self.copies.saturating_sub(1);
    }
}

fn shifted(bits: u8, by: u32) -> u8 {
    bits.checked_shl(by).unwrap_or(0)
}

/// Things of one kind on an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shelf {
    /// When it was first looked at.
    pub(super) since: Day,
    pub(super) seen: BTreeMap<FeatureId, Seen>,
    /// How many of these are gone: only they may be forgotten.
    pub(super) gone: usize,
}

/// The baseline of an asset. Bounded by [`Kind::quota`], whatever the host reports; [`Asset::encode`] makes bytes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asset {
    pub(super) shelves: BTreeMap<Kind, Shelf>,
}

impl Asset {
    /// Whether things of that kind were ever looked at here.
    pub fn knows(&self, kind: Kind) -> bool {
        self.shelves.contains_key(&kind)
    }

    /// Whether the thing is there in that form, as far as is known: what is beyond a quota is not.
    pub fn has(&self, item: &Item) -> bool {
        self.seen(item.kind(), item.form()).is_some_and(Seen::is_there)
    }

    /// Entries that are kept of a kind.
    pub fn len(&self, kind: Kind) -> usize {
        self.shelves.get(&kind).map_or(0, |things| things.seen.len())
    }

    /// Whether nothing was ever looked at.
    pub fn is_empty(&self) -> bool {
        self.shelves.is_empty()
    }

    /// Of how many weeks, at most [`WEEKS`], something is known of that kind, the running one among them.
    pub(super) fn weeks_known(&self, kind: Kind, day: Day) -> u8 {
        let Some(things) = self.shelves.get(&kind) else { return 0 };
        let weeks = day.week().since(things.since.week()).saturating_add(1);
        u8::try_from(weeks).unwrap_or(WEEKS).min(WEEKS)
    }

    /// In how many of the weeks that are known the thing was there.
    pub(super) fn weeks_seen(&self, kind: Kind, id: FeatureId, day: Day) -> u8 {
        self.count(kind, day, self.seen(kind, id).map_or(0, |seen| seen.weeks_up_to(day.week())))
    }

    /// In how many of the weeks that are known the thing came, went or changed.
    pub(super) fn weeks_stirred(&self, kind: Kind, id: FeatureId, day: Day) -> u8 {
        self.count(kind, day, self.seen(kind, id).map_or(0, |seen| seen.stirred_up_to(day.week())))
    }

    fn count(&self, kind: Kind, day: Day, bits: u8) -> u8 {
        u8::try_from(bits.count_ones()).unwrap_or(WEEKS).min(self.weeks_known(kind, day))
    }

    pub(super) fn contribution(&self, kind: Kind, id: FeatureId) -> Contribution {
        self.seen(kind, id).map_or(Contribution::None, Seen::contribution)
    }

    fn seen(&self, kind: Kind, id: FeatureId) -> Option<&Seen> {
        self.shelves.get(&kind)?.seen.get(&id)
    }

    /// Begins to know a kind, and counts the asset as a member of the group for it. Nothing if that is known.
    pub(super) fn begin(&mut self, kind: Kind, day: Day, group: &mut Group) {
        self.shelves.entry(kind).or_insert_with(|| {
            group.add_member(kind, day);
            Shelf { since: day, seen: BTreeMap::new(), gone: 0 }
        });
    }

    /// Learns that a thing is there, since `since` as far as the group is concerned (before `day`: an inventory found
    /// it). False if there is no room for it; then its going is not learned either.
    pub(super) fn gain(&mut self, item: &Item, day: Day, since: Day, group: &mut Group) -> bool {
        let (kind, week) = (item.kind(), day.week());
        let Some(things) = self.shelves.get_mut(&kind) else { return false };
        if things.seen.get(&item.form()).is_some_and(Seen::is_there) {
            return true;
        }
        let ids = [item.form(), item.name()];
        let needed = ids.iter().filter(|id| !things.seen.contains_key(id)).count();
        if !things.make_room(kind, needed, ids, week, group) {
            return false;
        }
        for id in ids {
            let is_new = !things.seen.contains_key(&id);
            let seen = things.seen.entry(id).or_insert_with(|| Seen::new(week));
            let before = if is_new { Contribution::None } else { seen.contribution() };
            if !is_new && !seen.is_there() {
                things.gone -= 1;
            }
            seen.come(week, since == day);
            group.change((kind, id), (before, seen.contribution()), week, since);
        }
        true
    }

    /// Learns that a thing is no longer there. Nothing if that it was there is not known.
    pub(super) fn lose(&mut self, item: &Item, day: Day, group: &mut Group) {
        let (kind, week) = (item.kind(), day.week());
        let Some(things) = self.shelves.get_mut(&kind) else { return };
        if !things.seen.get(&item.form()).is_some_and(Seen::is_there) {
            return;
        }
        for id in [item.form(), item.name()] {
            let Some(seen) = things.seen.get_mut(&id).filter(|seen| seen.is_there()) else { continue };
            let before = seen.contribution();
            seen.go(week);
            if !seen.is_there() {
                things.gone += 1;
            }
            group.change((kind, id), (before, seen.contribution()), week, day);
        }
    }
}

impl Shelf {
    /// Makes room for `needed` entries: forgets what is past remembering, then a quarter of what is gone, the longest
    /// gone first. What is there is never forgotten, nor what is about to be learned.
    fn make_room(&mut self, kind: Kind, needed: usize, keep: [FeatureId; 2], week: Week, group: &mut Group) -> bool {
        let has_room = |things: &Self| things.seen.len() + needed <= kind.quota();
        if has_room(self) {
            return true;
        }
        if self.gone == 0 {
            return false;
        }
        let mut gone: Vec<(bool, Week, FeatureId)> = self
            .seen
            .iter()
            .filter(|(id, seen)| !seen.is_there() && !keep.contains(id))
            .map(|(id, seen)| (!seen.is_over(week), seen.last, *id))
            .collect();
        gone.sort_unstable();
        let over = gone.iter().filter(|(is_kept, ..)| !is_kept).count();
        for (_, last, id) in gone.into_iter().take(over.max(kind.quota() / 4)) {
            self.seen.remove(&id);
            self.gone -= 1;
            group.change((kind, id), (Contribution::Gone(last), Contribution::None), week, Day(0));
        }
        has_room(self)
    }
}
