//! Passwords: bcrypt, off the async threads, with a bound on how many are worked on at a time.
//!
//! Verifying against an account that does not exist costs the same as against one that does.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use crate::error::{Error, Result};

/// 2^12 rounds: about 0.2 s on a current core.
const COST: u32 = 12;
/// bcrypt reads no more than 72 bytes.
const MAX_BYTES: usize = 72;
/// Fewer can be guessed.
const MIN_CHARACTERS: usize = 12;
/// Each costs a whole core for its time: more at once only makes all of them slower.
const AT_ONCE: usize = 4;

static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(AT_ONCE)));

/// A hash of no password: what a sign-in to an unknown account is compared with.
static NOBODY: LazyLock<String> =
    LazyLock::new(|| bcrypt::hash(uuid::Uuid::new_v4().to_string(), COST).unwrap_or_default());

/// Hashes a password that `check_strength` took.
///
/// # Errors
/// The operating system gives no randomness.
pub async fn hash(password: String) -> Result<String> {
    work(move || bcrypt::non_truncating_hash(password, COST).map_err(Error::internal)).await?
}

/// Whether the password is the one behind the hash; without a hash it takes as long and is false.
///
/// # Errors
/// The hash is damaged.
pub async fn verify(password: String, hash: Option<String>) -> Result<bool> {
    work(move || {
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        // Longer ones cannot have been set; cut instead of failing fast, so that the time says nothing.
        let bytes = password.as_bytes();
        let is_right = bcrypt::verify(&bytes[..bytes.len().min(MAX_BYTES)], &hash).map_err(Error::internal)?;
        Ok(is_right && is_known && bytes.len() <= MAX_BYTES)
    })
    .await?
}

/// Makes the hash of nobody before the first sign-in, which would otherwise take twice as long.
pub async fn warm_up() -> Result<()> {
    work(|| {
        LazyLock::force(&NOBODY);
    })
    .await
}

/// Refuses what is too short, too long, of one kind of character, or the caller's own name.
///
/// # Errors
/// 422 with a sentence that says what to write instead.
pub fn check_strength(password: &str, email: &str) -> Result<()> {
    let refuse = |message: &str| Err(Error::field("password", message));
    if password.chars().count() < MIN_CHARACTERS {
        return refuse("The password is too short: write at least 12 characters.");
    }
    if password.len() > MAX_BYTES {
        return refuse("The password is too long: write at most 72 bytes.");
    }
    let kinds = [
        password.chars().any(char::is_lowercase),
        password.chars().any(char::is_uppercase),
        password.chars().any(|character| character.is_ascii_digit()),
        password.chars().any(|character| !character.is_alphanumeric()),
    ];
    if kinds.into_iter().filter(|is_there| *is_there).count() < 3 {
        return refuse("The password is too simple: mix at least three of lower case, upper case, digits and signs.");
    }
    let name = email.split('@').next().unwrap_or(email).to_lowercase();
    if name.len() >= 4 && password.to_lowercase().contains(&name) {
        return refuse("The password contains the e-mail's name: write something else.");
    }
    Ok(())
}

async fn work<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let _slot = SLOTS.clone().acquire_owned().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(job).await.map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_passwords_are_refused_with_what_to_write() {
        for weak in ["Short1!", "alllowercaseletters", "Ada.Lovelace-2026", &"Aa1!".repeat(19)] {
            assert!(check_strength(weak, "ada.lovelace@example.com").is_err(), "{weak}");
        }
        assert!(check_strength("Correct-Horse-7", "ada@example.com").is_ok());
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_known_account_holds() {
        let hash = hash("Correct-Horse-7".to_owned()).await.unwrap();
        assert!(verify("Correct-Horse-7".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!verify("Correct-Horse-8".to_owned(), Some(hash)).await.unwrap());
        assert!(!verify("Correct-Horse-7".to_owned(), None).await.unwrap());
    }
}
