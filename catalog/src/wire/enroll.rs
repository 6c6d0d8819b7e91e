//! Enrolment: how a host becomes an agent of a tenant, and the configuration it gets.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::bundle::SignedBundle;
use crate::module::Profile;

/// `POST /v1/agents/enroll/self`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnrollRequest {
    /// Why the agent may join, and which tenant.
    pub credential: EnrollCredential,
    /// Base64 of the agent's Ed25519 public key (32 bytes).
    pub public_key: String,
    /// What makes the host this host.
    pub identity: HostIdentity,
    /// The host's name.
    pub hostname: String,
    /// What it runs.
    pub os: OsInfo,
    /// Semantic version of the agent.
    pub agent_version: String,
    /// Labels that schedules select by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Why an agent may join. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum EnrollCredential {
    /// A projected `ServiceAccount` token, checked by `TokenReview`.
    ServiceAccount {
        /// The token, audience [`super::SERVICE_ACCOUNT_AUDIENCE`].
        token: String,
    },
    /// A token that an administrator made.
    EnrollmentToken {
        /// The token.
        token: String,
    },
}

impl fmt::Debug for EnrollCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceAccount { .. } => "ServiceAccount { token: *** }",
            Self::EnrollmentToken { .. } => "EnrollmentToken { token: *** }",
        })
    }
}

/// What makes a host this host; the first of them that is known counts, `smbios_uuid` only together with `machine_id`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct HostIdentity {
    /// Id of the instance in its cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_instance_id: Option<String>,
    /// UID of the Kubernetes node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_uid: Option<String>,
    /// UUID of the machine by its firmware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smbios_uuid: Option<String>,
    /// `/etc/machine-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Made by the agent at its first start and kept in its state folder.
    pub state_uuid: Uuid,
}

impl HostIdentity {
    /// The one text that stands for the host: equal for equal hosts, whatever else of the identity is known.
    pub fn key(&self) -> String {
        let given =
            |value: &Option<String>| value.as_deref().map(str::trim).filter(|v| !v.is_empty()).map(str::to_owned);
        if let Some(id) = given(&self.cloud_instance_id) {
            return format!("cloud:{id}");
        }
        if let Some(uid) = given(&self.node_uid) {
            return format!("node:{uid}");
        }
        if let (Some(smbios), Some(machine)) = (given(&self.smbios_uuid), given(&self.machine_id)) {
            return format!("machine:{}:{}", smbios.to_lowercase(), machine.to_lowercase());
        }
        format!("state:{}", self.state_uuid)
    }
}

/// What a host runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct OsInfo {
    /// `PRETTY_NAME` of os-release.
    pub name: String,
    /// `VERSION_ID`.
    pub version: String,
    /// `ID`, such as `debian`.
    pub id: String,
    /// Machine, such as `x86_64`.
    pub arch: String,
    /// Release of the kernel.
    pub kernel: String,
}

/// The answer to an enrolment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EnrollResponse {
    /// The agent.
    pub agent_id: Uuid,
    /// The asset that its results belong to; the same as before if the host was known.
    pub asset_id: Uuid,
    /// The tenant.
    pub tenant: TenantInfo,
    /// What goes after `Bearer`, see [`super::AgentToken`]; shown this once.
    pub token: String,
    /// The first sequence number to use.
    pub sequence_start: u64,
    /// The server's clock.
    pub server_time: DateTime<Utc>,
    /// Base64 of the Ed25519 key that bundles must be signed with; pinned from now on.
    pub bundle_public_key: String,
    /// How to behave.
    pub config: AgentConfig,
}

impl fmt::Debug for EnrollResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrollResponse")
            .field("agent_id", &self.agent_id)
            .field("asset_id", &self.asset_id)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// Names a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TenantInfo {
    /// Its id.
    pub id: Uuid,
    /// Its name in Kubernetes.
    pub slug: String,
}

/// How an agent behaves; `GET /v1/agents/config/{agent_id}?have=<bundle checksum>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AgentConfig {
    /// Changes whenever anything else here does; opaque.
    pub version: String,
    /// How long a poll is held, in seconds.
    pub poll_seconds: u32,
    /// Checksum of the bundle that jobs refer to.
    pub bundle_checksum: String,
    /// That bundle; left out if the agent has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<SignedBundle>,
    /// The dearest profile that runs on this agent.
    pub modules_profile: Profile,
}
