//! `/v1/waivers`: who answers for which failing check, why, and until when. A waived check counts neither for nor against a score,
//! and fails again when the waiver ends.

use analysis::grant::{self, Grant};
use axum::{Json as Answer, extract::State};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::{
    Read, Write,
    waivers::{self, NewWaiver, Place, Subject},
};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{
        Allow, Scope, TenantTx,
        permission::{ManageWaivers, ReadResults},
    },
    error::{Error, Result},
    http::{
        body::Json,
        page::{List, Listing, Part},
        query::{Path, Query},
    },
    results::findings::AssetLabel,
    state::App,
};

/// Days that a waiver may last: what is accepted for longer is to be looked at again.
const MAX_DAYS: i64 = 5 * 366;
/// Days that its beginning may lie back.
const MAX_DAYS_BACK: i64 = 366;

/// A label that assets have.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelName {
    /// Its key.
    #[schema(example = "environment")]
    pub key: String,
    /// Its value.
    #[schema(example = "test")]
    pub value: String,
}

/// A check.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckName {
    /// Slug of its module.
    #[schema(example = "linux-sshd-hardening")]
    pub module: String,
    /// The check.
    pub check: String,
}

/// A control.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlName {
    /// Slug of its framework.
    #[schema(example = "cis-debian-12")]
    pub framework: String,
    /// Its identifier.
    pub control: String,
}

/// A waiver to be made: of one check, or of all checks of a control; on one asset, on those with a label, or on all.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWaiver {
    /// The check; or name a control.
    pub check: Option<CheckName>,
    /// The control; or name a check.
    pub control: Option<ControlName>,
    /// On that asset; or name a label, or neither for every asset.
    pub asset_id: Option<Uuid>,
    /// On the assets that have the label, now or later.
    pub label: Option<LabelName>,
    /// Who answers for it; the caller where nobody is named.
    pub who: Option<String>,
    /// Why it is accepted.
    #[schema(example = "replaced in May; no way in from outside")]
    pub why: String,
    /// Its first instant; now, where none is named.
    pub from: Option<DateTime<Utc>>,
    /// The instant at which it is over. There is no waiver without an end.
    pub until: DateTime<Utc>,
}

/// A waiver.
#[derive(Debug, Serialize, ToSchema)]
pub struct WaiverView {
    /// Its id.
    pub id: Uuid,
    /// waiting, `in_force`, over or revoked.
    #[schema(example = "in_force")]
    pub state: String,
    /// The check, if it is of one.
    pub check: Option<CheckName>,
    /// The control, if it is of one.
    pub control: Option<ControlName>,
    /// The asset, if it holds on one.
    pub asset: Option<AssetLabel>,
    /// The label, if it holds on the assets that have it.
    pub label: Option<LabelName>,
    /// Who answers for it.
    pub who: String,
    /// Why.
    pub why: String,
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The instant at which it is over.
    pub until: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// By whom.
    pub created_by: String,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// By whom.
    pub revoked_by: Option<String>,
}

fn view(row: waivers::Waiver) -> WaiverView {
    let asset = row.asset_id.map(|id| AssetLabel { id, name: row.asset_name.unwrap_or_default() });
    WaiverView {
        id: row.waiver_id,
        state: row.state,
        check: row.module.zip(row.check_id).map(|(module, check)| CheckName { module, check }),
        control: row.framework.zip(row.control).map(|(framework, control)| ControlName { framework, control }),
        asset,
        label: row.label_key.zip(row.label_value).map(|(key, value)| LabelName { key, value }),
        who: row.who,
        why: row.why,
        from: row.starts_at,
        until: row.ends_at,
        created_at: row.created_at,
        created_by: row.created_by,
        revoked_at: row.revoked_at,
        revoked_by: row.revoked_by,
    }
}

/// Which waivers are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct WaiverFilter {
    /// In this state.
    #[param(inline)]
    pub state: Option<WaiverState>,
}

/// Where a waiver stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaiverState {
    /// It has not begun.
    Waiting,
    /// It holds.
    InForce,
    /// It has ended by itself.
    Over,
    /// It was taken back.
    Revoked,
}

