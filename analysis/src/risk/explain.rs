//! A risk taken apart: what made it, how much each gave, and what is left for all that is not listed. The parts are whole
//! points and sum exactly to the risk that is shown.
//!
//! Rounding is divided by largest remainder (Hamilton's method): each part gets its exact share rounded down, and the
//! points that are still missing go one each to the largest remainders; of equal ones to the larger amount, then to the
//! one that is listed first. Lists are sorted by amount, then key, so the same parts give the same shares in any order.

use serde::Serialize;

use super::{AssetSums, Criticality, Factors, Finding, FleetSums, Load};
use crate::score::Weights;
use crate::sum::Sum as _;

/// Why there is no explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExplanationError {
    /// The list holds more than the kept sum: the two were not read in one transaction, or the sum is wrong.
    #[error(
        "the list gives more than the kept sum; read both in one transaction, and recompute the sum if that persists"
    )]
    MoreThanKept,
}

/// A part of a whole, for a bar or a percentage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Fraction {
    /// Of the explained amount.
    pub part: i64,
    /// All of it. 0 where nothing is explained.
    pub whole: i64,
}

/// One thing that made a risk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part<K, W> {
    /// Which finding, asset or tenant.
    pub key: K,
    /// Why it gives that much.
    pub why: W,
    /// How much it gives of the points or of the load, exactly.
    pub amount: Fraction,
    /// Its share of the risk, in whole points.
    pub share: u8,
}

/// All that is not listed, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rest {
    /// How many findings, or for a fleet how many assets.
    pub count: i64,
    /// How much they give together.
    pub amount: Fraction,
    /// Their share of the risk, in whole points.
    pub share: u8,
}

/// A risk and what made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation<K, W> {
    /// 0–100.
    pub risk: u8,
    /// What is listed, most first. A part may give less than half a point and so have a share of 0.
    pub parts: Vec<Part<K, W>>,
    /// The others, if there are any. The shares of the parts and of the rest sum to the risk.
    pub rest: Option<Rest>,
}

/// Why an asset has its risk: from its kept sums and the findings to list, all of them or the weightiest.
pub fn asset<K: Ord>(
    kept: &AssetSums,
    criticality: Criticality,
    weights: &Weights,
    listed: impl IntoIterator<Item = (K, Finding)>,
) -> Result<Explanation<K, Factors>, ExplanationError> {
    let listed: Vec<_> = listed
        .into_iter()
        .map(|(key, finding)| (key, finding.factors(criticality, weights), finding.points(weights)))
        .collect();
    explanation(kept.load(criticality, weights).risk(), (kept.points, kept.findings), listed)
}

/// Why a fleet has its risk: from its kept sums and the members to list, all of them or the weightiest, each with its own
/// kept sums. A member is an asset or, for the platform and managing tenants, a tenant.
pub fn fleet<K: Ord>(
    kept: &FleetSums,
    listed: impl IntoIterator<Item = (K, FleetSums)>,
) -> Result<Explanation<K, FleetSums>, ExplanationError> {
    let listed: Vec<_> = listed.into_iter().map(|(key, member)| (key, member, member.load)).collect();
    let assets: FleetSums = crate::sum::Sum::total(listed.iter().map(|(_, member, _)| *member));
    let others = kept.minus(assets).assets;
    let count = others + i64::try_from(listed.len()).unwrap_or(i64::MAX);
    explanation(kept.risk().unwrap_or(0), (kept.load, count), listed)
}

impl From<Load> for FleetSums {
    fn from(load: Load) -> Self {
        Self::of([load])
    }
}

fn explanation<K: Ord, W>(
    risk: u8,
    (whole, count): (i64, i64),
    mut listed: Vec<(K, W, i64)>,
) -> Result<Explanation<K, W>, ExplanationError> {
    listed.sort_by(|(a_key, _, a), (b_key, _, b)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
    let listed_amount: i64 = listed.iter().map(|(_, _, amount)| amount).sum();
    let (left, left_count) = (whole - listed_amount, count - i64::try_from(listed.len()).unwrap_or(i64::MAX));
    if left < 0 || left_count < 0 || (left > 0 && left_count == 0) {
        return Err(ExplanationError::MoreThanKept);
    }
    let mut amounts: Vec<i64> = listed.iter().map(|(_, _, amount)| *amount).collect();
    amounts.push(left);
    let mut shares = divide(risk, &amounts);
    let rest_share = shares.pop().unwrap_or(0);
    let fraction = |part| Fraction { part, whole };
    let parts = listed
        .into_iter()
        .zip(shares)
        .map(|((key, why, amount), share)| Part { key, why, amount: fraction(amount), share })
        .collect();
    let rest = (left_count > 0).then(|| Rest { count: left_count, amount: fraction(left), share: rest_share });
    Ok(Explanation { risk, parts, rest })
}

/// Divides `total` whole points among `amounts` in proportion, by largest remainder. The shares sum to `total`, or to 0
/// if there is nothing to divide among; each is its exact share rounded up or down. Amounts below zero count as zero.
pub fn divide(total: u8, amounts: &[i64]) -> Vec<u8> {
    let whole: i128 = amounts.iter().map(|amount| i128::from((*amount).max(0))).sum();
    if whole == 0 {
        return vec![0; amounts.len()];
    }
    let exact = amounts.iter().map(|amount| i128::from((*amount).max(0)) * i128::from(total));
    let (mut shares, remainders): (Vec<u8>, Vec<i128>) =
        exact.map(|exact| (u8::try_from(exact / whole).unwrap_or(total), exact % whole)).unzip();
    let mut missing =
        usize::from(total) - shares.iter().map(|share| usize::from(*share)).sum::<usize>().min(total.into());
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    order.sort_by(|a, b| {
        remainders[*b].cmp(&remainders[*a]).then_with(|| amounts[*b].cmp(&amounts[*a])).then_with(|| a.cmp(b))
    });
    for index in order {
        if missing == 0 {
            break;
        }
        shares[index] += 1;
        missing -= 1;
    }
    shares
}
