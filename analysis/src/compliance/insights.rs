//! What a trend says: where things stand, how that differs from some days ago, and when it moved most.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::Standing;

/// What a trend says about a span of days. A change is the last value less the first: of failures below zero is good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insights {
    /// The day that the last one is compared with. Later than asked for where the trend is younger.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// 0–100; none if nothing is assessed.
    pub score: Option<u8>,
    /// In points; none if one of the two days has no score.
    pub score_change: Option<i16>,
    /// Controls assessed ÷ all, in percent.
    pub coverage: Option<u8>,
    /// In points of a percent.
    pub coverage_change: Option<i16>,
    /// Failing checks that nothing waives; one that is mapped to two controls counts in both.
    pub open_failures: i64,
    /// Of these, how many more than at the beginning.
    pub net_change: i64,
    /// How many came in the days on which they became more.
    pub rose: i64,
    /// How many went in the days on which they became fewer: `rose - fell` is the net change.
    pub fell: i64,
    /// Failing checks under a waiver.
    pub waived: i64,
    /// How many more of these.
    pub waived_change: i64,
    /// The day on which open failures moved most, the first of several; none if they never moved.
    pub steepest: Option<Steepest>,
}

/// A day on which open failures moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steepest {
    /// Which.
    pub day: NaiveDate,
    /// How many more; below zero: fewer.
    pub change: i64,
}

/// The insights of the `days` days up to `to`, from what stood at the end of each day. A day without an entry stood as
/// the day before; none if there is no entry up to `to`.
pub fn insights(trend: &BTreeMap<NaiveDate, Standing>, to: NaiveDate, days: u16) -> Option<Insights> {
    let (_, last) = trend.range(..=to).next_back()?;
    let asked = to.checked_sub_days(Days::new(u64::from(days))).unwrap_or(NaiveDate::MIN);
    let (from, first) = match trend.range(..=asked).next_back() {
        Some((_, first)) => (asked, first),
        None => trend.range(..=to).next().map(|(day, first)| (*day, first))?,
    };
    let mut before = first.checks.failed;
    let (mut rose, mut fell, mut steepest) = (0, 0, None::<Steepest>);
    for (day, standing) in trend.range(from..=to) {
        let change = standing.checks.failed - before;
        before = standing.checks.failed;
        rose += change.max(0);
        fell += (-change).max(0);
        if change != 0 && steepest.is_none_or(|most| change.abs() > most.change.abs()) {
            steepest = Some(Steepest { day: *day, change });
        }
    }
    Some(Insights {
        from,
        to,
        score: last.score(),
        score_change: difference(last.score(), first.score()),
        coverage: last.coverage(),
        coverage_change: difference(last.coverage(), first.coverage()),
        open_failures: last.checks.failed,
        net_change: last.checks.failed - first.checks.failed,
        rose,
        fell,
        waived: last.checks.waived,
        waived_change: last.checks.waived - first.checks.waived,
        steepest,
    })
}

fn difference(last: Option<u8>, first: Option<u8>) -> Option<i16> {
    Some(i16::from(last?) - i16::from(first?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compliance::Counts;
    use crate::score::Sums;
    use proptest::prelude::*;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    fn standing(passed: i64, failed: i64, waived: i64, not_assessed: i64) -> Standing {
        Standing {
            checks: Sums {
                passed,
                failed,
                waived,
                passed_weight: passed,
                assessed_weight: passed + failed,
                ..Sums::default()
            },
            controls: Counts { passed, failed, waived, not_assessed },
        }
    }

    #[test]
    fn a_trend_says_where_it_stands_and_what_moved() {
        let trend = BTreeMap::from([
            (day(1), standing(60, 40, 0, 100)),
            (day(8), standing(60, 30, 10, 100)),
            (day(10), standing(70, 50, 10, 70)),
            (day(14), standing(90, 20, 15, 75)),
        ]);
        let found = insights(&trend, day(15), 7).unwrap();
        let expected = Insights {
            from: day(8),
            to: day(15),
            score: Some(82),
            score_change: Some(15),
            coverage: Some(62),
            coverage_change: Some(12),
            open_failures: 20,
            net_change: -10,
            rose: 20,
            fell: 30,
            waived: 15,
            waived_change: 5,
            steepest: Some(Steepest { day: day(14), change: -30 }),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_young_trend_is_compared_with_its_first_day_and_an_empty_one_says_nothing() {
        let trend = BTreeMap::from([(day(10), standing(1, 1, 0, 0))]);
        let found = insights(&trend, day(12), 30).unwrap();
        assert_eq!((found.from, found.net_change, found.score_change, found.steepest), (day(10), 0, Some(0), None));
        assert_eq!(insights(&trend, day(9), 30), None);
    }

    proptest! {
        #[test]
        fn what_rose_less_what_fell_is_the_net_change(
            trend in proptest::collection::btree_map(1_u32..29, (0_i64..50, 0_i64..50), 1..28), to in 1_u32..29, days in 0_u16..40,
        ) {
            let trend: BTreeMap<_, _> =
                trend.into_iter().map(|(on, (passed, failed))| (day(on), standing(passed, failed, 0, 0))).collect();
            if let Some(found) = insights(&trend, day(to), days) {
                prop_assert_eq!(found.rose - found.fell, found.net_change);
                prop_assert!(found.from <= found.to);
                prop_assert_eq!(found.steepest.is_none(), found.rose == 0 && found.fell == 0);
            } else {
                prop_assert!(trend.keys().all(|on| *on > day(to)));
            }
        }
    }
}
