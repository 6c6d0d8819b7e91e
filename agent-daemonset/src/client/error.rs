//! What can go wrong between agent and server, as sentences, and what the agent should do about it.

use std::time::Duration;

use catalog::wire::{ApiError, codes};
use chrono::{DateTime, Utc};
use reqwest::{Response, StatusCode, header};

use super::{moment, read_bounded};

const MAX_ERROR_BYTES: usize = 64 << 10;

/// Why a request had no useful answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The TLS client cannot be made.
    #[error("cannot set up TLS: {0}")]
    Setup(#[source] reqwest::Error),
    /// No connection, or it broke.
    #[error("cannot reach the server: {0}")]
    Unreachable(String),
    /// The server's certificate is not by the CA that this agent trusts.
    #[error("the server's certificate is not trusted ({0}); give the CA that signed it with --ca-file")]
    Untrusted(String),
    /// Too slow.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server said no.
    #[error("the server answered {status}: {message} ({code})")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its code.
        code: String,
        /// What it said.
        message: String,
        /// When it says to come back.
        retry_after: Option<Duration>,
        /// Its clock, if it sent it.
        server_time: Option<DateTime<Utc>>,
    },
    /// The answer has another form.
    #[error("the server's answer is not understood: {0}")]
    NotUnderstood(#[source] serde_json::Error),
    /// The answer is larger than any may be.
    #[error("the server's answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The request cannot be written as JSON.
    #[error("the request cannot be written: {0}")]
    Encode(#[source] serde_json::Error),
    /// The sequence number cannot be kept.
    #[error(transparent)]
    State(#[from] crate::state::Error),
}

impl Error {
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            return Error::TimedOut;
        }
        // The innermost cause says it best: "connection refused", "UnknownIssuer".
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let reason = cause.to_string();
        if reason.contains("certificate") { Error::Untrusted(reason) } else { Error::Unreachable(reason) }
    }

    pub(super) async fn from_answer(response: Response) -> Self {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let body = read_bounded(response, MAX_ERROR_BYTES).await.unwrap_or_default();
        match serde_json::from_slice::<ApiError>(&body) {
            Ok(error) => Error::Refused {
                status,
                server_time: error.details.get("server_time").and_then(moment),
                code: error.code,
                message: error.message,
                retry_after,
            },
            // A proxy in between.
            Err(_) => Error::Refused {
                status,
                code: "no_code".to_owned(),
                message: status.canonical_reason().unwrap_or("no reason given").to_owned(),
                retry_after,
                server_time: None,
            },
        }
    }

    /// The server's code, if it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The server failed on this very request, and says no more than that; when it is only busy or its database is away, it
    /// says so with another status.
    pub fn is_servers_failure(&self) -> bool {
        matches!(self, Error::Refused { status: StatusCode::INTERNAL_SERVER_ERROR, .. })
    }

    /// Nobody answered, or who did is not able to now: it may go better later.
    pub fn is_without_answer(&self) -> bool {
        match self {
            Error::Unreachable(_) | Error::TimedOut => true,
            Error::Refused { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// The server's clock, if it sent it.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        match self {
            Error::Refused { server_time, .. } => *server_time,
            _ => None,
        }
    }

    /// A code for logs.
    pub fn log_code(&self) -> &str {
        match self {
            Error::Setup(_) => "tls_setup",
            Error::Unreachable(_) => "unreachable",
            Error::Untrusted(_) => "certificate_untrusted",
            Error::TimedOut => "timed_out",
            Error::Refused { code, .. } => code,
            Error::NotUnderstood(_) | Error::TooLarge(_) => "not_understood",
            Error::Encode(_) => "not_written",
            Error::State(_) => "state",
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        let Error::Refused { status, code, retry_after, .. } = self else { return Remedy::TryAgain(None) };
        match (code.as_str(), *status) {
            (codes::UNKNOWN_CREDENTIAL, _) => Remedy::EnrollAgain,
            (codes::REVOKED | "tenant_suspended" | codes::BAD_SIGNATURE, _) => Remedy::WaitLong,
            (_, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST) => {
                Remedy::SendLess
            }
            _ => Remedy::TryAgain(*retry_after),
        }
    }
}

/// What to do about a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Try again, not before the time that the server named.
    TryAgain(Option<Duration>),
    /// A person has to act first: look in again now and then.
    WaitLong,
    /// The server does not know this agent: a credential that enrols may be used again.
    EnrollAgain,
    /// The body itself is refused: send the results one by one, and set aside what is refused alone.
    SendLess,
}
