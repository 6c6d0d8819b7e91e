//! Enrolment: the host's identity, a public key and a credential go out; a registration comes back and is kept.

use std::sync::Arc;

use catalog::wire::{AgentConfig, EnrollRequest};
use ed25519_dalek::SigningKey;

use crate::client::{self, Client};
use crate::config::{self, ServerArgs};
use crate::identity::Sources;
use crate::state::acknowledged::Records;
use crate::state::registration::{Registration, Unusable, state_uuid};
use crate::state::sequence::Sequence;
use crate::state::{self, StateDir, bundle};

/// Why an enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The server refused, or was not reached.
    #[error("enrolment failed: {0}")]
    Server(#[from] client::Error),
    /// The server's answer is of no use.
    #[error("enrolment failed: {0}")]
    Unusable(#[from] Unusable),
    /// The result cannot be kept.
    #[error(transparent)]
    State(#[from] state::Error),
}

/// An agent that is enrolled.
#[derive(Debug)]
pub struct Enrolled {
    /// Who it is.
    pub registration: Registration,
    /// Where its sequence numbers go on.
    pub sequence: Sequence,
    /// The configuration that came with the enrolment.
    pub config: AgentConfig,
}

/// Enrols once. Another attempt with the same key and identity continues the same asset.
pub async fn enroll(
    args: &ServerArgs,
    client: &Client,
    state: &Arc<StateDir>,
    key: &SigningKey,
) -> Result<Enrolled, Error> {
    let sources = Sources::running(args.check_host_root()?);
    let request = EnrollRequest {
        credential: args.credential()?,
        public_key: crate::base64(key.verifying_key().as_bytes()),
        identity: sources.identity(args.node_uid.clone(), state_uuid(state)?),
        hostname: sources.hostname(args.node_name.as_deref()),
        os: sources.os(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: args.labels()?,
    };
    let mut response = client.enroll(&request).await?;
    let registration = Registration::of(client.server().clone(), &response)?;
    // A new credential begins with nothing acknowledged: the server may have lost what it had.
    Records::open(Arc::clone(state))?.forget_all()?;
    let sequence = Sequence::begin(Arc::clone(state), response.sequence_start)?;
    if let Some(signed) = response.config.bundle.take() {
        match bundle::accept(&signed, &registration.bundle_key) {
            Ok(_) => bundle::save(state, &signed)?,
            Err(error) => tracing::error!(error_code = "bundle_refused", %error, "the server's modules are refused"),
        }
    }
    // Last: without it the next start enrols again.
    registration.save(state)?;
    tracing::info!(
        agent_id = %registration.agent_id,
        asset_id = %registration.asset_id,
        tenant = registration.tenant,
        server = %registration.server,
        "enrolled"
    );
    Ok(Enrolled { registration, sequence, config: response.config })
}
