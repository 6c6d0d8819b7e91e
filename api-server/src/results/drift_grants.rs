//! `/v1/drift/approvals` and `/v1/maintenance-windows`: changes of which nobody is told. What they cover is learned and listed
//! like all drift, with who silenced it. There is none without a reason and an end.

use analysis::{
    drift::Subject,
    grant::{self, Grant},
};
use axum::{Json as Answer, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{
    Read, Write, audit,
    drift::{self, DriftGrant, NewGrant, Purpose, Reach},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{
        Allow, Scope, TenantTx,
        permission::{ManageDrift, ReadResults},
    },
    error::{Error, Result},
    http::{
        body::Json,
        page::{Page, Paged},
        query::{Path, Query},
    },
    results::drift::DriftKind,
    state::App,
};

/// A year: what is allowed for longer is forgotten.
const MAX_AHEAD: TimeDelta = TimeDelta::days(366);
/// Bytes of a group's name.
const MAX_GROUP: usize = 256;
/// Bytes of a form.
const MAX_DETAIL: usize = 1_024;

/// A maintenance window to plan. Without `asset_id` and `group` it is for every asset of the tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanWindow {
    /// For this asset.
    pub asset_id: Option<Uuid>,
    /// For the assets of this group, as drift names it.
    #[schema(example = "web servers")]
    pub group: Option<String>,
    /// The reason.
    pub why: String,
    /// From when; now if left out.
    pub from: Option<DateTime<Utc>>,
    /// Until when; at most a year ahead.
    pub until: DateTime<Utc>,
}

/// A change to approve. Without `asset_id` and `group` it is approved for every asset of the tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveChange {
    /// What kind of thing may change.
    pub kind: DriftKind,
    /// Its name.
    #[schema(example = "8443/tcp")]
    pub subject: String,
    /// Whether everything is meant whose name begins so.
    #[serde(default)]
    pub is_beginning: bool,
    /// Only in this form, such as a version.
    pub detail: Option<String>,
    /// For this asset.
    pub asset_id: Option<Uuid>,
    /// For the assets of this group, as drift names it.
    pub group: Option<String>,
    /// The reason.
    pub why: String,
    /// From when; now if left out.
    pub from: Option<DateTime<Utc>>,
    /// Until when; at most a year ahead.
    pub until: DateTime<Utc>,
}

/// A maintenance window.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowView {
    /// Its id.
    pub id: Uuid,
    /// For this asset only.
    pub asset_id: Option<Uuid>,
    /// For the assets of this group only.
    pub group: Option<String>,
    /// Who answers for it.
    pub who: String,
    /// The reason.
    pub why: String,
    /// From when.
    pub from: DateTime<Utc>,
    /// Until when.
    pub until: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// An approved change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApprovalView {
    /// What kind of thing may change.
    pub kind: String,
    /// Its name.
    pub subject: String,
    /// Whether everything is meant whose name begins so.
    pub is_beginning: bool,
    /// Only in this form.
    pub detail: Option<String>,
    /// Where, why and until when.
    #[serde(flatten)]
    pub window: WindowView,
}

/// Which are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct GrantFilter {
    /// Those that are over too.
    #[serde(default)]
    pub with_ended: bool,
}

fn window_view(row: DriftGrant) -> WindowView {
    let DriftGrant { grant_id, purpose: _, reach, grant, created_by: _, created_at } = row;
    let (asset_id, group) = match reach {
        Reach::Tenant => (None, None),
        Reach::Group(group) => (None, Some(group)),
        Reach::Asset(asset_id) => (Some(asset_id), None),
    };
    WindowView {
        id: grant_id,
        asset_id,
        group,
        who: grant.who().to_owned(),
        why: grant.why().to_owned(),
        from: grant.from(),
        until: grant.until(),
        created_at,
    }
}

fn approval_view(row: DriftGrant) -> Result<ApprovalView> {
    let Purpose::Approval { kind, subject, detail } = row.purpose.clone() else {
        return Err(Error::internal("a maintenance window is among the approvals"));
    };
    Ok(ApprovalView {
        kind: drift::name_of(kind).to_owned(),
        subject: subject.text().to_owned(),
        is_beginning: subject.is_beginning(),
        detail,
        window: window_view(row),
    })
}

fn reach(asset_id: Option<Uuid>, group: Option<String>) -> Result<Reach> {
    match (asset_id, group) {
        (Some(_), Some(_)) => Err(Error::field("group", "Write asset_id or group, not both.")),
        (Some(asset_id), None) => Ok(Reach::Asset(asset_id)),
        (None, None) => Ok(Reach::Tenant),
        (None, Some(group)) => {
            let group = group.trim();
            if group.is_empty() || group.len() > MAX_GROUP {
                return Err(Error::field("group", format!("Write the group's name, in 1 to {MAX_GROUP} bytes.")));
            }
            Ok(Reach::Group(group.to_owned()))
        }
    }
}

/// The grant, in the caller's name.
fn granted(caller: &Allow<ManageDrift>, why: &str, from: Option<DateTime<Utc>>, until: DateTime<Utc>) -> Result<Grant> {
    let now = Utc::now();
    if until <= now || until > now + MAX_AHEAD {
        return Err(Error::field("until", "Write a time in the future, at most a year ahead."));
    }
    let who: String = caller.identity.email.chars().take(grant::MAX_WHO).collect();
    Grant::new(&who, why, from.unwrap_or(now), until).map_err(|error| match error {
        grant::Error::NoTime => Error::field("until", "Write a time after from."),
        grant::Error::NoOne => Error::internal(error),
        grant::Error::NoReason | grant::Error::TooLong { .. } => {
            Error::field("why", format!("Write a reason, in 1 to {} characters.", grant::MAX_WHY))
        }
    })
}

