//! The states of a module version: forward only, one step at a time. The database refuses everything else; this is the
//! same rule for those who ask before they try.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Where a module version stands; ordered, the first step first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ModuleState))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Being written; its content changes, and it may lack fixtures.
    Draft,
    /// It passed the quality gates; somebody looks at it.
    Qa,
    /// It runs, and never changes again.
    Released,
    /// A newer one took its place; it runs until its sunset.
    Deprecated,
    /// It runs no more; its results stay.
    Retired,
}

impl State {
    /// Every state, in their order.
    pub const ALL: [Self; 5] = [Self::Draft, Self::Qa, Self::Released, Self::Deprecated, Self::Retired];

    /// The name as it is written in JSON and Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Qa => "qa",
            Self::Released => "released",
            Self::Deprecated => "deprecated",
            Self::Retired => "retired",
        }
    }

    /// The only state that may follow; none after the last.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Draft => Some(Self::Qa),
            Self::Qa => Some(Self::Released),
            Self::Released => Some(Self::Deprecated),
            Self::Deprecated => Some(Self::Retired),
            Self::Retired => None,
        }
    }

    /// Whether the content may still change.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Draft | Self::Qa)
    }

    /// Whether a job for it may be queued at `now`: it is released, or deprecated and before its sunset.
    pub fn is_schedulable(self, sunset_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
        match self {
            Self::Released => true,
            Self::Deprecated => sunset_at.is_some_and(|sunset| now < sunset),
            Self::Draft | Self::Qa | Self::Retired => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no state: write one of draft, qa, released, deprecated, retired")]
pub struct UnknownState(pub String);

impl FromStr for State {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| UnknownState(text.to_owned()))
    }
}

/// What the quality gates said of one content of a version; on record beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GateReport {
    /// SHA-256 of the file that was looked at, in hexadecimal.
    pub checksum: String,
    /// Whether every gate was passed.
    pub passed: bool,
    /// When.
    pub at: DateTime<Utc>,
    /// The program that looked, with its version.
    pub by: String,
    /// Each gate.
    pub gates: Vec<Gate>,
}

/// What one quality gate said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// `lint`, `fixtures`, `budget`, `determinism`.
    pub name: String,
    /// Whether it was passed.
    pub passed: bool,
    /// What was measured, or what is wrong.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_go_forward_one_step_at_a_time() {
        for pair in State::ALL.windows(2) {
            assert_eq!(pair[0].next(), Some(pair[1]));
            assert!(pair[0] < pair[1]);
        }
        assert_eq!(State::Retired.next(), None);
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        assert!("gone".parse::<State>().is_err());
    }

    #[test]
    fn a_deprecated_version_runs_until_its_sunset() {
        let at = |second| DateTime::<Utc>::from_timestamp(second, 0);
        let now = at(1_000).unwrap();
        for (state, sunset, expected) in [
            (State::Draft, None, false),
            (State::Qa, None, false),
            (State::Released, None, true),
            (State::Deprecated, at(1_001), true),
            (State::Deprecated, at(1_000), false),
            (State::Deprecated, None, false),
            (State::Retired, at(2_000), false),
        ] {
            assert_eq!(state.is_schedulable(sunset, now), expected, "{state} {sunset:?}");
        }
    }
}
