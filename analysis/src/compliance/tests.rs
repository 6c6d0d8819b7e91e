//! Status, score and coverage by cases; what is kept against a full recompute, with waivers that begin and end.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::grant::Grant;
use crate::score::{Verdict, Weighed};

fn checks(verdicts: &[Verdict]) -> Sums {
    Sums::of(verdicts.iter().map(|verdict| Weighed { verdict: *verdict, weight: 1 }))
}

#[test]
fn a_control_fails_if_a_check_fails_and_passes_if_all_that_apply_pass() {
    use Verdict::{Error, Fail, NotApplicable, Pass, Waived};
    for (verdicts, status) in [
        (&[][..], Status::NotAssessed),
        (&[NotApplicable], Status::NotAssessed),
        (&[Error], Status::NotAssessed),
        (&[Pass, NotApplicable], Status::Pass),
        (&[Pass, Error], Status::NotAssessed),
        (&[Pass, Fail, Error], Status::Fail),
        (&[Pass, Waived], Status::Waived),
        (&[Waived, Error], Status::Waived),
        (&[Waived, Fail], Status::Fail),
    ] {
        assert_eq!(Status::on_asset(&checks(verdicts)), status, "{verdicts:?}");
    }
}

/// The numbers of `docs/scoring.md`.
#[test]
fn the_worked_example_of_the_docs() {
    let weighed = |verdict, weight| Weighed { verdict, weight };
    let access = Sums::of([weighed(Verdict::Pass, 10), weighed(Verdict::Fail, 5)]);
    let logging = Sums::of([weighed(Verdict::Pass, 2), weighed(Verdict::NotApplicable, 5)]);
    let updates = Sums::of([weighed(Verdict::Fail.under(true), 5), weighed(Verdict::Pass, 1)]);
    let backups = Sums::default();
    let controls = [access, logging, updates, backups].map(Standing::of_control);
    let framework = Framework::of(&controls);
    assert_eq!(framework.standing.checks.passed_weight, 13);
    assert_eq!(framework.standing.checks.assessed_weight, 18);
    assert_eq!(framework.standing.score(), Some(72));
    assert_eq!(framework.standing.coverage(), Some(75));
    assert_eq!(framework.controls, Counts { passed: 1, failed: 1, waived: 1, not_assessed: 1 });
}

#[test]
fn over_assets_a_control_is_as_bad_as_on_its_worst() {
    let good = Standing::of_control(checks(&[Verdict::Pass]));
    let bad = Standing::of_control(checks(&[Verdict::Fail]));
    let none = Standing::of_control(Sums::default());
    let framework = Framework::of(&[good.plus(bad).plus(none), good.plus(none), none.plus(none)]);
    assert_eq!(framework.controls, Counts { passed: 1, failed: 1, waived: 0, not_assessed: 1 });
    assert_eq!(framework.standing.controls, Counts { passed: 2, failed: 1, waived: 0, not_assessed: 4 });
    assert_eq!(framework.standing.coverage(), Some(42));
}

const ASSETS: usize = 4;
const CONTROLS: usize = 3;
/// Which controls a check is mapped to, and how much it weighs there. The last control has no check.
const MAPPINGS: [&[(usize, u32)]; 4] = [&[(0, 10)], &[(0, 5), (1, 1)], &[(1, 2)], &[]];

fn at(hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(hour * 3600, 0).unwrap()
}

/// All that is true, and the only thing that a recompute looks at.
#[derive(Debug, Default)]
struct Truth {
    verdicts: BTreeMap<(usize, usize), Verdict>,
    waivers: Vec<Waiver<usize, usize>>,
    hour: i64,
}

impl Truth {
    fn counts_as(&self, asset: usize, check: usize) -> Option<Verdict> {
        let verdict = *self.verdicts.get(&(asset, check))?;
        Some(effective(verdict, (&asset, &check), &self.waivers, at(self.hour)).0)
    }

    fn control(&self, asset: usize, control: usize) -> Sums {
        Sums::of(MAPPINGS.iter().enumerate().flat_map(|(check, mapped)| {
            let verdict = self.counts_as(asset, check);
            mapped
                .iter()
                .filter(move |(to, _)| *to == control)
                .filter_map(move |(_, weight)| Some(Weighed { verdict: verdict?, weight: *weight }))
        }))
    }

    fn standing(&self) -> Standing {
        let pairs = (0..ASSETS).flat_map(|asset| (0..CONTROLS).map(move |control| (asset, control)));
        Standing::total(pairs.map(|(asset, control)| Standing::of_control(self.control(asset, control))))
    }
}

/// What is kept: sums of each control on each asset, and each control's and the tenant's standing.
#[derive(Debug)]
struct Kept {
    counted: BTreeMap<(usize, usize), Verdict>,
    sums: [[Sums; CONTROLS]; ASSETS],
    controls: [Standing; CONTROLS],
    tenant: Standing,
}

impl Kept {
    fn new() -> Self {
        let mut kept = Self {
            counted: BTreeMap::new(),
            sums: Default::default(),
            controls: Default::default(),
            tenant: Standing::default(),
        };
        for asset in kept.sums {
            for (control, sums) in asset.into_iter().enumerate() {
                kept.controls[control].change(None, Some(sums));
                kept.tenant.change(None, Some(sums));
            }
        }
        kept
    }