/// Stores a grant and writes it into the audit log.
async fn create(app: &App, scope: &Scope, new: &NewGrant, action: &str) -> Result<DriftGrant> {
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    let row = drift::create_grant(&mut tx, new).await?;
    record(&mut tx, &row, &new.created_by, action).await?;
    tx.commit().await?;
    app.has_changed(&scope.tenant);
    Ok(row)
}

/// Takes a grant back and writes that into the audit log.
async fn remove(
    app: &App,
    scope: &Scope,
    caller: &Allow<ManageDrift>,
    (is_approval, id): (bool, Uuid),
    action: &str,
) -> Result<StatusCode> {
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    let row = drift::remove_grant(&mut tx, is_approval, id).await?;
    record(&mut tx, &row, &actor(caller), action).await?;
    tx.commit().await?;
    app.has_changed(&scope.tenant);
    Ok(StatusCode::NO_CONTENT)
}

fn actor(caller: &Allow<ManageDrift>) -> String {
    format!("user:{}", caller.identity.user_id)
}

async fn record(tx: &mut store::TenantTx<Write>, row: &DriftGrant, actor: &str, action: &str) -> Result<()> {
    let entry = audit::Entry {
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: row.grant_id.to_string(),
        details: json!({ "what": row.purpose, "where": row.reach, "grant": row.grant }),
    };
    audit::write(tx, &entry).await?;
    Ok(())
}

/// Lists approved changes, those that end last first.
#[utoipa::path(
    get, path = "/drift/approvals", tag = "results", params(GrantFilter, Page),
    responses((status = 200, body = Paged<ApprovalView>))
)]
pub async fn list_approvals(
    _: Allow<ReadResults>,
    Query(filter): Query<GrantFilter>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<ApprovalView>>> {
    let rows = drift::list_grants(&mut tenant.0, true, filter.with_ended, page.of_store()).await?;
    tenant.0.rollback().await?;
    let items = rows.items.into_iter().map(approval_view).collect::<Result<_>>()?;
    Ok(Answer(Paged { items, total: rows.total, page: page.page, page_size: page.page_size }))
}

/// Approves a change: nobody is told of it. It is still listed, with who approved it.
#[utoipa::path(
    post, path = "/drift/approvals", tag = "results", request_body = ApproveChange,
    responses((status = 201, body = ApprovalView))
)]
pub async fn approve(
    allowed: Allow<ManageDrift>,
    scope: Scope,
    State(app): State<App>,
    Json(request): Json<ApproveChange>,
) -> Result<(StatusCode, Answer<ApprovalView>)> {
    let ApproveChange { kind, subject, is_beginning, detail, asset_id, group, why, from, until } = request;
    let subject = if is_beginning { Subject::beginning_with(&subject) } else { Subject::exactly(&subject) };
    let subject = subject.map_err(|error| Error::field("subject", format!("This cannot be approved: {error}.")))?;
    if detail.as_ref().is_some_and(|detail| detail.len() > MAX_DETAIL) {
        return Err(Error::field("detail", format!("Write at most {MAX_DETAIL} bytes.")));
    }
    let new = NewGrant {
        purpose: Purpose::Approval { kind: kind.into(), subject, detail },
        reach: reach(asset_id, group)?,
        grant: granted(&allowed, &why, from, until)?,
        created_by: actor(&allowed),
    };
    let row = create(&app, &scope, &new, "drift_approval.created").await?;
    Ok((StatusCode::CREATED, Answer(approval_view(row)?)))
}

/// Takes an approval back. What it silenced stays so.
#[utoipa::path(
    delete, path = "/drift/approvals/{id}", tag = "results", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove_approval(
    allowed: Allow<ManageDrift>,
    scope: Scope,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    remove(&app, &scope, &allowed, (true, id), "drift_approval.removed").await
}

/// Lists maintenance windows, those that end last first.
#[utoipa::path(
    get, path = "/maintenance-windows", tag = "results", params(GrantFilter, Page),
    responses((status = 200, body = Paged<WindowView>))
)]
pub async fn list_windows(
    _: Allow<ReadResults>,
    Query(filter): Query<GrantFilter>,
    page: Page,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Paged<WindowView>>> {
    let rows = drift::list_grants(&mut tenant.0, false, filter.with_ended, page.of_store()).await?;
    tenant.0.rollback().await?;
    Ok(Answer(page.of(rows, window_view)))
}

/// Plans maintenance: nobody is told of what changes meanwhile. It is still listed.
#[utoipa::path(
    post, path = "/maintenance-windows", tag = "results", request_body = PlanWindow,
    responses((status = 201, body = WindowView))
)]
pub async fn plan_window(
    allowed: Allow<ManageDrift>,
    scope: Scope,
    State(app): State<App>,
    Json(request): Json<PlanWindow>,
) -> Result<(StatusCode, Answer<WindowView>)> {
    let PlanWindow { asset_id, group, why, from, until } = request;
    let new = NewGrant {
        purpose: Purpose::Maintenance,
        reach: reach(asset_id, group)?,
        grant: granted(&allowed, &why, from, until)?,
        created_by: actor(&allowed),
    };
    let row = create(&app, &scope, &new, "maintenance_window.created").await?;
    Ok((StatusCode::CREATED, Answer(window_view(row))))
}

/// Takes a maintenance window back. What it silenced stays so.
#[utoipa::path(
    delete, path = "/maintenance-windows/{id}", tag = "results", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Removed"))
)]
pub async fn remove_window(
    allowed: Allow<ManageDrift>,
    scope: Scope,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    remove(&app, &scope, &allowed, (false, id), "maintenance_window.removed").await
}
