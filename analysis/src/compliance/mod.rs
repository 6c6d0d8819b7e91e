//! How controls stand: on one asset, and summed over assets, controls, groups, tenants and the tenants below a tenant.
//!
//! A [`Standing`] keeps two things, because two questions are asked: the sums over the mapped checks, which give the
//! score (weighted passes ÷ weighted assessed × 100), and how many controls on how many assets pass, fail, are waived or
//! are not assessed, which gives the coverage (assessed ÷ all). The same type serves a control over assets, a framework
//! on an asset, and a whole tree of tenants, since all of them are sums of "one control on one asset".
//!
//! A waiver is no pass: a control whose only failing checks are waived is `Waived`, counts as assessed in the coverage
//! (its state is known) and neither for nor against the score.

mod insights;
mod tree;
mod waiver;

pub use insights::{Insights, Steepest, insights};
pub use tree::{MAX_DEPTH, Tree, TreeError};
pub use waiver::{Scope, Waiver, effective, ends_between};

use serde::{Deserialize, Serialize};

use crate::score::Sums;
use crate::sum::{Sum, percent};

/// How a control stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A mapped check fails, and nothing waives it.
    Fail,
    /// Mapped checks fail, and every one of them is waived.
    Waived,
    /// Every mapped check that applies passes, and at least one applies.
    Pass,
    /// No mapped check applies, or one that may apply could not be decided.
    NotAssessed,
}

impl Status {
    /// The status of a control on one asset, from the sums over the checks that are mapped to it. A failing check
    /// decides whatever else could not be decided; a passing one does not.
    pub const fn on_asset(checks: &Sums) -> Self {
        if checks.failed > 0 {
            Self::Fail
        } else if checks.waived > 0 {
            Self::Waived
        } else if checks.passed > 0 && checks.error == 0 {
            Self::Pass
        } else {
            Self::NotAssessed
        }
    }
}

/// Counts by status: of one control over assets, or of controls over assets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// How many pass.
    pub passed: i64,
    /// How many fail.
    pub failed: i64,
    /// How many fail under a waiver: in no other number here.
    pub waived: i64,
    /// How many are not assessed.
    pub not_assessed: i64,
}

impl Counts {
    /// The counts over all of `statuses`.
    pub fn of(statuses: impl IntoIterator<Item = Status>) -> Self {
        Self::total(statuses.into_iter().map(Self::one))
    }

    const fn one(status: Status) -> Self {
        let mut counts = Self { passed: 0, failed: 0, waived: 0, not_assessed: 0 };
        *match status {
            Status::Pass => &mut counts.passed,
            Status::Fail => &mut counts.failed,
            Status::Waived => &mut counts.waived,
            Status::NotAssessed => &mut counts.not_assessed,
        } = 1;
        counts
    }

    /// How many are assessed: what passes, fails, or fails under a waiver.
    pub const fn assessed(&self) -> i64 {
        self.passed + self.failed + self.waived
    }

    /// All.
    pub const fn all(&self) -> i64 {
        self.assessed() + self.not_assessed
    }

    /// Assessed ÷ all × 100, rounded down, so that 100 means all; none if there is nothing.
    pub fn coverage(&self) -> Option<u8> {
        percent(self.assessed(), self.all())
    }

    /// One status for all that is counted: the worst there is. What is not assessed counts only where nothing is.
    pub const fn status(&self) -> Status {
        if self.failed > 0 {
            Status::Fail
        } else if self.waived > 0 {
            Status::Waived
        } else if self.passed > 0 {
            Status::Pass
        } else {
            Status::NotAssessed
        }
    }
}

impl Sum for Counts {
    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            waived: self.waived + other.waived,
            not_assessed: self.not_assessed + other.not_assessed,
        }
    }

    fn negated(self) -> Self {
        let Self { passed, failed, waived, not_assessed } = self;
        Self { passed: -passed, failed: -failed, waived: -waived, not_assessed: -not_assessed }
    }
}

/// How controls stand over assets, as a sum of "one control on one asset".
///
/// A check that is mapped to two controls counts in both, with the weight that the caller gives each mapping (the
/// weight of the check's severity, times the mapping's own where it has one).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The mapped checks.
    pub checks: Sums,
    /// The controls: each counts once for every asset.
    pub controls: Counts,
}

impl Standing {
    /// One control on one asset, from the sums over its mapped checks. A control without mapped checks, or without any
    /// that applies, is there and not assessed: leave none out, else the coverage is too high.
    pub fn of_control(checks: Sums) -> Self {
        Self { checks, controls: Counts::one(Status::on_asset(&checks)) }
    }

    /// Follows one control on one asset from its old sums to its new ones; none means that the control or the asset was
    /// not there, or is gone.
    pub fn change(&mut self, from: Option<Sums>, to: Option<Sums>) {
        if let Some(from) = from {
            *self = self.minus(Self::of_control(from));
        }
        if let Some(to) = to {
            *self = self.plus(Self::of_control(to));
        }
    }

    /// Weighted passes ÷ weighted assessed × 100, rounded half up; none if nothing was assessed.
    pub fn score(&self) -> Option<u8> {
        self.checks.score()
    }

    /// Controls assessed ÷ all × 100, rounded down.
    pub fn coverage(&self) -> Option<u8> {
        self.controls.coverage()
    }
}

impl Sum for Standing {
    fn plus(self, other: Self) -> Self {
        Self { checks: self.checks.plus(other.checks), controls: Sum::plus(self.controls, other.controls) }
    }

    fn negated(self) -> Self {
        Self { checks: self.checks.negated(), controls: self.controls.negated() }
    }
}

/// A framework over any number of assets: what its list and its coverage map show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framework {
    /// The sum over its controls and assets.
    pub standing: Standing,
    /// Its controls, each once, with the worst status it has on any asset.
    pub controls: Counts,
}

impl Framework {
    /// From the standing of every one of its controls, each over the same assets.
    pub fn of<'a>(controls: impl IntoIterator<Item = &'a Standing>) -> Self {
        controls.into_iter().fold(Self::default(), |framework, control| Self {
            standing: framework.standing.plus(*control),
            controls: framework.controls.plus(Counts::one(control.controls.status())),
        })
    }
}

#[cfg(test)]
mod tests;