    fn follow(&mut self, asset: usize, check: usize, to: Option<Verdict>) {
        let from = match to {
            Some(to) => self.counted.insert((asset, check), to),
            None => self.counted.remove(&(asset, check)),
        };
        for &(control, weight) in MAPPINGS[check] {
            let weighed = |verdict: Verdict| Weighed { verdict, weight };
            let before = self.sums[asset][control];
            self.sums[asset][control].change(from.map(weighed), to.map(weighed));
            let after = self.sums[asset][control];
            self.controls[control].change(Some(before), Some(after));
            self.tenant.change(Some(before), Some(after));
        }
    }
}

fn verdict() -> impl Strategy<Value = Option<Verdict>> {
    proptest::option::of(prop_oneof![
        1 => Just(Verdict::Pass),
        2 => Just(Verdict::Fail),
        1 => Just(Verdict::NotApplicable),
        1 => Just(Verdict::Error)
    ])
}

#[derive(Debug, Clone)]
enum Step {
    Verdict(usize, usize, Option<Verdict>),
    Waiver(usize, Scope<usize>, i64, i64),
    Hours(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let scope = prop_oneof![Just(Scope::Every), (0..ASSETS).prop_map(Scope::Asset)];
    prop_oneof![
        4 => (0..ASSETS, 0..MAPPINGS.len(), verdict()).prop_map(|(asset, check, to)| Step::Verdict(asset, check, to)),
        1 => (0..MAPPINGS.len(), scope, 0_i64..5, 1_i64..9).prop_map(|(check, scope, after, hours)| Step::Waiver(check, scope, after, hours)),
        1 => (1_i64..6).prop_map(Step::Hours),
    ]
}

proptest! {
    #[test]
    fn what_is_kept_equals_a_recompute_while_waivers_come_and_end(steps in proptest::collection::vec(step(), 0..60)) {
        let mut truth = Truth::default();
        let mut kept = Kept::new();
        for step in steps {
            let mut touched = Vec::new();
            match step {
                Step::Verdict(asset, check, to) => {
                    match to {
                        Some(to) => truth.verdicts.insert((asset, check), to),
                        None => truth.verdicts.remove(&(asset, check)),
                    };
                    touched.push((asset, check));
                }
                Step::Waiver(check, scope, after, hours) => {
                    let from = truth.hour + after;
                    let grant = Grant::new("anna", "known", at(from), at(from + hours)).unwrap();
                    truth.waivers.push(Waiver { check, scope, grant });
                    touched.extend((0..ASSETS).map(|asset| (asset, check)));
                }
                Step::Hours(hours) => {
                    let before = at(truth.hour);
                    truth.hour += hours;
                    for waiver in ends_between(&truth.waivers, before, at(truth.hour)) {
                        touched.extend((0..ASSETS).map(|asset| (asset, waiver.check)));
                    }
                }
            }
            for (asset, check) in touched {
                kept.follow(asset, check, truth.counts_as(asset, check));
            }
            let recomputed = truth.standing();
            prop_assert_eq!(kept.tenant, recomputed);
            prop_assert_eq!(Standing::total(kept.controls), recomputed);
            prop_assert_eq!(Framework::of(&kept.controls).standing, recomputed);
            prop_assert_eq!(recomputed.controls.all(), i64::try_from(ASSETS * CONTROLS).unwrap());
        }
    }

    #[test]
    fn a_waiver_never_lowers_score_or_coverage_and_is_never_a_pass(verdicts in proptest::collection::vec((verdict(), 0_u32..20, any::<bool>()), 0..20)) {
        let sums = |with: bool| {
            Standing::of_control(Sums::of(verdicts.iter().filter_map(|(verdict, weight, is_waived)| {
                Some(Weighed { verdict: (*verdict)?.under(with && *is_waived), weight: *weight })
            })))
        };
        let (without, with) = (sums(false), sums(true));
        prop_assert!(with.score().is_none() || with.score() >= without.score());
        prop_assert_eq!(with.coverage(), without.coverage());
        prop_assert_eq!(with.checks.coverage(), without.checks.coverage());
        prop_assert_eq!(with.checks.passed, without.checks.passed);
        prop_assert_eq!(with.checks.failed + with.checks.waived, without.checks.failed);
    }

    #[test]
    fn standings_may_be_merged_in_any_order(parts in proptest::collection::vec((0_i64..50, 0_i64..50, 0_i64..50, 0_i64..50), 0..12), turn in 0_usize..12) {
        let parts: Vec<Standing> = parts
            .into_iter()
            .map(|(passed, failed, waived, not_assessed)| Standing {
                checks: Sums { passed, failed, waived, ..Sums::default() },
                controls: Counts { passed, failed, waived, not_assessed },
            })
            .collect();
        let mut turned = parts.clone();
        turned.rotate_left(if parts.is_empty() { 0 } else { turn % parts.len() });
        let (left, right) = turned.split_at(turned.len() / 2);
        let halves = Standing::total(left.iter().copied()).plus(Standing::total(right.iter().copied()));
        prop_assert_eq!(halves, Standing::total(parts.iter().copied()));
        prop_assert_eq!(halves.minus(halves), Standing::default());
    }
}
