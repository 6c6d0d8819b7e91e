//! Risk, 0–100, of an asset, a tenant and the platform: severity × exposure × exploitability × the asset's criticality,
//! saturating.
//!
//! - A finding's **points** are the tenant's weight of its severity × exposure (1 to 3) × exploitability (1 to 2).
//! - An asset's **load** is the sum of its findings' points × its criticality (0.5 to 2), measured in *halves*: a half is
//!   five times the tenant's heaviest weight, so that five plain findings of the heaviest severity make a risk of 50,
//!   whatever scale a tenant's weights have.
//! - **Risk** is `100 × load ÷ (load + assets)`, rounded half up, with one asset for an asset's own. A fleet's risk is
//!   therefore that of its mean load: one formula at all three levels, and sums of different tenants may be added.
//!
//! All is integers, so that a kept sum equals a recompute to the last digit, on every machine and in SQL. A further or
//! worse finding never lowers a risk. An asset that is added without findings lowers its fleet's, as it lowers a mean;
//! one asset's load is bounded by [`Load::MAX`], so that no single host, however many findings it claims, is a fleet.

mod explain;
mod factors;

pub use explain::{Explanation, ExplanationError, Fraction, Part, Rest, asset, divide, fleet};
pub use factors::{Criticality, Epss, Exploitability, Exposure, Factors, Finding};

use serde::{Deserialize, Serialize};

use crate::score::{Severity, Weights};
use crate::sum::Sum;

/// How many plain findings of the heaviest severity make a risk of 50.
pub const FINDINGS_TO_HALF: i64 = 5;

/// The weight of a severity where risk is meant: never less than that of a lesser severity, whatever a tenant wrote, for
/// a worse finding must not lower a risk.
pub fn weight(weights: &Weights, severity: Severity) -> i64 {
    let up_to = [Severity::Low, Severity::Medium, Severity::High, Severity::Critical];
    up_to
        .into_iter()
        .filter(|lesser| *lesser <= severity)
        .map(|lesser| i64::from(weights.of(lesser)))
        .max()
        .unwrap_or(0)
}

/// What is kept of an asset's open findings. As a difference its fields may be negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetSums {
    /// Points of all findings, in ten-thousandths (weight × percent × percent), before the asset's criticality.
    pub points: i64,
    /// How many findings.
    pub findings: i64,
}

impl AssetSums {
    /// The sums over all of `findings`.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>, weights: &Weights) -> Self {
        Self::total(findings.into_iter().map(|finding| Self::one(finding.points(weights))))
    }

    /// Follows one finding from what it was to what it is; none means it was not open, or no longer is.
    pub fn change(&mut self, from: Option<&Finding>, to: Option<&Finding>, weights: &Weights) {
        if let Some(from) = from {
            *self = self.minus(Self::one(from.points(weights)));
        }
        if let Some(to) = to {
            *self = self.plus(Self::one(to.points(weights)));
        }
    }

    const fn one(points: i64) -> Self {
        Self { points, findings: 1 }
    }

    /// The asset's load. That the criticality changed, or the weight of the heaviest severity, needs no finding again.
    pub fn load(&self, criticality: Criticality, weights: &Weights) -> Load {
        let half = i128::from(weight(weights, Severity::Critical) * FINDINGS_TO_HALF);
        if half == 0 {
            return Load(0);
        }
        // points in 10⁻⁴ × criticality in 10⁻² ÷ half = load in 10⁻⁶ halves.
        let load = i128::from(self.points.max(0)) * i128::from(criticality.percent()) / half;
        Load(i64::try_from(load).unwrap_or(i64::MAX).min(Load::MAX.0))
    }
}

impl Sum for AssetSums {
    fn plus(self, other: Self) -> Self {
        Self { points: self.points + other.points, findings: self.findings + other.findings }
    }

    fn negated(self) -> Self {
        Self { points: -self.points, findings: -self.findings }
    }
}

/// An asset's load, in millionths of a half. From 0 to [`Load::MAX`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "i64", into = "i64")]
pub struct Load(i64);

impl Load {
    /// One half: a risk of 50.
    pub const HALF: Self = Self(1_000_000);
    /// 199 halves: the least at which the risk is rounded to 100.
    pub const MAX: Self = Self(199_000_000);

    /// In millionths of a half.
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// The asset's risk, 0–100.
    pub fn risk(self) -> u8 {
        saturated(self.0, 1)
    }
}

impl From<i64> for Load {
    fn from(millionths: i64) -> Self {
        Self(millionths.clamp(0, Self::MAX.0))
    }
}

impl From<Load> for i64 {
    fn from(load: Load) -> Self {
        load.0
    }
}

/// What is kept of a fleet: a group, a tenant, the tenants below one, the platform. As a difference its fields may be
/// negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetSums {
    /// Loads of all assets, in millionths of a half.
    pub load: i64,
    /// How many assets. Leave out those that nothing ever looked at: that nothing is known is no low risk.
    pub assets: i64,
}

impl FleetSums {
    /// The sums over all of `loads`.
    pub fn of(loads: impl IntoIterator<Item = Load>) -> Self {
        loads.into_iter().fold(Self::default(), |sums, load| sums.plus(Self { load: load.0, assets: 1 }))
    }

    /// Follows one asset from its old load to its new one; none means it was not there, or is gone.
    pub fn change(&mut self, from: Option<Load>, to: Option<Load>) {
        if let Some(from) = from {
            *self = self.minus(Self { load: from.0, assets: 1 });
        }
        if let Some(to) = to {
            *self = self.plus(Self { load: to.0, assets: 1 });
        }
    }

    /// The fleet's risk, 0–100; none if there is no asset.
    pub fn risk(&self) -> Option<u8> {
        (self.assets > 0).then(|| saturated(self.load, self.assets))
    }
}

impl Sum for FleetSums {
    fn plus(self, other: Self) -> Self {
        Self { load: self.load + other.load, assets: self.assets + other.assets }
    }

    fn negated(self) -> Self {
        Self { load: -self.load, assets: -self.assets }
    }
}

/// `100 × load ÷ (load + assets)`, rounded half up, for a load in millionths of a half.
fn saturated(load: i64, assets: i64) -> u8 {
    let load = i128::from(load.max(0));
    let whole = load + i128::from(assets.max(1)) * i128::from(Load::HALF.0);
    u8::try_from((load * 200 + whole) / (whole * 2)).unwrap_or(100)
}

#[cfg(test)]
mod tests;
