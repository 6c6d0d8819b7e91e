//! The signed bundle of modules, kept as it came and believed only when its signature is by the key pinned at enrolment.

use catalog::bundle::{Bundle, SignedBundle, verify};
use ed25519_dalek::VerifyingKey;

use super::{Error, StateDir};

const FILE: &str = "bundle.json";

/// A bundle whose signature was checked.
#[derive(Debug, Clone, Default)]
pub struct Verified {
    /// Checksum of the packed bytes.
    pub checksum: String,
    /// The modules.
    pub bundle: Bundle,
}

/// Checks a bundle that came from the server.
pub fn accept(signed: &SignedBundle, key: &VerifyingKey) -> Result<Verified, catalog::bundle::Error> {
    Ok(Verified { checksum: signed.checksum.clone(), bundle: verify(signed, key)? })
}

/// Keeps a bundle for the next start.
pub fn save(state: &StateDir, signed: &SignedBundle) -> Result<(), Error> {
    let bytes = serde_json::to_vec(signed)
        .map_err(|error| Error::Write { path: state.path().join(FILE), source: error.into() })?;
    state.write(FILE, &bytes)
}

/// The bundle of an earlier start, checked again: the folder may have been changed meanwhile. None if there is none that
/// verifies; the server then sends it anew.
pub fn load(state: &StateDir, key: &VerifyingKey) -> Result<Option<Verified>, Error> {
    let Some(bytes) = state.read(FILE)? else { return Ok(None) };
    let verified = serde_json::from_slice::<SignedBundle>(&bytes)
        .map_err(|error| error.to_string())
        .and_then(|signed| accept(&signed, key).map_err(|error| error.to_string()));
    match verified {
        Ok(verified) => Ok(Some(verified)),
        Err(reason) => {
            tracing::error!(error_code = "bundle_refused", reason, "the bundle in the state folder is not used");
            Ok(None)
        }
    }
}
