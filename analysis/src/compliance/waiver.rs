//! Waivers: a failing check that somebody answers for, on one asset or on all, until a date. It fails again the instant
//! the waiver ends, without anybody doing anything: [`ends_between`] names what to count anew then.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::grant::Grant;
use crate::score::Verdict;

/// On which assets a waiver holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope<A> {
    /// On every asset of the tenant.
    Every,
    /// On that one.
    Asset(A),
}

/// A failing check that is accepted. What `A` and `C` are (an identifier, a name) is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiver<A, C> {
    /// Which check.
    pub check: C,
    /// Where.
    pub scope: Scope<A>,
    /// Who, why, until when.
    pub grant: Grant,
}

impl<A: PartialEq, C: PartialEq> Waiver<A, C> {
    /// Whether it waives that check on that asset at that instant.
    pub fn covers(&self, asset: &A, check: &C, at: DateTime<Utc>) -> bool {
        self.concerns(asset, check) && self.grant.is_in_force(at)
    }

    fn concerns(&self, asset: &A, check: &C) -> bool {
        self.check == *check
            && match &self.scope {
                Scope::Every => true,
                Scope::Asset(only) => only == asset,
            }
    }
}

/// The verdict of a check on an asset as it counts at that instant, and the waiver that a report names: of several the
/// one that lasts longest, for that is when the check fails again.
pub fn effective<'a, A: PartialEq, C: PartialEq>(
    verdict: Verdict,
    (asset, check): (&A, &C),
    waivers: impl IntoIterator<Item = &'a Waiver<A, C>>,
    at: DateTime<Utc>,
) -> (Verdict, Option<&'a Waiver<A, C>>) {
    if !matches!(verdict, Verdict::Fail | Verdict::Waived) {
        return (verdict, None);
    }
    let in_force = waivers.into_iter().filter(|waiver| waiver.covers(asset, check, at));
    let waiver = in_force.max_by_key(|waiver| waiver.grant.until());
    (verdict.under(waiver.is_some()), waiver)
}

/// The waivers that begin or end after `after` and up to `at`: what they concern is to be counted anew.
pub fn ends_between<'a, A, C>(
    waivers: impl IntoIterator<Item = &'a Waiver<A, C>>,
    after: DateTime<Utc>,
    at: DateTime<Utc>,
) -> impl Iterator<Item = &'a Waiver<A, C>>
where
    A: 'a,
    C: 'a,
{
    let within = move |instant: DateTime<Utc>| after < instant && instant <= at;
    waivers.into_iter().filter(move |waiver| within(waiver.grant.from()) || within(waiver.grant.until()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * 86_400, 0).unwrap()
    }

    fn waiver(scope: Scope<u8>, from: i64, until: i64) -> Waiver<u8, &'static str> {
        Waiver { check: "ssh", scope, grant: Grant::new("anna", "replaced in May", at(from), at(until)).unwrap() }
    }

    #[test]
    fn a_failing_check_is_waived_until_the_waiver_ends() {
        let waivers = [waiver(Scope::Asset(1), 0, 10), waiver(Scope::Every, 5, 20)];
        let verdict = |asset: u8, check, day| {
            let (verdict, by) = effective(Verdict::Fail, (&asset, &check), &waivers, at(day));
            (verdict, by.map(|waiver| waiver.grant.until()))
        };
        assert_eq!(verdict(1, "ssh", 0), (Verdict::Waived, Some(at(10))));
        assert_eq!(verdict(2, "ssh", 0), (Verdict::Fail, None));
        assert_eq!(verdict(1, "ssh", 7), (Verdict::Waived, Some(at(20))));
        assert_eq!(verdict(2, "ssh", 19), (Verdict::Waived, Some(at(20))));
        assert_eq!(verdict(1, "ssh", 20), (Verdict::Fail, None));
        assert_eq!(verdict(1, "cron", 7), (Verdict::Fail, None));
        assert_eq!(effective(Verdict::Pass, (&1, &"ssh"), &waivers, at(7)), (Verdict::Pass, None));
    }

    #[test]
    fn what_a_waivers_end_concerns_is_named_once() {
        let waivers = [waiver(Scope::Asset(1), 0, 10), waiver(Scope::Every, 5, 20)];
        let named = |after, until| ends_between(&waivers, at(after), at(until)).count();
        assert_eq!(
            (named(0, 4), named(4, 5), named(5, 9), named(9, 10), named(9, 30), named(20, 30)),
            (0, 1, 0, 1, 2, 0)
        );
    }
}
