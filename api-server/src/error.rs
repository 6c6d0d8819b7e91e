//! What can go wrong in a request, and the one function that maps it to what the caller sees.
//!
//! Everything that is not the caller's doing becomes `internal` or `unavailable` with a sentence that gives nothing
//! away; the cause goes to the log under the same trace id.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::{limit::Refused, trace};

/// What every handler answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The body is not JSON at all, or a parameter cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// Both a cookie and a bearer token came with the request.
    #[error("The request carries both a cookie and an Authorization header. Send one of them.")]
    TwoCredentials,
    /// No credential, or one that does not hold.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// E-mail or password is wrong; says no more on purpose.
    #[error("E-mail, username or password is wrong, or there were too many tries: then wait some minutes.")]
    WrongPassword,
    /// An agent's request does not hold; the code tells the agent what to do.
    #[error("{message}")]
    AgentRefused {
        /// What the agent acts on.
        code: &'static str,
        /// For a person.
        message: &'static str,
        /// What the agent needs to act.
        details: Value,
    },
    /// An enrolment was refused.
    #[error("{0}")]
    EnrolmentRefused(&'static str),
    /// A write by cookie that another site may have caused.
    #[error("The request did not come from this site's own pages.")]
    CrossSite,
    /// The caller's role may not do that.
    #[error("Your role may not do this: it needs the permission {permission}.")]
    Forbidden {
        /// The permission that is missing.
        permission: &'static str,
    },
    /// The tenant is suspended or being taken down.
    #[error("The tenant {0} is suspended. Its data is kept; a platform administrator can activate it again.")]
    TenantSuspended(String),
    /// The caller named no tenant and has none of their own, or several.
    #[error("This route works on one tenant. Name it in the header X-Tenantra-Tenant.")]
    TenantRequired,
    /// The plan does not have the feature.
    #[error("The plan {plan} does not have the feature {feature}.")]
    FeatureNotInPlan {
        /// The tenant's plan.
        plan: String,
        /// The feature's key.
        feature: &'static str,
    },
    /// Nothing of that kind with that identifier, or nothing the caller may see.
    #[error("There is no such {0}.")]
    NotFound(&'static str),
    /// A route that does not exist.
    #[error("There is no route {0}. The routes are listed at /v1/openapi.json.")]
    NoRoute(String),
    /// A route that exists for other methods.
    #[error("This route does not know the method {0}.")]
    MethodNotAllowed(String),
    /// Something else has the name.
    #[error("{0}")]
    Conflict(String),
    /// A GitOps tool owns the object.
    #[error("{kind} {name} is managed by {manager}. Change it there; a change made here would be undone.")]
    ManagedByGitops {
        /// The kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The tool's field manager or label.
        manager: String,
    },
    /// `If-Match` names another version.
    #[error("The {0} has changed since it was read. Read it again and repeat the change.")]
    PreconditionFailed(&'static str),
    /// The body is JSON but not what the route takes.
    #[error("{message}")]
    Unprocessable {
        /// For a person.
        message: String,
        /// The field, where one is to blame.
        field: Option<String>,
    },
    /// Too large, before or after decompression.
    #[error("The body is larger than {limit_bytes} bytes.")]
    TooLarge {
        /// The limit that was exceeded.
        limit_bytes: usize,
    },
    /// More values than may be parsed.
    #[error("The body has more than {limit} values. Send it in parts.")]
    TooManyValues {
        /// The limit that was exceeded.
        limit: usize,
    },
    /// A content type or encoding the route does not take.
    #[error("{0}")]
    UnsupportedMedia(&'static str),
    /// Too many requests.
    #[error("Too many requests. Try again in {} s.", .0.retry_after_seconds)]
    TooMany(Refused),
    /// As many of the caller's are under way as may be at one time.
    #[error("{0}")]
    TooManyAtOnce(&'static str),
    /// More of the tenant's work waits than is kept.
    #[error("{limit} events of this tenant wait to be worked off. Nothing was stored; send the same again later.")]
    QueueFull {
        /// The bound that was reached.
        limit: u32,
    },
    /// The answer took too long.
    #[error("The request took longer than {0} s and was given up.")]
    Timeout(u64),
    /// Something that the API needs does not answer.
    #[error("{0}")]
    Unavailable(&'static str),
    /// Postgres or a rule of ours.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Kubernetes.
    #[error(transparent)]
    Kubernetes(#[from] kube::Error),
    /// What should not happen.
    #[error("{0}")]
    Internal(String),
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// Stable, for programs.
    #[schema(example = "not_found")]
    pub code: &'static str,
    /// For a person: what is wrong and what to do.
    pub message: String,
    /// What a program needs to act on the code.
    pub details: Value,
    /// The request, as in the header `x-trace-id` and in the logs.
    pub trace_id: String,
}

impl Error {
    /// An internal error with its cause, for `map_err`.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// A body that is understood but cannot be taken because of one field.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::Unprocessable { message: message.into(), field: Some(field.to_owned()) }
    }

    /// The status and the code of this error.
    pub fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad_request"),
            Self::TwoCredentials => (StatusCode::BAD_REQUEST, "two_credentials"),
            Self::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::WrongPassword => (StatusCode::UNAUTHORIZED, "wrong_credentials"),
            Self::AgentRefused { code, .. } => (StatusCode::UNAUTHORIZED, code),
            Self::EnrolmentRefused(_) => (StatusCode::UNAUTHORIZED, "enrolment_refused"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
            Self::Forbidden { .. } => (StatusCode::FORBIDDEN, "forbidden"),
            Self::TenantSuspended(_) => (StatusCode::FORBIDDEN, "tenant_suspended"),
            Self::TenantRequired => (StatusCode::BAD_REQUEST, "tenant_required"),
            Self::FeatureNotInPlan { .. } => (StatusCode::FORBIDDEN, "feature_not_in_plan"),
            Self::NotFound(_) | Self::NoRoute(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
            Self::ManagedByGitops { .. } => (StatusCode::CONFLICT, "managed_by_gitops"),
            Self::PreconditionFailed(_) => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            Self::Unprocessable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::TooLarge { .. } | Self::TooManyValues { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::UnsupportedMedia(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::TooMany(_) | Self::TooManyAtOnce(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"),
            Self::QueueFull { .. } => (StatusCode::TOO_MANY_REQUESTS, "queue_full"),
            Self::Timeout(_) => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Store(error) => of_store(error),
            Self::Kubernetes(error) => of_kubernetes(error),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }

    fn details(&self) -> Value {
        match self {
            Self::AgentRefused { details, .. } => details.clone(),
            Self::Forbidden { permission } => json!({ "permission": permission }),
            Self::FeatureNotInPlan { plan, feature } => json!({ "plan": plan, "feature": feature }),
            Self::ManagedByGitops { manager, .. } => json!({ "manager": manager }),
            Self::Unprocessable { field: Some(field), .. } => json!({ "field": field }),
            Self::TooLarge { limit_bytes } => json!({ "limit_bytes": limit_bytes }),
            Self::TooManyValues { limit } => json!({ "limit_values": limit }),
            Self::TooMany(refused) => json!({ "retry_after_seconds": refused.retry_after_seconds }),
            Self::QueueFull { limit } => json!({ "limit": limit }),
            _ => json!({}),
        }
    }

    fn message(&self, status: StatusCode) -> String {
        match self {
            // The Kubernetes API server's sentence says what to write instead.
            Self::Kubernetes(kube::Error::Api(refusal)) if status.is_client_error() => refusal.message.clone(),
            _ if status == StatusCode::INTERNAL_SERVER_ERROR => {
                "Something went wrong on our side. The trace id finds it in the logs.".to_owned()
            }
            Self::Store(_) if status == StatusCode::SERVICE_UNAVAILABLE => {
                "The database does not answer. Try again in a moment.".to_owned()
            }
            Self::Store(error) if error.is_unstorable_text() => {
                "A text of the request has the character U+0000, which cannot be stored. Leave it out.".to_owned()
            }
            Self::Kubernetes(_) if status == StatusCode::SERVICE_UNAVAILABLE => {
                "The Kubernetes API server does not answer. Try again in a moment.".to_owned()
            }
            other => other.to_string(),
        }
    }
}

fn of_kubernetes(error: &kube::Error) -> (StatusCode, &'static str) {
    match error {
        kube::Error::Api(refusal) => match refusal.code {
            404 => (StatusCode::NOT_FOUND, "not_found"),
            409 if refusal.reason == "AlreadyExists" => (StatusCode::CONFLICT, "conflict"),
            409 => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
            400 | 422 => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        },
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    }
}

fn of_store(error: &store::Error) -> (StatusCode, &'static str) {
    use store::Error as E;
    match error {
        E::NotFound(_) | E::UnknownTenant(_) => (StatusCode::NOT_FOUND, "not_found"),
        E::Exists(_) | E::NodeOfCluster => (StatusCode::CONFLICT, "conflict"),
        E::ReleasedChanged { .. } => (StatusCode::CONFLICT, "released"),
        E::WrongState { .. } => (StatusCode::CONFLICT, "wrong_state"),
        E::NoGates { .. } => (StatusCode::CONFLICT, "gates_missing"),
        E::NotSchedulable(_) => (StatusCode::CONFLICT, "not_schedulable"),
        E::SlugRetained { .. } | E::BeingPurged => (StatusCode::CONFLICT, "slug_retained"),
        E::SnapshotMismatch { .. } => (StatusCode::CONFLICT, "snapshot_mismatch"),
        E::Slug { .. } | E::Invalid(_) | E::UnknownModule { .. } | E::InvalidResult { .. } => {
            (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
        }
        _ if error.is_unstorable_text() => (StatusCode::BAD_REQUEST, "bad_request"),
        _ if error.is_transient() => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = self.status_and_code();
        let trace_id = trace::current();
        if status.is_server_error() {
            tracing::error!(code, error = %chain(&self), "request failed");
        } else {
            tracing::debug!(code, error = %self, "request refused");
        }
        let body = ErrorBody { code, message: self.message(status), details: self.details(), trace_id };
        let mut response = (status, Json(body)).into_response();
        match &self {
            Self::TooMany(refused) => refused.write_headers(response.headers_mut()),
            Self::Unavailable(_) | Self::Timeout(_) | Self::TooManyAtOnce(_) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            Self::QueueFull { .. } => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            }
            Self::Unauthenticated(_) => {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

/// An error and all that caused it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}
