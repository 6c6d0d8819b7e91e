//! Access tokens: JWTs under one pinned algorithm, and the opaque secrets of refresh tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::error::{Error, Result};

const ISSUER: &str = "tenantra";
const AUDIENCE: &str = "tenantra-api";
const ALGORITHM: Algorithm = Algorithm::HS256;

/// What an access token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: Uuid,
    /// The session, whose row is asked on every request: a logout holds at once.
    pub sid: Uuid,
    /// Seconds since 1970.
    pub iat: u64,
    /// Seconds since 1970.
    pub exp: u64,
    iss: String,
    aud: String,
}

/// Signs and verifies access tokens.
pub struct Tokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
    lifetime: Duration,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Tokens under this secret.
    pub fn new(secret: &str, lifetime: Duration) -> Self {
        // Only this algorithm: neither `none` nor a key of another family can be talked in.
        let mut validation = Validation::new(ALGORITHM);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = 5;
        Self {
            signing: EncodingKey::from_secret(secret.as_bytes()),
            verifying: DecodingKey::from_secret(secret.as_bytes()),
            validation,
            lifetime,
        }
    }

    /// A token for a session, and the seconds it holds.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn sign(&self, user_id: Uuid, session_id: Uuid) -> Result<(String, u64)> {
        let iat = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Error::internal)?.as_secs();
        let claims = Claims {
            sub: user_id,
            sid: session_id,
            iat,
            exp: iat + self.lifetime.as_secs(),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
        };
        let token = jsonwebtoken::encode(&Header::new(ALGORITHM), &claims, &self.signing).map_err(Error::internal)?;
        Ok((token, self.lifetime.as_secs()))
    }

    /// What the token says, if it holds.
    ///
    /// # Errors
    /// 401 for everything else, with no more than whether it is time to refresh.
    pub fn verify(&self, token: &str) -> Result<Claims> {
        jsonwebtoken::decode::<Claims>(token, &self.verifying, &self.validation).map(|data| data.claims).map_err(
            |error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => {
                    Error::Unauthenticated("The access token has expired. Refresh it.")
                }
                _ => Error::Unauthenticated("The access token does not hold. Sign in again."),
            },
        )
    }
}

/// A random secret of 256 bits in base64url (43 characters).
pub fn new_secret() -> String {
    let bytes: [u8; 32] = rand::random();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What is stored of a random secret. 256 random bits need no stretching.
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Splits `<prefix><uuid>_<secret>`.
pub fn split<'a>(token: &'a str, prefix: &str) -> Option<(Uuid, &'a str)> {
    let (id, secret) = token.strip_prefix(prefix)?.split_once('_')?;
    Some((Uuid::try_parse(id).ok()?, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_token_says_who_it_was_signed_for() {
        let tokens = Tokens::new(SECRET, Duration::from_mins(1));
        let (user, session) = (Uuid::now_v7(), Uuid::now_v7());
        let (token, expires_in) = tokens.sign(user, session).unwrap();
        let claims = tokens.verify(&token).unwrap();
        assert_eq!((claims.sub, claims.sid, expires_in), (user, session, 60));
    }

    #[test]
    fn no_other_algorithm_key_or_audience_is_taken() {
        let tokens = Tokens::new(SECRET, Duration::from_mins(1));
        let (token, _) = tokens.sign(Uuid::now_v7(), Uuid::now_v7()).unwrap();
        let claims = tokens.verify(&token).unwrap();
        let encode = |algorithm, secret: &str, claims: &Claims| {
            jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
        };
        let foreign = Claims { aud: "other".to_owned(), ..claims.clone() };
        let expired = Claims { exp: claims.iat - 60, ..claims.clone() };
        let unsigned = {
            let parts: Vec<&str> = token.split('.').collect();
            format!("{}.{}.", BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#), parts[1])
        };
        for bad in [
            encode(Algorithm::HS512, SECRET, &claims),
            encode(Algorithm::HS256, "another secret of more than 32 bytes", &claims),
            encode(Algorithm::HS256, SECRET, &foreign),
            encode(Algorithm::HS256, SECRET, &expired),
            unsigned,
            String::new(),
        ] {
            assert!(tokens.verify(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_token_splits_into_id_and_secret() {
        let id = Uuid::now_v7();
        let secret = new_secret();
        assert_eq!(secret.len(), 43);
        let token = format!("tnr_{}_{secret}", id.simple());
        assert_eq!(split(&token, "tnr_"), Some((id, secret.as_str())));
        assert_eq!(split(&token, "tna_"), None);
        assert_eq!(split("tnr_x_y", "tnr_"), None);
    }
}