impl From<WaiverState> for waivers::State {
    fn from(state: WaiverState) -> Self {
        match state {
            WaiverState::Waiting => Self::Waiting,
            WaiverState::InForce => Self::InForce,
            WaiverState::Over => Self::Over,
            WaiverState::Revoked => Self::Revoked,
        }
    }
}

/// Lists the tenant's waivers, newest first, also those that are over.
#[utoipa::path(
    get, path = "/waivers", tag = "compliance", params(WaiverFilter, Part),
    responses((status = 200, body = Listing<WaiverView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Query(filter): Query<WaiverFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<WaiverView>>> {
    let list = List::new(tenant.0.tenant(), "waivers", &filter.state);
    let rows = waivers::list(&mut tenant.0, filter.state.map(Into::into), &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    Ok(Answer(part.of(&list, rows, view)?))
}

/// Shows one waiver.
#[utoipa::path(
    get, path = "/waivers/{id}", tag = "compliance", params(("id" = Uuid, Path)),
    responses((status = 200, body = WaiverView))
)]
pub async fn get(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<WaiverView>> {
    let row = waivers::get(&mut tenant.0, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row.ok_or(Error::NotFound("waiver"))?)))
}

/// Makes a waiver. Scores follow within some seconds of its beginning and of its end, where it concerns thousands of assets within
/// a minute.
#[utoipa::path(
    post, path = "/waivers", tag = "compliance", request_body = CreateWaiver,
    responses((status = 201, body = WaiverView))
)]
pub async fn create(
    allowed: Allow<ManageWaivers>,
    scope: Scope,
    State(app): State<App>,
    Json(request): Json<CreateWaiver>,
) -> Result<(StatusCode, Answer<WaiverView>)> {
    let identity = &allowed.identity;
    let new = request.checked(&identity.email, format!("user:{}", identity.user_id), Utc::now())?;
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    let made = waivers::create(&mut tx, &new).await.map_err(named)?;
    tx.commit().await?;
    app.has_changed(&scope.tenant);
    Ok((StatusCode::CREATED, Answer(view(made))))
}

