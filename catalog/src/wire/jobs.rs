//! The poll: heartbeat, what did not change, lease renewals, and the next jobs in one exchange.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::module::Profile;

/// Longest time a poll is held, in seconds.
pub const MAX_WAIT_SECONDS: u32 = 300;
/// Jobs that one poll leases at most: every module of a first enrolment at once, with room. Each is some 250 bytes and what
/// its parameters take.
pub const MAX_JOBS: u32 = 512;

/// `POST /v1/agents/jobs/next`; held until there is a job or `wait_seconds` are over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PollRequest {
    /// 0 to [`MAX_WAIT_SECONDS`].
    pub wait_seconds: u32,
    /// How many jobs the agent takes at most.
    pub max_jobs: u32,
    /// How the agent is.
    pub state: AgentState,
    /// Version of the configuration it has, which stands for the bundle's checksum as well; none if it has to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<String>,
    /// Runs whose verdicts and facts equal those of the acknowledged snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<UnchangedRun>,
    /// Jobs that are still being worked on: their leases are renewed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<Uuid>,
}

/// How an agent is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct AgentState {
    /// Semantic version of the agent.
    pub agent_version: String,
    /// Jobs leased and not finished.
    pub queue_depth: u32,
    /// Bytes of results not yet acknowledged.
    pub spool_bytes: u64,
    /// Resident memory, in KiB.
    #[serde(default)]
    pub rss_kb: u64,
    /// Checksum of the bundle it has; left out where the poll names the version of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle_checksum: Option<String>,
    /// What bounds its workers; said once after each start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsInForce>,
}

/// What bounds the memory and the CPU of an agent's workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum LimitsInForce {
    /// A control group that the agent made inside its own.
    Cgroup,
    /// Limits of each process, the lowest priority, and pauses that the agent imposes.
    Process,
}

impl LimitsInForce {
    /// The name as it is written in JSON and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Process => "process",
        }
    }
}

/// A run that found exactly what the server has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UnchangedRun {
    /// The job it ran for, if the server asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<Uuid>,
    /// The run.
    pub run_id: Uuid,
    /// Slug of the module.
    pub module: String,
    /// Its version.
    pub version: String,
    /// The snapshot that still holds.
    pub base: String,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: u64,
}

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PollResponse {
    /// What to do now.
    pub jobs: Vec<AgentJob>,
    /// Runs of `unchanged` whose base the server does not hold: send their envelopes whole, with base null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected_runs: Vec<Uuid>,
    /// Checksum of the bundle that jobs refer to; another than the agent has means: fetch the configuration. Empty where the
    /// agent named the configuration's version and it still holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bundle_checksum: String,
    /// Version of the configuration, likewise.
    pub config_version: String,
    /// The server's clock.
    pub server_time: DateTime<Utc>,
}

/// One module to run once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentJob {
    /// The job.
    pub job_id: Uuid,
    /// The run that its envelope names.
    pub run_id: Uuid,
    /// Slug of the module.
    pub module: String,
    /// Its version, in the bundle.
    pub version: String,
    /// Laid over the module's defaults.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// The budget.
    pub profile: Profile,
    /// How long the job is the agent's, in seconds; name it in `running` to keep it.
    pub lease_seconds: u32,
}

/// `POST /v1/agents/heartbeat`, for agents that cannot poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HeartbeatRequest {
    /// How the agent is.
    pub state: AgentState,
}

/// The answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct HeartbeatResponse {
    /// Version of the configuration.
    pub config_version: String,
    /// The server's clock.
    pub server_time: DateTime<Utc>,
}
