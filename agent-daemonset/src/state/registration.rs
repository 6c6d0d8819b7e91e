//! What enrolment gave this agent: who it is, where it reports to, and whose bundles it believes.

use catalog::wire::{AgentToken, EnrollResponse};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use url::Url;
use uuid::Uuid;

use super::{Error, StateDir};

const FILE: &str = "agent.json";
const STATE_UUID: &str = "state-uuid";
const ADVICE: &str = "remove the state folder to enrol anew";

/// An enrolment, parsed.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The API's address.
    pub server: Url,
    /// The agent.
    pub agent_id: Uuid,
    /// The asset that its results belong to.
    pub asset_id: Uuid,
    /// The tenant's id.
    pub tenant_id: Uuid,
    /// The tenant's name.
    pub tenant: String,
    /// Its credential.
    pub token: AgentToken,
    /// Bundles must be signed with this key; pinned at enrolment.
    pub bundle_key: VerifyingKey,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    server: Url,
    agent_id: Uuid,
    asset_id: Uuid,
    tenant_id: Uuid,
    tenant: String,
    token: String,
    bundle_public_key: String,
}

/// An enrolment answer that the agent cannot use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The token has another form.
    #[error("the server's token is not one: {0}")]
    Token(#[from] catalog::wire::TokenError),
    /// The key for bundles is no Ed25519 key.
    #[error("the server's key for bundles is not an Ed25519 key")]
    BundleKey,
}

impl Registration {
    /// The registration that an enrolment with `server` gave.
    pub fn of(server: Url, response: &EnrollResponse) -> Result<Self, Unusable> {
        Ok(Registration {
            server,
            agent_id: response.agent_id,
            asset_id: response.asset_id,
            tenant_id: response.tenant.id,
            tenant: response.tenant.slug.clone(),
            token: response.token.parse()?,
            bundle_key: bundle_key(&response.bundle_public_key).ok_or(Unusable::BundleKey)?,
        })
    }

    /// Reads the registration; `None` before enrolment. Refuses the folder of an enrolment with another server.
    pub fn load(state: &StateDir, server: Option<&Url>) -> Result<Option<Self>, Error> {
        let Some(bytes) = state.read(FILE)? else { return Ok(None) };
        let damaged = |reason: String| Error::Damaged { path: state.path().join(FILE), reason, advice: ADVICE };
        let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if let Some(server) = server.filter(|server| **server != stored.server) {
            return Err(Error::OtherServer {
                path: state.path().to_owned(),
                enrolled: stored.server.to_string(),
                asked: server.to_string(),
            });
        }
        Ok(Some(Registration {
            server: stored.server,
            agent_id: stored.agent_id,
            asset_id: stored.asset_id,
            tenant_id: stored.tenant_id,
            tenant: stored.tenant,
            token: stored.token.parse().map_err(|error| damaged(format!("{error}")))?,
            bundle_key: bundle_key(&stored.bundle_public_key)
                .ok_or_else(|| damaged("the key for bundles is not an Ed25519 key".to_owned()))?,
        }))
    }

    /// Keeps the registration.
    pub fn save(&self, state: &StateDir) -> Result<(), Error> {
        let stored = Stored {
            server: self.server.clone(),
            agent_id: self.agent_id,
            asset_id: self.asset_id,
            tenant_id: self.tenant_id,
            tenant: self.tenant.clone(),
            token: self.token.expose(),
            bundle_public_key: crate::base64(self.bundle_key.as_bytes()),
        };
        let bytes = serde_json::to_vec(&stored)
            .map_err(|error| Error::Write { path: state.path().join(FILE), source: error.into() })?;
        state.write(FILE, &bytes)
    }

    /// Forgets the registration, so that the next start enrols.
    pub fn forget(state: &StateDir) -> Result<(), Error> {
        state.remove(FILE)
    }
}

fn bundle_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = crate::from_base64(text)?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

/// The identity of a host that has no other: made at the first start.
pub fn state_uuid(state: &StateDir) -> Result<Uuid, Error> {
    if let Some(bytes) = state.read(STATE_UUID)? {
        return Uuid::try_parse(String::from_utf8_lossy(&bytes).trim()).map_err(|error| Error::Damaged {
            path: state.path().join(STATE_UUID),
            reason: error.to_string(),
            advice: "remove the file; the host becomes a new asset if it has no other identity",
        });
    }
    let id = Uuid::new_v4();
    state.write(STATE_UUID, id.to_string().as_bytes())?;
    Ok(id)
}
