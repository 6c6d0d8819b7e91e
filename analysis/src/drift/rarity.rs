//! Rarity, 0–100: two thirds how unusual a change makes an asset among its like, one third how unusual it is there.
//!
//! | change | among `n` others | on the asset, known for `k` weeks (at most 8) |
//! | --- | --- | --- |
//! | appeared | those that lack it ÷ (`n` + 3) | weeks in which it was not there ÷ 8 |
//! | changed | of the others that have it, those in another form ÷ (`n` + 3) | weeks in which it did not change ÷ 8 |
//! | vanished | those that have it ÷ (`n` + 3) | weeks in which it was there undisturbed ÷ 8 |
//!
//! The 3 is doubt: of three that agree less can be said than of thirty. Another that had the thing counts for as many
//! eighths as weeks are left until that is forgotten; what the group has known for less than a week counts half, and
//! more with each day, for what spreads is not yet what is usual. With fewer than three others the first part is
//! missing, and the rarity is at most 67.

use serde::Serialize;

use super::asset::Asset;
use super::group::{Group, Others};
use super::item::Change;
use super::time::{Day, WEEKS};

/// With fewer others than these nothing is said about the group.
pub const MIN_OTHERS: u32 = 3;
/// Days after which what is new in a group counts whole.
pub const MATURE_DAYS: u32 = 7;
/// Others that are assumed to disagree.
const DOUBT: u64 = 3;

/// What a rarity is drawn from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// Others in the group; for what changed, only those that have the thing in some form.
    pub others: u32,
    /// Of these, those that have it (in the form it has now).
    pub have: u32,
    /// Those that had it in the last [`WEEKS`] weeks and have it no longer.
    pub had: u32,
    /// The same, each counting for as many eighths as weeks are left until it is forgotten.
    pub had_eighths: u64,
    /// For how many days the group has known it; none if it never saw it.
    pub known_days: Option<u32>,
    /// For how many days the group has been looked at.
    pub group_days: u32,
    /// Whether the group may have forgotten something, so that nobody can say "never".
    pub has_gaps: bool,
    /// Of how many weeks, 1 to 8, something is known of the asset.
    pub weeks_known: u8,
    /// In how many of these it was there; of what changed, in the form it has now.
    pub weeks_seen: u8,
    /// In how many of these it came, went or changed.
    pub weeks_stirred: u8,
}

impl Evidence {
    /// Of a change, by the baselines as they were before it.
    pub fn of(asset: &Asset, group: &Group, change: &Change, day: Day) -> Self {
        let (kind, item) = (change.kind(), change.item());
        let is_change = matches!(change, Change::Changed { .. });
        let thing = group.others(asset, (kind, item.name()), day);
        let asked = if is_change { group.others(asset, (kind, item.form()), day) } else { thing };
        let Others { all, have, had, had_eighths, known_days, group_days, has_gaps } = asked;
        Self {
            others: if is_change { thing.have } else { all },
            have,
            had,
            had_eighths,
            known_days,
            group_days,
            has_gaps,
            weeks_known: asset.weeks_known(kind, day),
            weeks_seen: asset.weeks_seen(kind, if is_change { item.form() } else { item.name() }, day),
            weeks_stirred: asset.weeks_stirred(kind, item.name(), day),
        }
    }

    /// Whether there are too few others to say anything about the group.
    pub const fn is_small_group(&self) -> bool {
        self.others < MIN_OTHERS
    }
}

/// How unusual a change is, 0–100, rounded half up.
pub fn rarity(change: &Change, evidence: &Evidence) -> u8 {
    let is_vanished = matches!(change, Change::Vanished(_));
    let weeks = |weeks: u8| u64::from(weeks.min(evidence.weeks_known).min(WEEKS));
    let (known, seen, stirred) = (weeks(WEEKS), weeks(evidence.weeks_seen), weeks(evidence.weeks_stirred));
    let in_time = match change {
        Change::Appeared(_) | Change::Changed { .. } => known - seen.max(stirred),
        Change::Vanished(_) => seen.saturating_sub(stirred),
    };
    // Both parts as fractions of whole numbers: group / group_whole, in_time / 8.
    let (group, group_whole) = if evidence.is_small_group() { (0, 1) } else { among_others(is_vanished, evidence) };
    let time_whole = u64::from(WEEKS);
    // A third for time; without a group two thirds, so that alone it never reaches the top.
    let time_thirds = if evidence.is_small_group() { 2 } else { 1 };
    let part = u128::from(2 * group * time_whole + time_thirds * in_time * group_whole) * 100;
    let whole = u128::from(3 * group_whole * time_whole);
    u8::try_from((2 * part + whole) / (2 * whole)).unwrap_or(100).min(100)
}

fn among_others(is_vanished: bool, evidence: &Evidence) -> (u64, u64) {
    let others = u64::from(evidence.others);
    if is_vanished {
        return (u64::from(evidence.have).min(others), others + DOUBT);
    }
    let mature = u64::from(MATURE_DAYS);
    let age = evidence.known_days.map_or(0, |days| u64::from(days).min(mature));
    let unit = u64::from(WEEKS) * 2 * mature;
    let usual = (u64::from(WEEKS) * u64::from(evidence.have) + evidence.had_eighths) * (mature + age);
    ((unit * others).saturating_sub(usual), unit * (others + DOUBT))
}
