//! The agent's bearer token: which credential, and the secret whose digest the server keeps.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const PREFIX: &str = "tna_";
const SECRET_BYTES: usize = 32;

/// `tna_<credential uuid, 32 hex digits>_<43 characters base64url>`. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentToken {
    credential_id: Uuid,
    secret: [u8; SECRET_BYTES],
}

/// The text is no agent token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an agent token is written tna_<32 hex digits>_<43 characters of base64url>")]
pub struct TokenError;

impl AgentToken {
    /// A token of this credential; `secret` must be random.
    pub const fn new(credential_id: Uuid, secret: [u8; SECRET_BYTES]) -> Self {
        Self { credential_id, secret }
    }

    /// Which credential it is.
    pub const fn credential_id(&self) -> Uuid {
        self.credential_id
    }

    /// SHA-256 of the secret: what the server stores. The secret has 256 random bits, so no stretching is needed.
    pub fn secret_digest(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// The text that goes after `Bearer`.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.credential_id.simple(), URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl FromStr for AgentToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        // `split_once` is right although base64url has `_`: the id before the first one has none.
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(TokenError)?;
        if id.len() != 32 {
            return Err(TokenError);
        }
        let credential_id = Uuid::try_parse(id).map_err(|_| TokenError)?;
        let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| TokenError)?;
        Ok(Self { credential_id, secret: secret.try_into().map_err(|_| TokenError)? })
    }
}

impl fmt::Debug for AgentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentToken({})", self.credential_id)
    }
}
