//! How controls stand, as every answer of this area shows it.

use analysis::{
    compliance::{Counts, Standing, Status},
    score::Sums,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Checks by verdict. A check that is mapped to two controls counts in both where controls are summed.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct CheckCounts {
    /// Passed.
    pub passed: i64,
    /// Failed, and nothing waives it.
    pub failed: i64,
    /// Failed under a waiver: in no other number here.
    pub waived: i64,
    /// Without a subject.
    pub not_applicable: i64,
    /// Could not be decided.
    pub error: i64,
}

impl From<Sums> for CheckCounts {
    fn from(sums: Sums) -> Self {
        let Sums { passed, failed, waived, not_applicable, error, .. } = sums;
        Self { passed, failed, waived, not_applicable, error }
    }
}

/// Controls by status.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct ControlCounts {
    /// Every check of it that applies passes.
    pub passed: i64,
    /// A check of it fails, and nothing waives it.
    pub failed: i64,
    /// All of its checks that fail are waived.
    pub waived: i64,
    /// None of its checks applies, or one could not be decided.
    pub not_assessed: i64,
}

impl From<Counts> for ControlCounts {
    fn from(counts: Counts) -> Self {
        let Counts { passed, failed, waived, not_assessed } = counts;
        Self { passed, failed, waived, not_assessed }
    }
}

/// How controls stand over assets.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct StandingView {
    /// Weights of what passes, of what passes or fails: 0 to 100; none where nothing was assessed.
    pub score: Option<u8>,
    /// Controls assessed of all, each once for every asset, in percent; none where there is none.
    pub coverage: Option<u8>,
    /// Their checks.
    pub checks: CheckCounts,
    /// The controls, each once for every asset.
    pub controls: ControlCounts,
}

impl From<Standing> for StandingView {
    fn from(standing: Standing) -> Self {
        Self {
            score: standing.score(),
            coverage: standing.coverage(),
            checks: standing.checks.into(),
            controls: standing.controls.into(),
        }
    }
}

/// How a control stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ControlStatus {
    /// A check of it fails somewhere, and nothing waives it.
    Fail,
    /// What fails is waived.
    Waived,
    /// It passes wherever it was assessed.
    Pass,
    /// It was assessed nowhere.
    NotAssessed,
}

impl From<Status> for ControlStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Fail => Self::Fail,
            Status::Waived => Self::Waived,
            Status::Pass => Self::Pass,
            Status::NotAssessed => Self::NotAssessed,
        }
    }
}

impl From<ControlStatus> for Status {
    fn from(status: ControlStatus) -> Self {
        match status {
            ControlStatus::Fail => Self::Fail,
            ControlStatus::Waived => Self::Waived,
            ControlStatus::Pass => Self::Pass,
            ControlStatus::NotAssessed => Self::NotAssessed,
        }
    }
}