/// Takes a waiver back, from now on. It stays in the list.
#[utoipa::path(
    delete, path = "/waivers/{id}", tag = "compliance", params(("id" = Uuid, Path)),
    responses((status = 204, description = "Taken back, or over before"))
)]
pub async fn revoke(
    allowed: Allow<ManageWaivers>,
    scope: Scope,
    State(app): State<App>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode> {
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    waivers::revoke(&mut tx, id, &format!("user:{}", allowed.identity.user_id)).await?;
    tx.commit().await?;
    app.has_changed(&scope.tenant);
    Ok(StatusCode::NO_CONTENT)
}

/// What a body names and is not there is a fault of the body, not of the path.
fn named(error: store::Error) -> Error {
    match error {
        store::Error::NotFound("asset") => Error::field("asset_id", "The tenant has no such asset."),
        store::Error::NotFound("check") => Error::field(
            "check",
            "The catalog has no such check. Name its module and its id, as a finding or an asset's list of checks does.",
        ),
        store::Error::NotFound("control") => {
            Error::field("control", "There is no such control. GET /v1/compliance/frameworks names them.")
        }
        other => other.into(),
    }
}

impl CreateWaiver {
    fn checked(self, caller: &str, created_by: String, now: DateTime<Utc>) -> Result<NewWaiver> {
        let Self { check, control, asset_id, label, who, why, from, until } = self;
        let subject = match (check, control) {
            (Some(CheckName { module, check }), None) => Subject::Check { module, check },
            (None, Some(ControlName { framework, control })) => Subject::Control { framework, control },
            _ => return Err(Error::field("check", "Name a check or a control, one of the two.")),
        };
        let place = match (asset_id, label) {
            (Some(asset_id), None) => Place::Asset(asset_id),
            (None, Some(LabelName { key, value })) => Place::Label { key, value },
            (None, None) => Place::Every,
            (Some(_), Some(_)) => {
                return Err(Error::field("label", "Name an asset or a label, not both; neither means every asset."));
            }
        };
        for (field, text) in texts(&subject, &place) {
            if text.is_empty() || text.chars().count() > waivers::MAX_NAME {
                return Err(Error::field(field, format!("Write 1 to {} characters.", waivers::MAX_NAME)));
            }
        }
        if until <= now {
            let message = format!("The waiver would be over already. Write a time after {}.", now.format("%FT%TZ"));
            return Err(Error::field("until", message));
        }
        let from = from.unwrap_or(now);
        if from < now - TimeDelta::days(MAX_DAYS_BACK) {
            return Err(Error::field("from", "Write a time within the last year, or later; left out, it is now."));
        }
        if until - from > TimeDelta::days(MAX_DAYS) {
            return Err(Error::field("until", "A waiver lasts five years at most. Write an earlier end."));
        }
        let grant = Grant::new(who.as_deref().unwrap_or(caller), &why, from, until).map_err(|error| {
            let field = match error {
                grant::Error::NoReason | grant::Error::TooLong { most: grant::MAX_WHY } => "why",
                grant::Error::NoOne | grant::Error::TooLong { .. } => "who",
                grant::Error::NoTime => "until",
            };
            Error::field(field, format!("A waiver cannot be made so: {error}."))
        })?;
        Ok(NewWaiver { place, subject, grant, created_by })
    }
}

/// The texts that a waiver is found by, each with the field that it came in.
fn texts<'a>(subject: &'a Subject, place: &'a Place) -> Vec<(&'static str, &'a str)> {
    let mut texts: Vec<(&'static str, &'a str)> = match subject {
        Subject::Check { module, check } => vec![("check", module.as_str()), ("check", check.as_str())],
        Subject::Control { framework, control } => vec![("control", framework.as_str()), ("control", control.as_str())],
    };
    if let Place::Label { key, value } = place {
        texts.extend([("label", key.as_str()), ("label", value.as_str())]);
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The field that a body is refused for; none if it is taken.
    fn refused(change: &Value) -> Option<String> {
        let mut body = json!({
            "check": { "module": "m", "check": "c" }, "why": "because", "until": "2026-12-01T00:00:00Z",
        });
        for (key, value) in change.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let request: CreateWaiver = serde_json::from_value(body).expect("a request");
        let now = "2026-11-22T00:00:00Z".parse().expect("a time");
        match request.checked("anna@acme.example", "user:1".to_owned(), now) {
            Ok(_) => None,
            Err(Error::Unprocessable { field, .. }) => field,
            Err(other) => Some(other.to_string()),
        }
    }

    #[test]
    fn what_no_waiver_can_be_is_refused_by_its_field() {
        let long = "a".repeat(3_000);
        for (change, field) in [
            (json!({}), None),
            (json!({ "label": { "key": "environment", "value": "test" } }), None),
            (json!({ "check": null, "control": { "framework": "f", "control": "1.1" } }), None),
            (json!({ "from": "2026-11-30T00:00:00Z" }), None),
            (json!({ "check": null }), Some("check")),
            (json!({ "control": { "framework": "f", "control": "1.1" } }), Some("check")),
            (json!({ "asset_id": Uuid::nil(), "label": { "key": "a", "value": "b" } }), Some("label")),
            (json!({ "label": { "key": "", "value": "b" } }), Some("label")),
            (json!({ "check": { "module": long, "check": "c" } }), Some("check")),
            (json!({ "until": "2026-11-22T00:00:00Z" }), Some("until")),
            (json!({ "until": "2020-01-01T00:00:00Z" }), Some("until")),
            (json!({ "until": "9999-01-01T00:00:00Z" }), Some("until")),
            (json!({ "from": "2026-12-01T00:00:00Z" }), Some("until")),
            (json!({ "from": "1970-01-01T00:00:00Z" }), Some("from")),
            (json!({ "why": " " }), Some("why")),
            (json!({ "why": long }), Some("why")),
            (json!({ "who": "" }), Some("who")),
            (json!({ "who": "a".repeat(201) }), Some("who")),
        ] {
            assert_eq!(refused(&change).as_deref(), field, "{change}");
        }
    }
}
