//! Results on their way in, and what became of each.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::Envelope;

/// `POST /v1/agents/results`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ResultsRequest {
    /// Each is accepted or refused by itself.
    pub results: Vec<SubmittedResult>,
}

/// One envelope and the job it answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SubmittedResult {
    /// None for a run that the agent scheduled itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
    /// What the run found.
    pub envelope: Envelope,
}

/// The answer: one entry for each result, in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultsResponse {
    /// What became of each.
    pub results: Vec<ResultAck>,
}

/// What became of one result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultAck {
    /// The run.
    pub run_id: Uuid,
    /// The server had it already; nothing was written.
    pub duplicate: bool,
    /// Stored, now or before: the agent can forget it.
    pub accepted: bool,
    /// The snapshot the server now holds for asset and module: the base of the next facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ResultError>,
}

/// Why a result was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResultError {
    /// One of [`super::codes`].
    pub code: String,
    /// For people.
    pub message: String,
}
