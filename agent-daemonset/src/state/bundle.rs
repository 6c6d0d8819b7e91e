//! The signed bundle of modules, kept as it came and believed only when its signature is by the key pinned at enrolment.
//! It stays on the disk: a daemon that waits needs none of it, and one that runs jobs reads it for them.

use catalog::bundle::{Bundle, SignedBundle, authenticate, verify};
use ed25519_dalek::VerifyingKey;

use super::{Error, StateDir};

const FILE: &str = "bundle.json";

/// Checks a bundle that came from the server, to its last module.
pub fn accept(signed: &SignedBundle, key: &VerifyingKey) -> Result<Bundle, catalog::bundle::Error> {
    verify(signed, key)
}

/// Keeps a bundle.
pub fn save(state: &StateDir, signed: &SignedBundle) -> Result<(), Error> {
    let bytes = serde_json::to_vec(signed)
        .map_err(|error| Error::Write { path: state.path().join(FILE), source: error.into() })?;
    state.write(FILE, &bytes)
}

/// The checksum of the bundle of an earlier start, its signature checked again: the folder may have been changed meanwhile.
/// None if there is none that verifies; the server then sends it anew.
pub fn checksum(state: &StateDir, key: &VerifyingKey) -> Result<Option<String>, Error> {
    read(state, |signed| authenticate(&signed, key).map(|_| signed.checksum))
}

/// The modules of the kept bundle, checked again.
pub fn load(state: &StateDir, key: &VerifyingKey) -> Result<Option<Bundle>, Error> {
    read(state, |signed| verify(&signed, key))
}

fn read<T>(
    state: &StateDir,
    check: impl FnOnce(SignedBundle) -> Result<T, catalog::bundle::Error>,
) -> Result<Option<T>, Error> {
    let Some(bytes) = state.read(FILE)? else { return Ok(None) };
    let checked = serde_json::from_slice::<SignedBundle>(&bytes)
        .map_err(|error| error.to_string())
        .and_then(|signed| check(signed).map_err(|error| error.to_string()));
    match checked {
        Ok(checked) => Ok(Some(checked)),
        Err(reason) => {
            tracing::error!(error_code = "bundle_refused", reason, "the bundle in the state folder is not used");
            Ok(None)
        }
    }
}
