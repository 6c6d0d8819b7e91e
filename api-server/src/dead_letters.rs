//! `/v1/jobs/dead`: events that were tried too often, for the platform's administrators. One that was put aside holds up
//! nothing; once its cause is mended it can be tried again, ahead of what its aggregate still has waiting.

use axum::{Json as Answer, extract::State};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};
use store::{
    audit,
    outbox::{self, DeadLetter, Event},
};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use crate::{
    auth::{Allow, permission::ManageJobs},
    error::{ErrorBody, Result},
    http::{
        page::{Page, Paged},
        query::Path,
    },
    state::App,
};

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry))
}

/// An event that was put aside.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// The event.
    pub id: Uuid,
    /// The tenant's slug.
    pub tenant: String,
    /// What happened.
    #[schema(example = "run.ingested")]
    pub kind: String,
    /// What it happened to; its later events went on.
    pub aggregate_id: Uuid,
    /// What it is about.
    pub subject_id: Option<Uuid>,
    /// Identifiers and counts.
    #[schema(value_type = Object)]
    pub payload: Value,
    /// How often it was tried.
    pub attempts: i32,
    /// What was said in the last attempt.
    pub error: String,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// When it was put aside.
    pub dead_at: DateTime<Utc>,
}

fn view(letter: DeadLetter) -> DeadLetterView {
    let DeadLetter { event, error, dead_at } = letter;
    let Event { event_id, tenant, kind, aggregate_id, subject_id, payload, created_at, attempts } = event;
    let tenant = tenant.slug.to_string();
    DeadLetterView {
        id: event_id,
        tenant,
        kind,
        aggregate_id,
        subject_id,
        payload,
        attempts,
        error,
        created_at,
        dead_at,
    }
}

/// Lists the events that were tried too often and put aside, the latest first.
#[utoipa::path(
    get, path = "/jobs/dead", tag = "system", params(Page), responses((status = 200, body = Paged<DeadLetterView>))
)]
pub async fn list(_: Allow<ManageJobs>, State(app): State<App>, page: Page) -> Result<Answer<Paged<DeadLetterView>>> {
    let mut tx = app.db.platform().await?;
    let letters = outbox::dead(&mut tx, page.of_store()).await?;
    tx.rollback().await?;
    Ok(Answer(page.of(letters, view)))
}

/// Has an event that was put aside tried again, with all attempts.
#[utoipa::path(
    post, path = "/jobs/dead/{id}/retry", tag = "system", params(("id" = Uuid, Path, description = "The event")),
    responses(
        (status = 204, description = "It waits for its turn again"),
        (status = 404, description = "No such event is put aside", body = ErrorBody),
    )
)]
pub async fn retry(allowed: Allow<ManageJobs>, State(app): State<App>, Path(id): Path<Uuid>) -> Result<StatusCode> {
    let mut tx = app.db.platform().await?;
    let tenant = outbox::revive(&mut tx, id).await?;
    let entry = audit::Entry {
        actor: format!("user:{}", allowed.identity.user_id),
        action: "job.retried".to_owned(),
        subject: format!("event:{id}"),
        details: json!({}),
    };
    audit::write_platform(&mut tx, Some(tenant.id), &entry).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
