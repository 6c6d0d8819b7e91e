//! Days and weeks in UTC: the grain at which baselines remember.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::rarity::MATURE_DAYS;

/// How many weeks, this one among them, baselines remember.
pub const WEEKS: u8 = 8;

/// A day in UTC, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(pub i32);

impl Day {
    /// The day of an instant.
    pub fn of(at: DateTime<Utc>) -> Self {
        Self(i32::try_from(at.timestamp().div_euclid(86_400)).unwrap_or(i32::MAX))
    }

    /// Its week.
    pub const fn week(self) -> Week {
        Week(self.0.div_euclid(7))
    }

    /// Days since `earlier`; 0 if that is later.
    pub fn since(self, earlier: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }

    /// The day from which a thing counts that was there before anybody looked: always an earlier one.
    pub(super) fn established(self) -> Self {
        Self(self.0.saturating_sub_unsigned(MATURE_DAYS))
    }
}

/// Seven days, counted from 1970-01-01 (a Thursday).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Week(pub i32);

impl Week {
    /// Weeks since `earlier`; 0 if that is later.
    pub fn since(self, earlier: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}
