//! The compliance score: weighted passes ÷ weighted assessed × 100, rounded half up to an integer from 0 to 100.
//!
//! It is kept as sums, not computed on read: a change of a verdict is taken out with its old weight and put in with its
//! new one, so that the cost of a change does not grow with what is stored. A property test holds that against a full
//! recompute. Checks that do not apply, and those that could not be decided, are not assessed. A failing check that is
//! waived neither raises nor lowers the score: it is counted apart, so that no waiver looks like a pass.

use serde::{Deserialize, Serialize};

use crate::sum::{Sum, percent};

/// What a check says, and whether somebody answers for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing is wrong.
    Pass,
    /// Something is.
    Fail,
    /// There is nothing to look at.
    NotApplicable,
    /// The question could not be answered.
    Error,
    /// Something is wrong, and a waiver in force says who answers for it (see [`crate::compliance::Waiver`]).
    Waived,
}

impl Verdict {
    /// The verdict as it counts: a failing check under a waiver in force is waived. No other verdict is touched, and a
    /// waived one fails again once nothing waives it.
    #[must_use]
    pub const fn under(self, is_waived: bool) -> Self {
        match (self, is_waived) {
            (Self::Fail | Self::Waived, true) => Self::Waived,
            (Self::Fail | Self::Waived, false) => Self::Fail,
            (other, _) => other,
        }
    }
}

/// How bad a failing check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Least.
    Low,
    /// More.
    Medium,
    /// Much.
    High,
    /// Worst.
    Critical,
}

/// How much a check of each severity counts. A tenant may set its own (`Tenant.spec.risk.weights`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weights {
    /// Default 10.
    pub critical: u16,
    /// Default 5.
    pub high: u16,
    /// Default 2.
    pub medium: u16,
    /// Default 1.
    pub low: u16,
}

impl Default for Weights {
    fn default() -> Self {
        Self { critical: 10, high: 5, medium: 2, low: 1 }
    }
}

impl Weights {
    /// The weight of a check of that severity.
    pub const fn of(&self, severity: Severity) -> u16 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
        }
    }
}

/// A verdict with the weight it counts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighed {
    /// The verdict.
    pub verdict: Verdict,
    /// Its weight.
    pub weight: u32,
}

/// Sums over verdicts: of one asset, a group or a tenant. As a difference between two sums its fields may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Weights of what passed.
    pub passed_weight: i64,
    /// Weights of what passed or failed.
    pub assessed_weight: i64,
    /// How many passed.
    pub passed: i64,
    /// How many failed.
    pub failed: i64,
    /// How many had no subject.
    pub not_applicable: i64,
    /// How many could not be decided.
    pub error: i64,
    /// How many fail under a waiver: in no other number here.
    #[serde(default)]
    pub waived: i64,
    /// Weights of these.
    #[serde(default)]
    pub waived_weight: i64,
}

impl Sums {
    /// The sums over all of `verdicts`.
    pub fn of(verdicts: impl IntoIterator<Item = Weighed>) -> Self {
        let mut sums = Self::default();
        for verdict in verdicts {
            sums.count(verdict, 1);
        }
        sums
    }

    /// Follows one check from its old verdict to its new one; none means the check did not exist, or is gone.
    pub fn change(&mut self, from: Option<Weighed>, to: Option<Weighed>) {
        if let Some(from) = from {
            self.count(from, -1);
        }
        if let Some(to) = to {
            self.count(to, 1);
        }
    }

    fn count(&mut self, Weighed { verdict, weight }: Weighed, sign: i64) {
        let weight = i64::from(weight) * sign;
        match verdict {
            Verdict::Pass => {
                self.passed += sign;
                self.passed_weight += weight;
                self.assessed_weight += weight;
            }
            Verdict::Fail => {
                self.failed += sign;
                self.assessed_weight += weight;
            }
            Verdict::NotApplicable => self.not_applicable += sign,
            Verdict::Error => self.error += sign,
            Verdict::Waived => {
                self.waived += sign;
                self.waived_weight += weight;
            }
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            passed_weight: self.passed_weight + other.passed_weight,
            assessed_weight: self.assessed_weight + other.assessed_weight,
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            not_applicable: self.not_applicable + other.not_applicable,
            error: self.error + other.error,
            waived: self.waived + other.waived,
            waived_weight: self.waived_weight + other.waived_weight,
        }
    }

    /// How many say something: they pass, fail, or fail under a waiver.
    pub const fn assessed(&self) -> i64 {
        self.passed + self.failed + self.waived
    }

