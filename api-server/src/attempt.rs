//! Attempts at what Postgres is asked, for one request or for many at once. Each has a time limit: a connection whose other end
//! is gone may say nothing for minutes.

use std::{future::Future, time::Duration};

use tokio::time::timeout;

use crate::error::{Error, Result, chain};

/// How long one may take.
pub const LIMIT: Duration = Duration::from_secs(5);

/// Why an attempt for many failed. Its cause is logged once: those who share it cannot each have the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// Postgres does not answer, nor would it if each of them asked.
    Away,
    /// Something else: who meets it tries by itself, and is told what is wrong.
    Refused,
}

/// An attempt whose outcome many share.
///
/// # Errors
/// [`Missed`].
pub async fn for_many<T>(
    what: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T, Missed> {
    match timeout(limit, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Missed::of(what, &error)),
        Err(_) => {
            tracing::warn!(what, seconds = limit.as_secs_f64(), "what several requests share took too long");
            Err(Missed::Away)
        }
    }
}

/// An attempt of one request.
///
/// # Errors
/// What went wrong; [`away`] if it took too long.
pub async fn alone<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(away()))
}

/// What a caller is told while Postgres does not answer.
pub fn away() -> Error {
    Error::Unavailable("The database does not answer. Try again in a moment.")
}

impl Missed {
    /// Of an error, which is logged.
    pub fn of(what: &'static str, error: &Error) -> Self {
        tracing::warn!(what, error = %chain(error), "what several requests share was not read");
        match error {
            Error::Unavailable(_) | Error::Store(store::Error::Unavailable(_) | store::Error::TimedOut { .. }) => {
                Self::Away
            }
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn what_hangs_is_given_up_and_only_what_another_try_may_mend_is_tried_again() {
        let hangs = std::future::pending::<Result<u32>>;
        assert_eq!(for_many("a test", SHORT, hangs()).await, Err(Missed::Away));
        assert!(matches!(alone(SHORT, hangs()).await, Err(Error::Unavailable(_))));
        let slow = store::Error::TimedOut { what: "a test", seconds: 5 };
        assert_eq!(for_many::<u32>("a test", LIMIT, async { Err(slow.into()) }).await, Err(Missed::Away));
        let other = for_many::<u32>("a test", LIMIT, async { Err(Error::internal("a row")) });
        assert_eq!(other.await, Err(Missed::Refused));
        assert_eq!(for_many("a test", LIMIT, async { Ok(7) }).await, Ok(7));
        assert_eq!(alone(LIMIT, async { Ok(7) }).await.unwrap(), 7);
    }
}
