//! The signature on every request of an agent after enrolment.
//!
//! It covers method, path with query, time, sequence number and the body as sent (compressed, if it is), so that a request
//! can neither be changed nor be used again or elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Why a signature is refused.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// Not base64 of 64 bytes.
    #[error("the signature is not base64 of 64 bytes")]
    Malformed,
    /// Made with another key or over another request.
    #[error("the signature does not match the request")]
    Mismatch(#[source] ed25519_dalek::SignatureError),
}

/// What is signed: `tenantra-agent-v1`, method, path (with `?query` if there is one), timestamp in milliseconds, sequence
/// number and the hexadecimal SHA-256 of the body as sent, a line each.
pub fn signing_bytes(method: &str, path: &str, timestamp_ms: i64, sequence: u64, body: &[u8]) -> Vec<u8> {
    let digest = hex::encode(Sha256::digest(body));
    format!("tenantra-agent-v1\n{method}\n{path}\n{timestamp_ms}\n{sequence}\n{digest}").into_bytes()
}

/// The value of the signature header.
pub fn sign_request(
    key: &SigningKey,
    method: &str,
    path: &str,
    timestamp_ms: i64,
    sequence: u64,
    body: &[u8],
) -> String {
    STANDARD.encode(key.sign(&signing_bytes(method, path, timestamp_ms, sequence, body)).to_bytes())
}

/// Checks the value of the signature header.
pub fn verify_request(
    key: &VerifyingKey,
    signature: &str,
    method: &str,
    path: &str,
    timestamp_ms: i64,
    sequence: u64,
    body: &[u8],
) -> Result<(), SignatureError> {
    let bytes = STANDARD.decode(signature).map_err(|_| SignatureError::Malformed)?;
    let signature = Signature::from_slice(&bytes).map_err(|_| SignatureError::Malformed)?;
    key.verify_strict(&signing_bytes(method, path, timestamp_ms, sequence, body), &signature)
        .map_err(SignatureError::Mismatch)
}
