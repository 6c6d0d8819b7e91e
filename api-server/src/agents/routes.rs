//! `/v1/agents`: for people (list, enrolment tokens) and for agents (enrolment, configuration, poll, results).

use std::net::SocketAddr;

use axum::{
    Json as Answer,
    extract::{ConnectInfo, State},
};
use catalog::wire::{
    AgentConfig, EnrollRequest, EnrollResponse, HeartbeatRequest, HeartbeatResponse, PollRequest, PollResponse,
    ResultsRequest, ResultsResponse,
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    agents::{
        call::AgentCall,
        config, enroll,
        enroll::AdminEnrollRequest,
        enrollment_tokens::{self, CreateToken, CreatedToken, TokenView},
        poll, results,
    },
    auth::{Allow, Scope, permission::ManageAgents},
    error::{Error, ErrorBody, Result},
    http::{
        body::{self, Json},
        page::{Page, Paged},
        query::{Path, Query},
    },
    state::App,
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    let enrolment = OpenApiRouter::new()
        .routes(routes!(enroll_by_admin))
        .routes(routes!(enroll_self))
        .routes(routes!(list_tokens, create_token))
        .routes(routes!(revoke_token))
        .layer(body::limit(body::STRANGERS_LIMIT_BYTES));
    let polls = OpenApiRouter::new()
        .routes(routes!(get_config))
        .routes(routes!(heartbeat))
        .routes(routes!(next_jobs))
        .layer(body::limit(body::POLL_LIMIT_BYTES));
    OpenApiRouter::new().merge(enrolment).merge(polls).routes(routes!(submit_results))
}

/// Enrols a host on the word of the signed-in administrator.
#[utoipa::path(
    post, path = "/agents/enroll", tag = "agents", request_body = AdminEnrollRequest,
    responses((status = 201, body = EnrollResponse))
)]
pub async fn enroll_by_admin(
    _: Allow<ManageAgents>,
    scope: Scope,
    State(app): State<App>,
    Json(request): Json<AdminEnrollRequest>,
) -> Result<(StatusCode, Answer<EnrollResponse>)> {
    let enrolled = enroll::by_admin(&app, scope.tenant, scope.resource, request).await?;
    Ok((StatusCode::CREATED, Answer(enrolled)))
}

/// Enrols a host by its ServiceAccount token (in a cluster) or an enrolment token.
#[utoipa::path(
    post, path = "/agents/enroll/self", tag = "agents", request_body = EnrollRequest,
    responses(
        (status = 201, body = EnrollResponse),
        (status = 401, description = "The credential does not hold", body = ErrorBody),
        (status = 403, description = "The tenant is suspended", body = ErrorBody),
        (status = 429, description = "Too many tries", body = ErrorBody),
    )
)]
pub async fn enroll_self(
    State(app): State<App>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Json(request): Json<EnrollRequest>,
) -> Result<(StatusCode, Answer<EnrollResponse>)> {
    app.limits.enrolment_by_address.take(address.ip()).map_err(Error::TooMany)?;
    let enrolled = enroll::by_credential(&app, request).await;
    app.metrics.enrolment(enrolled.is_ok());
    Ok((StatusCode::CREATED, Answer(enrolled?)))
}

/// Lists the tenant's enrolment tokens, newest first.
#[utoipa::path(
    get, path = "/agents/enrollment-tokens", tag = "agents", params(Page),
    responses((status = 200, body = Paged<TokenView>))
)]
pub async fn list_tokens(
    _: Allow<ManageAgents>,
    scope: Scope,
    State(app): State<App>,
    page: Page,
) -> Result<Answer<Paged<TokenView>>> {
    Ok(Answer(enrollment_tokens::list(&app, &scope, page).await?))
}

/// Makes an enrolment token. Its secret is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/agents/enrollment-tokens", tag = "agents", request_body = CreateToken,
    responses((status = 201, body = CreatedToken))
)]
pub async fn create_token(
    allowed: Allow<ManageAgents>,
    scope: Scope,
    State(app): State<App>,
    Json(request): Json<CreateToken>,
) -> Result<(StatusCode, Answer<CreatedToken>)> {
    let created = enrollment_tokens::create(&app, &scope, &allowed.identity.email, request).await?;
    Ok((StatusCode::CREATED, Answer(created)))
}

/// Revokes an enrolment token; hosts that have enrolled with it stay.
#[utoipa::path(
    delete, path = "/agents/enrollment-tokens/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Revoked"))
)]
pub async fn revoke_token(
    _: Allow<ManageAgents>,
    scope: Scope,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    enrollment_tokens::revoke(&app, &scope, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which bundle the agent has.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Have {
    /// Checksum of the bundle the agent has; an equal one is left out of the answer.
    pub have: Option<String>,
}

/// The agent's own configuration and its signed modules.
#[utoipa::path(
    get, path = "/agents/config/{id}", tag = "agents", params(("id" = Uuid, Path), Have),
    responses((status = 200, body = AgentConfig))
)]
pub async fn get_config(
    State(app): State<App>,
    Path(id): Path<Uuid>,
    Query(have): Query<Have>,
    call: AgentCall,
) -> Result<Answer<AgentConfig>> {
    Ok(Answer(config::of_agent(&app, &call, id, have.have.as_deref())?))
}

/// Says that the agent lives, for agents that cannot poll.
#[utoipa::path(
    post, path = "/agents/heartbeat", tag = "agents", request_body = HeartbeatRequest,
    responses((status = 200, body = HeartbeatResponse))
)]
pub async fn heartbeat(State(app): State<App>, call: AgentCall) -> Result<Answer<HeartbeatResponse>> {
    Ok(Answer(config::heartbeat(&app, &call)?))
}

/// Asks for work; held up to 300 s, answered at once when there is a job.
#[utoipa::path(
    post, path = "/agents/jobs/next", tag = "agents", request_body = PollRequest,
    responses((status = 200, body = PollResponse))
)]
pub async fn next_jobs(State(app): State<App>, call: AgentCall) -> Result<Answer<PollResponse>> {
    Ok(Answer(poll::next(&app, &call).await?))
}

/// Brings results, plain or as zstd. Each is acknowledged by itself; a repeat is harmless.
#[utoipa::path(
    post, path = "/agents/results", tag = "agents", request_body = ResultsRequest,
    responses(
        (status = 200, body = ResultsResponse),
        (status = 429, description = "Too much of the tenant waits; send it again later", body = ErrorBody),
    )
)]
pub async fn submit_results(State(app): State<App>, call: AgentCall) -> Result<Answer<ResultsResponse>> {
    Ok(Answer(results::store(&app, &call).await?))
}
