//! `/v1/agents` for people: which agents there are and how they are; taking one away.

use std::collections::BTreeMap;

use axum::{Json as Answer, extract::State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Read, Write, agents, audit, credentials, jobs};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{
        Allow, Scope, TenantTx,
        permission::{ManageAgents, ReadAgents},
    },
    error::{Error, Result},
    http::{
        page::{Page, Paged},
        query::{Path, Query},
    },
    results::findings::AssetLabel,
    state::App,
};

/// An agent.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentView {
    /// Its id.
    pub id: Uuid,
    /// The asset it runs on.
    pub asset: AssetLabel,
    /// active or revoked.
    pub state: String,
    /// Whether it was heard of lately.
    pub online: bool,
    /// Its version.
    pub version: String,
    /// `service_account`, `enrollment_token` or admin.
    pub source: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether another live agent claims the same host.
    pub duplicate_identity: bool,
    /// Jobs that it holds.
    pub queue_depth: i32,
    /// Bytes of results that it has not delivered.
    pub spool_bytes: i64,
    /// When it enrolled first.
    pub enrolled_at: DateTime<Utc>,
    /// When it was last heard of.
    pub last_seen_at: DateTime<Utc>,
}

fn view(row: agents::Agent) -> AgentView {
    AgentView {
        id: row.agent_id,
        asset: AssetLabel { id: row.asset_id, name: row.asset_name },
        state: row.state,
        online: row.is_online,
        version: row.agent_version,
        source: row.source,
        labels: row.labels,
        duplicate_identity: row.duplicate_identity,
        queue_depth: row.queue_depth,
        spool_bytes: row.spool_bytes,
        enrolled_at: row.enrolled_at,
        last_seen_at: row.last_seen_at,
    }
}

/// Which agents are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct AgentFilter {
    /// Removed ones too.
    #[serde(default)]
    pub with_revoked: bool,
}

/// Lists the agents of the tenant by the names of their assets.
#[utoipa::path(get, path = "/agents", tag = "agents", params(AgentFilter, Page), responses((status = 200, body = Paged<AgentView>)))]
pub async fn list(
    _: Allow<ReadAgents>,
    Query(filter): Query<AgentFilter>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<AgentView>>> {
    let rows = agents::list(&mut tenant.0, filter.with_revoked, page.of_store()).await?;
    tenant.0.rollback().await?;
    Ok(Answer(page.of(rows, view)))
}

/// Shows one agent.
#[utoipa::path(get, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)), responses((status = 200, body = AgentView)))]
pub async fn get(_: Allow<ReadAgents>, Path(id): Path<Uuid>, mut tenant: TenantTx<Read>) -> Result<Answer<AgentView>> {
    let row = agents::get(&mut tenant.0, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row.ok_or(Error::NotFound("agent"))?)))
}

/// Takes an agent away: its token holds no more and its jobs are cancelled. What it found stays.
#[utoipa::path(
    delete, path = "/agents/{id}", tag = "agents", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove(
    allowed: Allow<ManageAgents>,
    scope: Scope,
    State(app): State<App>,
    Path(id): Path<Uuid>,
    mut tenant: TenantTx<Write>,
) -> Result<StatusCode> {
    agents::revoke(&mut tenant.0, id).await?;
    jobs::cancel_agent(&mut tenant.0, id).await?;
    let entry = audit::Entry {
        actor: format!("user:{}", allowed.identity.user_id),
        action: "agent.removed".to_owned(),
        subject: id.to_string(),
        details: json!({}),
    };
    audit::write(&mut tenant.0, &entry).await?;
    // The credential first: were it the other way round, a crash in between would leave a token that works.
    let mut tx = app.db.platform().await?;
    credentials::revoke_agent(&mut tx, scope.tenant.id, id, "removed by a person").await?;
    tx.commit().await?;
    tenant.0.commit().await?;
    app.has_changed(&scope.tenant);
    Ok(StatusCode::NO_CONTENT)
}
