//! What makes a finding's points: the factors, each in percent, and the words for them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::weight;
use crate::score::{Severity, Weights};

/// Who can reach what a finding is about. Each that holds adds to a factor of 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exposure {
    /// It listens on an address that other hosts reach: + 0.5.
    pub listens: bool,
    /// It runs as root or with rights that amount to it: + 0.5.
    pub privileged: bool,
    /// The internet reaches the asset: + 1.
    pub internet_facing: bool,
}

impl Exposure {
    /// The factor in percent, 100 to 300.
    pub fn percent(self) -> u16 {
        let Self { listens, privileged, internet_facing } = self;
        100 + 50 * u16::from(listens) + 50 * u16::from(privileged) + 100 * u16::from(internet_facing)
    }
}

/// The probability that a vulnerability is exploited in the next 30 days, as EPSS gives it (FIRST, <https://www.first.org/epss>),
/// in ten-thousandths: 0 to 10,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Epss(u16);

impl Epss {
    /// Certainty.
    pub const MAX: u16 = 10_000;

    /// From ten-thousandths; none above 10,000.
    pub const fn new(ten_thousandths: u16) -> Option<Self> {
        if ten_thousandths <= Self::MAX { Some(Self(ten_thousandths)) } else { None }
    }
}

impl TryFrom<u16> for Epss {
    type Error = &'static str;

    fn try_from(ten_thousandths: u16) -> Result<Self, Self::Error> {
        Self::new(ten_thousandths).ok_or("a probability is at most 10000 ten-thousandths")
    }
}

impl From<Epss> for u16 {
    fn from(epss: Epss) -> Self {
        epss.0
    }
}

/// What feeds say about attacks. The default, no feed and no entry, is neutral: it neither raises nor lowers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exploitability {
    /// It is in CISA's catalogue of known exploited vulnerabilities: the factor is 2, whatever EPSS says.
    pub known_exploited: bool,
    /// Adds its probability to a factor of 1.
    pub epss: Option<Epss>,
}

impl Exploitability {
    /// The factor in percent, 100 to 200. EPSS is rounded down to whole percent.
    pub fn percent(self) -> u16 {
        if self.known_exploited { 200 } else { 100 + self.epss.map_or(0, |epss| epss.0 / 100) }
    }
}

/// How much the asset matters, as its owner says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// Half.
    Low,
    /// Once: what nobody said anything about.
    #[default]
    Normal,
    /// One and a half times.
    High,
    /// Twice.
    Critical,
}

impl Criticality {
    /// The factor in percent, 50 to 200.
    pub const fn percent(self) -> u16 {
        match self {
            Self::Low => 50,
            Self::Normal => 100,
            Self::High => 150,
            Self::Critical => 200,
        }
    }
}

/// An open finding as far as risk asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Who reaches it.
    #[serde(default)]
    pub exposure: Exposure,
    /// What feeds say.
    #[serde(default)]
    pub exploitability: Exploitability,
}

impl Finding {
    /// One that nothing makes worse.
    pub fn plain(severity: Severity) -> Self {
        Self { severity, exposure: Exposure::default(), exploitability: Exploitability::default() }
    }

    /// Weight × exposure × exploitability, in ten-thousandths of a point, before the asset's criticality.
    pub fn points(&self, weights: &Weights) -> i64 {
        weight(weights, self.severity) * i64::from(self.exposure.percent()) * i64::from(self.exploitability.percent())
    }

    /// The factors of its points on an asset of that criticality.
    pub fn factors(&self, criticality: Criticality, weights: &Weights) -> Factors {
        Factors { finding: *self, weight: weight(weights, self.severity), criticality }
    }
}

/// Why a finding has the points it has. Shown as a product, such as
/// `critical (10) × internet-facing and listening (2.5) × known to be exploited (2) × critical asset (2) = 100 points`;
/// a factor of 1 is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Factors {
    /// What was found.
    pub finding: Finding,
    /// The tenant's weight of its severity.
    pub weight: i64,
    /// Of the asset.
    pub criticality: Criticality,
}

