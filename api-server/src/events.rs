//! `GET /v1/events`: what the dashboard hears of live. An event says that something changed and little more: the page
//! reads the thing itself by its route, where rights are checked again.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event as Line, KeepAlive, Sse},
};
use crds::{
    conditions::{self, ConditionType},
    tenant::Tenant,
};
use futures::{Stream, stream};
use http::request::Parts;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::{
    auth::{identity::Identity, scope::Scope},
    error::{Error, Result},
    state::App,
};

/// How often an open stream checks that its session still holds.
const RECHECK_EVERY: Duration = Duration::from_secs(5);

/// Something that changed.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose it is.
    pub slug: String,
    /// `tenant` or `run`.
    pub kind: &'static str,
    /// What a page needs to know which of its data is old.
    pub body: Value,
}

impl Event {
    /// A tenant's resource changed.
    pub fn tenant(tenant: &Tenant, is_deleted: bool) -> Self {
        let conditions = tenant.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let ready = conditions::get(conditions, ConditionType::Ready);
        let body = json!({
            "slug": tenant.name_any(),
            "ready": ready.is_some_and(|ready| ready.status == "True"),
            "reason": ready.map(|ready| &ready.reason),
            "deleted": is_deleted,
        });
        Self { slug: tenant.name_any(), kind: "tenant", body }
    }

    /// A run was reported and changed something.
    pub fn run(slug: &str, asset_id: uuid::Uuid, run_id: uuid::Uuid, module: &str, status: &str) -> Self {
        let body = json!({ "asset_id": asset_id, "run_id": run_id, "module": module, "status": status });
        Self { slug: slug.to_owned(), kind: "run", body }
    }
}

/// Who listens, and to what.
struct Listening {
    app: App,
    parts: Parts,
    events: broadcast::Receiver<Event>,
    /// `None` hears of every tenant.
    slug: Option<String>,
    checked: tokio::time::Instant,
}

/// Streams what changes: every tenant's status to a super admin, runs and status of their own tenant to everybody else.
#[utoipa::path(
    get, path = "/events", tag = "live",
    responses((status = 200, description = "Server-sent events `tenant` and `run`; `missed` when the listener was too slow", content_type = "text/event-stream", body = String))
)]
pub async fn stream_events(
    State(app): State<App>,
    request: axum::extract::Request,
) -> Result<Sse<impl Stream<Item = Result<Line, Infallible>>>> {
    let (mut parts, _) = request.into_parts();
    let identity = Identity::of(&mut parts, &app).await?;
    let slug = match Scope::of(&mut parts, &app).await {
        Ok(scope) => Some(scope.tenant.slug.to_string()),
        Err(Error::TenantRequired) if identity.is_super_admin => None,
        Err(error) => return Err(error),
    };
    let events = app.events.subscribe();
    let listening = Listening { app, parts, events, slug, checked: tokio::time::Instant::now() };
    let lines = stream::unfold(listening, |mut listening| async move {
        let line = next(&mut listening).await?;
        Some((Ok(line), listening))
    });
    Ok(Sse::new(lines).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

/// The next line; none when the session ended, the tenant was suspended or the program ends.
async fn next(listening: &mut Listening) -> Option<Line> {
    loop {
        let recheck = listening.checked + RECHECK_EVERY;
        tokio::select! {
            () = listening.app.shutdown.cancelled() => return None,
            () = tokio::time::sleep_until(recheck) => {
                listening.parts.extensions.clear();
                let app = listening.app.clone();
                Identity::of(&mut listening.parts, &app).await.ok()?;
                if listening.slug.is_some() {
                    Scope::of(&mut listening.parts, &app).await.ok()?;
                }
                listening.checked = tokio::time::Instant::now();
            }
            event = listening.events.recv() => match event {
                Ok(event) if listening.slug.as_ref().is_none_or(|slug| *slug == event.slug) => {
                    return Line::default().event(event.kind).json_data(&event.body).ok();
                }
                Ok(_) => {}
                Err(RecvError::Lagged(missed)) => return Some(Line::default().event("missed").data(missed.to_string())),
                Err(RecvError::Closed) => return None,
            },
        }
    }
}
