//! Enrolment: by ServiceAccount token, by enrolment token, or by an administrator. The same host continues the same
//! asset; its earlier credential ends with the new one.

use base64::{Engine, prelude::BASE64_STANDARD};
use catalog::wire::{AgentToken, EnrollCredential, EnrollRequest, EnrollResponse, HostIdentity, OsInfo, TenantInfo};
use chrono::Utc;
use crds::tenant::Tenant;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};
use store::{TenantRef, Write, audit, jobs::NewJob};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    agents::{enrollment_tokens, service_account},
    error::{Error, Result},
    state::App,
};

/// Sequence numbers start below this, at random, and may then count up to 2^62 for ever.
const SEQUENCE_START_BELOW: u64 = 1 << 61;
/// Longest host name (RFC 1035 allows 253).
const MAX_NAME: usize = 253;
/// Longest of the other texts.
const MAX_TEXT: usize = 512;
/// Labels of one agent.
const MAX_LABELS: usize = 32;

/// A host that an administrator enrols: as `/agents/enroll/self`, without a credential of its own.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminEnrollRequest {
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

/// By what right a host joins.
struct Right {
    tenant: TenantRef,
    resource: Arc<Tenant>,
    source: store::agents::Source,
    identity: HostIdentity,
    labels: BTreeMap<String, String>,
}

/// Enrols by the credential in the request.
///
/// # Errors
/// The credential does not hold, or the request does not fit.
pub async fn by_credential(app: &App, request: EnrollRequest) -> Result<EnrollResponse> {
    let EnrollRequest { credential, public_key, identity, hostname, os, agent_version, labels } = request;
    let host = AdminEnrollRequest { public_key, identity, hostname, os, agent_version, labels };
    let key = check(&host)?;
    let right = match credential {
        EnrollCredential::ServiceAccount { token } => by_service_account(app, &token, &host).await?,
        EnrollCredential::EnrollmentToken { token } => by_token(app, &token, &host).await?,
    };
    enrol(app, right, &host, &key).await
}

/// Enrols on the word of an administrator who is signed in.
///
/// # Errors
/// The request does not fit.
pub async fn by_admin(
    app: &App,
    tenant: TenantRef,
    resource: Arc<Tenant>,
    host: AdminEnrollRequest,
) -> Result<EnrollResponse> {
    let key = check(&host)?;
    let (identity, labels) = (host.identity.clone(), host.labels.clone());
    let right = Right { tenant, resource, source: store::agents::Source::Admin, identity, labels };
    enrol(app, right, &host, &key).await
}

async fn by_service_account(app: &App, token: &str, host: &AdminEnrollRequest) -> Result<Right> {
    let proven = service_account::verify(&app.kube, token).await?;
    let slug = store::Slug::parse(&proven.slug)?;
    let mut tx = app.db.platform().await?;
    let tenant = store::tenants::by_slug(&mut tx, &slug).await?.ok_or(Error::EnrolmentRefused(NO_TENANT))?;
    tx.rollback().await?;
    let resource = app.tenants.served(&slug, tenant.state.is_served()).map_err(hide_unknown)?;
    // What Kubernetes vouches for stands above what the agent says of itself.
    let identity = HostIdentity {
        cloud_instance_id: proven.provider_id,
        node_uid: Some(proven.node_uid),
        ..host.identity.clone()
    };
    let mut labels = host.labels.clone();
    labels.insert("kubernetes.io/hostname".to_owned(), proven.node_name);
    Ok(Right { tenant: tenant.tenant, resource, source: store::agents::Source::ServiceAccount, identity, labels })
}

const NO_TENANT: &str = "The tenant does not exist.";

async fn by_token(app: &App, token: &str, host: &AdminEnrollRequest) -> Result<Right> {
    let redeemed = enrollment_tokens::redeem(app, token).await?;
    // A node's UID is only believed from a token that Kubernetes vouched for.
    let identity = HostIdentity { node_uid: None, ..host.identity.clone() };
    let mut labels = host.labels.clone();
    // What the administrator put on the token stands above what the host says.
    labels.extend(redeemed.labels);
    let source = store::agents::Source::EnrollmentToken;
    Ok(Right { tenant: redeemed.tenant, resource: redeemed.resource, source, identity, labels })
}

/// An enrolment does not say which tenants exist.
fn hide_unknown(error: Error) -> Error {
    match error {
        Error::NotFound(_) => Error::EnrolmentRefused(NO_TENANT),
        other => other,
    }
}

