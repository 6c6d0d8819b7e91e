//! The agent's Ed25519 key: made on the host at the first start, never sent anywhere, kept 0600.

use ed25519_dalek::SigningKey;

use super::{Error, StateDir};

const FILE: &str = "agent.key";

/// The key of this agent; makes one at the first start.
pub fn load_or_make(state: &StateDir) -> Result<SigningKey, Error> {
    let Some(bytes) = state.read(FILE)? else {
        let key = SigningKey::from_bytes(&rand::random());
        state.write(FILE, key.as_bytes())?;
        return Ok(key);
    };
    let seed: [u8; 32] = bytes.as_slice().try_into().map_err(|_| Error::Damaged {
        path: state.path().join(FILE),
        reason: format!("a key has 32 bytes, this file {}", bytes.len()),
        advice: "remove the state folder to enrol anew",
    })?;
    Ok(SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_stays_the_same_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let first = load_or_make(&state).unwrap();
        assert_eq!(load_or_make(&state).unwrap().to_bytes(), first.to_bytes());
    }

    #[test]
    fn a_damaged_key_is_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        state.write(FILE, b"short").unwrap();
        assert!(load_or_make(&state).unwrap_err().to_string().contains("enrol anew"));
    }
}