    /// Assessed ÷ all that apply × 100, rounded down, so that 100 means all; none if nothing applies.
    pub fn coverage(&self) -> Option<u8> {
        percent(self.assessed(), self.assessed() + self.error)
    }

    /// The score; none if nothing was assessed, or everything assessed weighs nothing.
    pub fn score(&self) -> Option<u8> {
        of_weights(self.passed_weight, self.assessed_weight)
    }
}

impl Sum for Sums {
    fn plus(self, other: Self) -> Self {
        Self::plus(self, other)
    }

    fn negated(self) -> Self {
        let Self { passed_weight, assessed_weight, passed, failed, not_applicable, error, waived, waived_weight } =
            self;
        Self {
            passed_weight: -passed_weight,
            assessed_weight: -assessed_weight,
            passed: -passed,
            failed: -failed,
            not_applicable: -not_applicable,
            error: -error,
            waived: -waived,
            waived_weight: -waived_weight,
        }
    }
}

/// `passed ÷ assessed × 100`, rounded half up; none if nothing was assessed.
pub fn of_weights(passed: i64, assessed: i64) -> Option<u8> {
    if assessed <= 0 {
        return None;
    }
    let (passed, assessed) = (i128::from(passed.clamp(0, assessed)), i128::from(assessed));
    u8::try_from((passed * 200 + assessed) / (assessed * 2)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_score_is_rounded_half_up() {
        for (passed, assessed, score) in [
            (0, 0, None),
            (0, 1, Some(0)),
            (1, 1, Some(100)),
            (1, 2, Some(50)),
            (1, 3, Some(33)),
            (2, 3, Some(67)),
            (1, 200, Some(1)),
            (199, 200, Some(100)),
            (i64::MAX, i64::MAX, Some(100)),
        ] {
            assert_eq!(of_weights(passed, assessed), score, "{passed}/{assessed}");
        }
    }

    #[test]
    fn what_is_not_assessed_does_not_count() {
        let verdicts = [(Verdict::Pass, 10), (Verdict::Fail, 5), (Verdict::NotApplicable, 10), (Verdict::Error, 10)];
        let sums = Sums::of(verdicts.map(|(verdict, weight)| Weighed { verdict, weight }));
        assert_eq!((sums.passed_weight, sums.assessed_weight, sums.score()), (10, 15, Some(67)));
        assert_eq!(Sums::of([Weighed { verdict: Verdict::Error, weight: 1 }]).score(), None);
    }

    #[test]
    fn a_waived_check_is_counted_apart_and_does_not_move_the_score() {
        let verdicts = [(Verdict::Pass, 10), (Verdict::Fail, 5), (Verdict::Fail.under(true), 10), (Verdict::Error, 1)];
        let sums = Sums::of(verdicts.map(|(verdict, weight)| Weighed { verdict, weight }));
        assert_eq!((sums.score(), sums.coverage()), (Some(67), Some(75)));
        assert_eq!((sums.failed, sums.waived, sums.waived_weight), (1, 1, 10));
    }

    #[test]
    fn a_waiver_touches_only_what_fails_and_ends() {
        for verdict in [Verdict::Pass, Verdict::NotApplicable, Verdict::Error] {
            assert_eq!((verdict.under(true), verdict.under(false)), (verdict, verdict));
        }
        assert_eq!(Verdict::Fail.under(true).under(false), Verdict::Fail);
    }

    fn weighed() -> impl Strategy<Value = Option<Weighed>> {
        let verdict = prop_oneof![
            Just(Verdict::Pass),
            Just(Verdict::Fail),
            Just(Verdict::NotApplicable),
            Just(Verdict::Error),
            Just(Verdict::Waived)
        ];
        proptest::option::of((verdict, 0_u32..=1000).prop_map(|(verdict, weight)| Weighed { verdict, weight }))
    }

    proptest! {
        #[test]
        fn following_changes_gives_what_a_recompute_gives(changes in proptest::collection::vec((0_usize..20, weighed()), 0..200)) {
            let mut checks: Vec<Option<Weighed>> = vec![None; 20];
            let mut kept = Sums::default();
            for (index, to) in changes {
                kept.change(checks[index], to);
                checks[index] = to;
                let recomputed = Sums::of(checks.iter().flatten().copied());
                prop_assert_eq!(kept, recomputed);
                prop_assert_eq!(kept.score(), recomputed.score());
            }
        }

        #[test]
        fn a_better_verdict_never_lowers_the_score(passed in 0_i64..1000, failed in 0_i64..1000, weight in 1_i64..100) {
            let before = of_weights(passed, passed + failed + weight);
            let after = of_weights(passed + weight, passed + failed + weight);
            prop_assert!(after >= before);
        }
    }
}