impl Factors {
    /// The product, in millionths of a point.
    pub fn millionths(&self) -> i64 {
        let Finding { exposure, exploitability, .. } = self.finding;
        let percents = [exposure.percent(), exploitability.percent(), self.criticality.percent()];
        percents.into_iter().fold(self.weight, |product, percent| product * i64::from(percent))
    }
}

impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.finding.severity {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        };
        write!(f, "{severity} ({})", self.weight)?;
        let Exposure { listens, privileged, internet_facing } = self.finding.exposure;
        let exposed = [(internet_facing, "internet-facing"), (listens, "listening"), (privileged, "privileged")];
        let exposed: Vec<&str> = exposed.into_iter().filter_map(|(holds, word)| holds.then_some(word)).collect();
        if let Some((last, others)) = exposed.split_last() {
            let others = others.join(", ");
            let and = if others.is_empty() { "" } else { " and " };
            write!(f, " × {others}{and}{last} ({})", Hundredths(self.finding.exposure.percent().into()))?;
        }
        let Exploitability { known_exploited, epss } = self.finding.exploitability;
        let percent = self.finding.exploitability.percent();
        if known_exploited {
            write!(f, " × known to be exploited ({})", Hundredths(percent.into()))?;
        } else if let Some(epss) = epss.filter(|_| percent > 100) {
            write!(f, " × EPSS {} % ({})", Hundredths(i64::from(epss.0)), Hundredths(percent.into()))?;
        }
        let asset = match self.criticality {
            Criticality::Low => Some("asset of low criticality"),
            Criticality::Normal => None,
            Criticality::High => Some("asset of high criticality"),
            Criticality::Critical => Some("critical asset"),
        };
        if let Some(asset) = asset {
            write!(f, " × {asset} ({})", Hundredths(self.criticality.percent().into()))?;
        }
        let points = Hundredths(self.millionths() / 10_000);
        write!(f, " = {points} {}", if points.0 == 100 { "point" } else { "points" })
    }
}

/// A number in hundredths, shown without zeros that say nothing.
struct Hundredths(i64);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}"),
            (_, 0) => write!(f, "{whole}.{}", rest / 10),
            _ => write!(f, "{whole}.{rest:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_said_in_words() {
        let weights = Weights::default();
        let worst = Finding {
            severity: Severity::Critical,
            exposure: Exposure { listens: true, privileged: true, internet_facing: true },
            exploitability: Exploitability { known_exploited: true, epss: Epss::new(9_000) },
        };
        assert_eq!(
            worst.factors(Criticality::Critical, &weights).to_string(),
            "critical (10) × internet-facing, listening and privileged (3) × known to be exploited (2) × critical asset (2) = 120 points"
        );
        let likely = Finding {
            exposure: Exposure { privileged: true, ..Exposure::default() },
            exploitability: Exploitability { known_exploited: false, epss: Epss::new(3_456) },
            ..Finding::plain(Severity::Medium)
        };
        assert_eq!(
            likely.factors(Criticality::High, &weights).to_string(),
            "medium (2) × privileged (1.5) × EPSS 34.56 % (1.34) × asset of high criticality (1.5) = 6.03 points"
        );
        assert_eq!(
            Finding::plain(Severity::Low).factors(Criticality::Normal, &weights).to_string(),
            "low (1) = 1 point"
        );
    }

    #[test]
    fn without_a_feed_exploitability_is_neutral() {
        assert_eq!(Exploitability::default().percent(), 100);
        assert_eq!(Exploitability { known_exploited: false, epss: Epss::new(0) }.percent(), 100);
        assert_eq!(Exploitability { known_exploited: false, epss: Epss::new(10_000) }.percent(), 200);
        assert_eq!(Epss::new(10_001), None);
        assert!(serde_json::from_str::<Epss>("10001").is_err());
    }
}
