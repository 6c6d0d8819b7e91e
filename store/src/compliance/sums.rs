//! Kept sums of a framework's controls, as they are stored, and how a change of one asset moves those over all. Pure: what
//! is kept equals a recompute because every change is taken out as it was and put in as it is.

use std::collections::BTreeMap;

use analysis::compliance::{Counts, Standing};
use analysis::score::Sums;
use analysis::sum::Sum as _;

/// A control on one asset: weights of what passes and of what is assessed; how many checks pass, fail, do not apply, could
/// not be decided, are waived; weights of these. As numbers in a row, because there is one for each control and asset.
pub(super) type Packed = [i64; 8];
/// A framework on one asset: the controls that a check of the asset is mapped to.
pub(super) type OnAsset = BTreeMap<String, Packed>;
/// A control over all assets: the same, and on how many assets it passes, fails, is waived, is not assessed.
pub(super) type PackedOverall = [i64; 12];
/// A framework over all assets, as it is stored.
pub(super) type StoredOverall = BTreeMap<String, PackedOverall>;

fn unpack(packed: Packed) -> Sums {
    let [passed_weight, assessed_weight, passed, failed, not_applicable, error, waived, waived_weight] = packed;
    Sums { passed_weight, assessed_weight, passed, failed, not_applicable, error, waived, waived_weight }
}

/// The standing of a framework on one asset, over the controls that a check is mapped to.
pub(super) fn on_asset(controls: &OnAsset) -> Standing {
    Standing::total(controls.values().map(|packed| Standing::of_control(unpack(*packed))))
}

/// The standing of a control over all assets from its stored form.
pub(super) fn of_control(packed: PackedOverall) -> Standing {
    let [
        passed_weight,
        assessed_weight,
        passed,
        failed,
        not_applicable,
        error,
        waived,
        waived_weight,
        on_passed,
        on_failed,
        on_waived,
        on_none,
    ] = packed;
    Standing {
        checks: unpack([passed_weight, assessed_weight, passed, failed, not_applicable, error, waived, waived_weight]),
        controls: Counts { passed: on_passed, failed: on_failed, waived: on_waived, not_assessed: on_none },
    }
}

/// A control over all `assets`: those without any check of it are there, and not assessed.
pub(super) fn over(assets: i64, kept: Standing) -> Standing {
    let not_assessed = (assets - kept.controls.assessed()).max(0);
    Standing { controls: Counts { not_assessed, ..kept.controls }, ..kept }
}

/// A framework over all assets: the sums of each of its controls.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Overall(BTreeMap<String, Standing>);

impl Overall {
    pub(super) fn of_stored(stored: StoredOverall) -> Self {
        Self(stored.into_iter().map(|(control, packed)| (control, of_control(packed))).collect())
    }

    /// Follows one asset from what it had to what it has.
    pub(super) fn change(&mut self, before: &OnAsset, after: &OnAsset) {
        for control in before.keys().chain(after.keys().filter(|control| !before.contains_key(*control))) {
            let (from, to) = (before.get(control), after.get(control));
            if from == to {
                continue;
            }
            let mut standing = self.0.get(control).copied().unwrap_or_default();
            standing.change(from.copied().map(unpack), to.copied().map(unpack));
            if standing == Standing::default() {
                self.0.remove(control);
            } else {
                self.0.insert(control.clone(), standing);
            }
        }
    }

    pub(super) fn standing(&self) -> Standing {
        Standing::total(self.0.values().copied())
    }

    pub(super) fn stored(&self) -> StoredOverall {
        let packed = |standing: &Standing| {
            let Standing { checks, controls } = *standing;
            [
                checks.passed_weight,
                checks.assessed_weight,
                checks.passed,
                checks.failed,
                checks.not_applicable,
                checks.error,
                checks.waived,
                checks.waived_weight,
                controls.passed,
                controls.failed,
                controls.waived,
                controls.not_assessed,
            ]
        };
        self.0.iter().map(|(control, standing)| (control.clone(), packed(standing))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls(of: &[(&str, Packed)]) -> OnAsset {
        of.iter().map(|(control, packed)| ((*control).to_owned(), *packed)).collect()
    }

    const PASS: Packed = [10, 10, 1, 0, 0, 0, 0, 0];
    const FAIL: Packed = [0, 5, 0, 1, 0, 0, 0, 0];
    const WAIVED: Packed = [0, 0, 0, 0, 0, 0, 1, 5];
    const NONE: Packed = [0, 0, 0, 0, 3, 0, 0, 0];

    #[test]
    fn following_assets_in_any_order_gives_what_summing_them_gives() {
        let empty = OnAsset::new();
        let states = [
            controls(&[("a", PASS), ("b", FAIL)]),
            controls(&[("a", FAIL), ("b", WAIVED), ("c", NONE)]),
            controls(&[("b", PASS)]),
        ];
        let mut kept = Overall::default();
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            kept.change(&empty, &states[from]);
            kept.change(&states[from], &states[to]);
        }
        let mut anew = Overall::default();
        for state in [&states[0], &states[1], &states[2]] {
            anew.change(&empty, state);
        }
        assert_eq!(kept, anew);
        assert_eq!(Overall::of_stored(kept.stored()), kept);
        assert_eq!(kept.standing(), Standing::total(states.iter().map(on_asset)));
        for state in &states {
            kept.change(state, &empty);
        }
        assert_eq!(kept, Overall::default(), "nothing is left of what went");
    }

    #[test]
    fn assets_that_no_check_looked_at_lower_the_coverage() {
        let mut kept = Overall::default();
        kept.change(&OnAsset::new(), &controls(&[("a", PASS)]));
        let control = over(4, of_control(kept.stored()["a"]));
        assert_eq!((control.coverage(), control.controls.not_assessed), (Some(25), 3));
    }
}
