//! A request of an enrolled agent: its token, its clock, its signature over what was sent, and a sequence number that
//! was not used before. A handler that takes an [`AgentCall`] has all of that proved.
//!
//! The token is looked up before the body is read, at the price of one more transaction where it was not used lately: who has
//! none costs no memory.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, OriginalUri, Request},
};
use catalog::wire::{
    AgentToken, MAX_CLOCK_SKEW_MS, SEQUENCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, codes, verify_request,
};
use chrono::Utc;
use crds::tenant::Tenant;
use ed25519_dalek::VerifyingKey;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::json;
use store::{
    TenantRef,
    credentials::{Credential, Sequence},
};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{
    auth::identity::bearer,
    error::{Error, Result},
    http::body,
    state::App,
};

/// An agent, proved, and what it sent.
#[derive(Clone, Debug)]
pub struct AgentCall {
    /// The agent.
    pub agent_id: Uuid,
    /// The asset that it scans.
    pub asset_id: Uuid,
    /// Its tenant.
    pub tenant: TenantRef,
    /// Its tenant's resource.
    pub resource: Arc<Tenant>,
    body: Bytes,
    is_zstd: bool,
}

impl AgentCall {
    /// The body, decompressed if it was sent so.
    ///
    /// # Errors
    /// Too large, or not what its encoding says.
    pub fn bytes(&self) -> Result<Bytes> {
        if self.is_zstd { body::decompress(&self.body).map(Bytes::from) } else { Ok(self.body.clone()) }
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// Not JSON, or not what the route takes.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        body::parse(&self.bytes()?)
    }
}

const REVOKED: &str = "This agent was removed. Enrol again if that was a mistake.";

/// What the headers say.
struct Proof<'a> {
    token: AgentToken,
    timestamp_ms: i64,
    sequence: u64,
    signature: &'a str,
}

impl FromRequest<App> for AgentCall {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let headers = request.headers().clone();
        let proof = proof(&headers)?;
        check_clock(proof.timestamp_ms, Utc::now().timestamp_millis())?;
        let is_zstd = encoding(&headers)?;
        let method = request.method().clone();
        // A nested router cuts its prefix off; what was signed is the whole path with its query.
        let uri = request
            .extensions()
            .get::<OriginalUri>()
            .map_or_else(|| request.uri().clone(), |OriginalUri(uri)| uri.clone());
        let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
        let credential = find(app, proof.token.credential_id()).await?;
        let known = credential.filter(|known| bool::from(known.secret_hash.ct_eq(&proof.token.secret_digest())));
        let Some(credential) = known else {
            body::discard(request).await;
            return refuse(codes::UNKNOWN_CREDENTIAL, "No agent has this token. Enrol again.");
        };
        tracing::Span::current()
            .record("agent_id", tracing::field::display(credential.agent_id))
            .record("tenant_id", tracing::field::display(credential.tenant.id));
        if credential.revoked_at.is_some() {
            body::discard(request).await;
            return refuse(codes::REVOKED, REVOKED);
        }
        let body = body::read(request, app).await?;
        let is_signed = VerifyingKey::from_bytes(&credential.public_key).is_ok_and(|key| {
            let (timestamp, sequence) = (proof.timestamp_ms, proof.sequence);
            verify_request(&key, proof.signature, method.as_str(), &path, timestamp, sequence, &body).is_ok()
        });
        if !is_signed {
            return refuse(codes::BAD_SIGNATURE, "The signature does not match the agent's key and this request.");
        }
        app.credentials.keep(credential.clone());
        // Only now: nobody else can use up an agent's numbers. Kept even if the request fails later.
        let used = store::credentials::use_sequence(&app.db, credential.credential_id, proof.sequence).await?;
        let tenant_state = match used {
            Sequence::Accepted(tenant_state) => tenant_state,
            Sequence::Replayed | Sequence::TooOld => {
                return refuse(codes::REPLAYED, "The sequence number was used before, or is too old.");
            }
            Sequence::Revoked => {
                app.credentials.forget(credential.credential_id);
                return refuse(codes::REVOKED, REVOKED);
            }
        };
        let resource = app.tenants.served(&credential.tenant.slug, tenant_state.is_served())?;
        Ok(Self {
            agent_id: credential.agent_id,
            asset_id: credential.asset_id,
            tenant: credential.tenant.clone(),
            resource,
            body,
            is_zstd,
        })
    }
}

/// The credential, from the database where it was not used lately.
async fn find(app: &App, credential_id: Uuid) -> Result<Option<Arc<Credential>>> {
    if let Some(known) = app.credentials.get(credential_id) {
        return Ok(Some(known));
    }
    let mut tx = app.db.platform().await?;
    let credential = store::credentials::find(&mut tx, credential_id).await?.map(Arc::new);
    // No connection waits for a body.
    tx.rollback().await?;
    Ok(credential)
}

fn proof(headers: &HeaderMap) -> Result<Proof<'_>> {
    let unauthenticated = Error::Unauthenticated;
    let token =
        bearer(headers).ok_or(unauthenticated("An agent's token is needed. Send it as Authorization: Bearer."))?;
    let token = token.parse().map_err(|_| unauthenticated("This is not an agent's token."))?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let number = |name: &str| text(name).and_then(|value| value.parse::<i64>().ok()).filter(|number| *number >= 0);
    let missing = "An agent's request carries x-tenantra-timestamp, x-tenantra-sequence and x-tenantra-signature.";
    let timestamp_ms = number(TIMESTAMP_HEADER).ok_or(unauthenticated(missing))?;
    let sequence = number(SEQUENCE_HEADER).ok_or(unauthenticated(missing))?.unsigned_abs();
    let signature = text(SIGNATURE_HEADER).ok_or(unauthenticated(missing))?;
    Ok(Proof { token, timestamp_ms, sequence, signature })
}

fn check_clock(timestamp_ms: i64, now_ms: i64) -> Result<()> {
    if timestamp_ms.abs_diff(now_ms) <= MAX_CLOCK_SKEW_MS.unsigned_abs() {
        return Ok(());
    }
    Err(Error::AgentRefused {
        code: codes::CLOCK_SKEW,
        message: "The agent's clock is more than 5 minutes off. Correct it by server_time and try again.",
        details: json!({ "server_time": Utc::now(), "server_time_ms": now_ms }),
    })
}

fn encoding(headers: &HeaderMap) -> Result<bool> {
    match headers.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes) {
        None | Some(b"identity") => Ok(false),
        Some(b"zstd") => Ok(true),
        Some(_) => Err(Error::UnsupportedMedia("Send the body plain or with content-encoding: zstd.")),
    }
}

fn refuse<T>(code: &'static str, message: &'static str) -> Result<T> {
    Err(Error::AgentRefused { code, message, details: json!({}) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_either_way_are_taken() {
        let now = 1_800_000_000_000;
        for (offset, is_taken) in [(0, true), (-300_000, true), (300_000, true), (300_001, false), (-300_001, false)] {
            assert_eq!(check_clock(now + offset, now).is_ok(), is_taken, "{offset}");
        }
        let Err(Error::AgentRefused { code, details, .. }) = check_clock(0, now) else { panic!("taken") };
        assert_eq!((code, details["server_time_ms"].as_i64()), ("clock_skew", Some(now)));
    }
}
