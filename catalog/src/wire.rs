//! What agent and API say to each other, and how an agent proves who it is.
//!
//! Requests refuse unknown fields; answers do not, so that an older agent understands a newer server.

mod enroll;
mod jobs;
mod results;
mod signing;
mod token;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use enroll::{AgentConfig, EnrollCredential, EnrollRequest, EnrollResponse, HostIdentity, OsInfo, TenantInfo};
pub use jobs::{
    AgentJob, AgentState, HeartbeatRequest, HeartbeatResponse, LimitsInForce, MAX_JOBS, MAX_WAIT_SECONDS, PollRequest,
    PollResponse, UnchangedRun,
};
pub use results::{ResultAck, ResultError, ResultsRequest, ResultsResponse, SubmittedResult};
pub use signing::{SignatureError, sign_request, signing_bytes, verify_request};
pub use token::{AgentToken, TokenError};

/// Header: milliseconds since the epoch, by the agent's clock corrected to the server's.
pub const TIMESTAMP_HEADER: &str = "x-tenantra-timestamp";
/// Header: the number of the request, each used once.
pub const SEQUENCE_HEADER: &str = "x-tenantra-sequence";
/// Header: base64 of the Ed25519 signature over [`signing_bytes`].
pub const SIGNATURE_HEADER: &str = "x-tenantra-signature";
/// Audience of the `ServiceAccount` token that a `DaemonSet`'s agent enrols with.
pub const SERVICE_ACCOUNT_AUDIENCE: &str = "tenantra";
/// How far an agent's clock may be off, in milliseconds.
pub const MAX_CLOCK_SKEW_MS: i64 = 5 * 60 * 1_000;
/// How many sequence numbers below the greatest one seen are still accepted, once each.
pub const SEQUENCE_WINDOW: u64 = 1_024;

/// `code` of an [`ApiError`] or a [`ResultError`] that an agent acts on.
pub mod codes {
    /// The clock is more than five minutes off; `details.server_time` says what it should show.
    pub const CLOCK_SKEW: &str = "clock_skew";
    /// The sequence number was used before, or is too old.
    pub const REPLAYED: &str = "replayed";
    /// The signature does not match key and request.
    pub const BAD_SIGNATURE: &str = "bad_signature";
    /// No agent has this token.
    pub const UNKNOWN_CREDENTIAL: &str = "unknown_credential";
    /// The agent was removed.
    pub const REVOKED: &str = "revoked";
    /// The server holds another snapshot than the facts' base: send all facts with base null.
    pub const SNAPSHOT_MISMATCH: &str = "snapshot_mismatch";
    /// The envelope breaks the schema; sending it again cannot help.
    pub const INVALID_ENVELOPE: &str = "invalid_envelope";
    /// The module and version are not in the catalog.
    pub const UNKNOWN_MODULE: &str = "unknown_module";
}

/// Every error of the API.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApiError {
    /// For programs, `snake_case`; never changes.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whatever helps: the field, the limit, the server's time.
    #[serde(default)]
    pub details: BTreeMap<String, Value>,
    /// Also the header `x-trace-id`, and in the server's log.
    #[serde(default)]
    pub trace_id: String,
}