fn check(host: &AdminEnrollRequest) -> Result<[u8; 32]> {
    let key = BASE64_STANDARD
        .decode(&host.public_key)
        .ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .filter(|bytes| VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak()))
        .ok_or_else(|| Error::field("public_key", "Write the base64 of a 32-byte Ed25519 public key."))?;
    let is_text = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    if host.hostname.is_empty() || !is_text(&host.hostname, MAX_NAME) {
        return Err(Error::field("hostname", "Write the host's name, at most 253 bytes, without control characters."));
    }
    let HostIdentity { cloud_instance_id, node_uid, smbios_uuid, machine_id, state_uuid: _ } = &host.identity;
    let identities = [cloud_instance_id, node_uid, smbios_uuid, machine_id];
    let OsInfo { name, version, id, arch, kernel } = &host.os;
    let texts = identities.into_iter().flatten().chain([name, version, id, arch, kernel, &host.agent_version]);
    let labels = host.labels.iter().flat_map(|(key, value)| [key, value]);
    if let Some(bad) = texts.chain(labels).find(|text| !is_text(text, MAX_TEXT)) {
        let start: String = bad.chars().filter(|character| !character.is_control()).take(40).collect();
        return Err(Error::BadRequest(format!(
            "The text that starts with '{start}' is too long or has control characters."
        )));
    }
    if host.labels.len() > MAX_LABELS {
        return Err(Error::field("labels", format!("Write at most {MAX_LABELS} labels.")));
    }
    Ok(key)
}

async fn enrol(app: &App, right: Right, host: &AdminEnrollRequest, key: &[u8; 32]) -> Result<EnrollResponse> {
    let spec = &right.resource.spec;
    let mut tx = app.db.tenant::<Write>(&right.tenant).await?;
    let enrolled = store::agents::enroll(
        &mut tx,
        &store::agents::Enrollment {
            identity: right.identity.key(),
            hostname: host.hostname.clone(),
            os: host.os.clone(),
            agent_version: host.agent_version.clone(),
            labels: right.labels,
            source: right.source,
        },
    )
    .await?;
    // The baseline of every enabled module; how its results come in is the same as of any other run.
    let first_jobs: Vec<NewJob> = app
        .modules
        .snapshot()?
        .baseline(spec)
        .map(|module| {
            let version = module.version.to_string();
            NewJob::now(enrolled.agent_id, &module.slug, &version, module.profile, "enrolled")
        })
        .collect();
    if !enrolled.is_new {
        store::jobs::supersede_enrolment(&mut tx, enrolled.agent_id).await?;
    }
    if let Err(error) = store::jobs::enqueue(&mut tx, &first_jobs).await {
        return Err(match error {
            // Retired since the catalog was read here.
            store::Error::NotSchedulable(_) => {
                app.modules.refresh(&app.db).await?;
                Error::Unavailable("The catalog has just changed. Try again in a moment.")
            }
            other => other.into(),
        });
    }
    let entry = audit::Entry {
        actor: format!("agent:{}", enrolled.agent_id),
        action: "agent.enrolled".to_owned(),
        subject: enrolled.asset_id.to_string(),
        details: json!({ "source": right.source.as_str(), "hostname": host.hostname, "is_new": enrolled.is_new }),
    };
    audit::write(&mut tx, &entry).await?;
    tx.commit().await?;

    let token = AgentToken::new(Uuid::now_v7(), rand::random());
    let sequence_start = rand::random::<u64>() % SEQUENCE_START_BELOW;
    let mut tx = app.db.platform().await?;
    store::credentials::replace(
        &mut tx,
        &store::credentials::NewCredential {
            credential_id: token.credential_id(),
            tenant_id: right.tenant.id,
            agent_id: enrolled.agent_id,
            asset_id: enrolled.asset_id,
            secret_hash: token.secret_digest(),
            public_key: *key,
            sequence_start,
        },
    )
    .await?;
    tx.commit().await?;
    app.has_changed(&right.tenant);
    tracing::info!(agent_id = %enrolled.agent_id, tenant = %right.tenant.slug, jobs = first_jobs.len(), "agent enrolled");
    Ok(EnrollResponse {
        agent_id: enrolled.agent_id,
        asset_id: enrolled.asset_id,
        tenant: TenantInfo { id: right.tenant.id, slug: right.tenant.slug.to_string() },
        token: token.expose(),
        // What is stored is the number before the first.
        sequence_start: sequence_start + 1,
        server_time: Utc::now(),
        bundle_public_key: app.modules.public_key().to_owned(),
        config: app.modules.config(spec, None)?,
    })
}
