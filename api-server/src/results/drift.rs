//! `/v1/drift`: what changed on assets, how unusual that is, and in words. The newest first; silenced drift is in the list, with
//! who silenced it.

use axum::{Json as Answer, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Read, drift};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{Allow, TenantTx, permission::ReadResults},
    error::{Error, Result},
    http::{
        csv::{Exporter, What},
        page::{List, Listing, Part},
        query::{Path, Query},
    },
    results::findings::AssetLabel,
};

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriftKind {
    /// A program that runs.
    Process,
    /// A socket that accepts connections.
    Port,
    /// A file.
    File,
    /// An account.
    Account,
    /// Software that is installed.
    Software,
    /// A service of the init system.
    Service,
    /// What starts by itself.
    Autorun,
}

impl From<DriftKind> for analysis::drift::Kind {
    fn from(kind: DriftKind) -> Self {
        match kind {
            DriftKind::Process => Self::Process,
            DriftKind::Port => Self::Port,
            DriftKind::File => Self::File,
            DriftKind::Account => Self::Account,
            DriftKind::Software => Self::Software,
            DriftKind::Service => Self::Service,
            DriftKind::Autorun => Self::Autorun,
        }
    }
}

/// A drift.
#[derive(Debug, Serialize, ToSchema)]
pub struct DriftView {
    /// Its id.
    pub id: Uuid,
    /// Where.
    pub asset: AssetLabel,
    /// When the run that found it came in.
    pub found_at: DateTime<Utc>,
    /// process, port, file, account, software, service or autorun.
    pub kind: String,
    /// appeared, changed or vanished.
    pub change: String,
    /// What. Chosen by the host.
    #[schema(example = "4444/tcp")]
    pub subject: String,
    /// The form it had, such as a version.
    pub before: Option<String>,
    /// The form it has.
    pub after: Option<String>,
    /// 0 to 100: how unusual that is among assets of its group, and on this one.
    pub rarity: i16,
    /// All of it in words, to stand behind the asset's name.
    #[schema(example = "listens on 4444/tcp; no other of 38 web servers ever did")]
    pub sentence: String,
    /// What the rarity was drawn from.
    #[schema(value_type = Object)]
    pub evidence: Value,
    /// The group of like assets it was compared with.
    pub group: String,
    /// The approval or maintenance window because of which nobody is told: by, who, why, from, until.
    #[schema(value_type = Option<Object>)]
    pub silenced_by: Option<Value>,
    /// Slug of the module that saw it.
    pub module: String,
    /// The run that found it.
    pub run_id: Uuid,
}

fn view(row: drift::StoredDrift) -> DriftView {
    DriftView {
        id: row.drift_id,
        asset: AssetLabel { id: row.asset_id, name: row.asset_name },
        found_at: row.found_at,
        kind: row.kind,
        change: row.change,
        subject: row.subject,
        before: row.before,
        after: row.after,
        rarity: row.rarity,
        sentence: row.sentence,
        evidence: row.evidence,
        group: row.group_name,
        silenced_by: row.silenced_by,
        module: row.module,
        run_id: row.run_id,
    }
}

/// Which drifts are wanted. With `kind`, `min_rarity` or `silenced`, each part of the list holds what is found among the next
/// 10,000 drifts, and `next_cursor` goes on from there.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct DriftFilter {
    /// On this asset.
    pub asset_id: Option<Uuid>,
    /// Found then or later.
    pub since: Option<DateTime<Utc>>,
    /// Of this kind.
    #[param(inline)]
    pub kind: Option<DriftKind>,
    /// At least so rare, 0 to 100.
    #[param(minimum = 0, maximum = 100)]
    pub min_rarity: Option<u8>,
    /// Only those that an approval or maintenance window silences, or only the others.
    pub silenced: Option<bool>,
}

impl DriftFilter {
    fn of_store(self) -> Result<drift::DriftFilter> {
        let Self { asset_id, since, kind, min_rarity, silenced } = self;
        if min_rarity.is_some_and(|rarity| rarity > 100) {
            return Err(Error::BadRequest("min_rarity lies between 0 and 100.".to_owned()));
        }
        Ok(drift::DriftFilter { asset_id, since, kind: kind.map(Into::into), min_rarity, is_silenced: silenced })
    }
}

/// Lists the drift of the tenant's assets, newest first.
#[utoipa::path(
    get, path = "/drift", tag = "results", params(DriftFilter, Part),
    responses((status = 200, body = Listing<DriftView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Query(filter): Query<DriftFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<DriftView>>> {
    let filter = filter.of_store()?;
    let list = List::new(tenant.0.tenant(), "drift", &filter);
    let rows = drift::list(&mut tenant.0, &filter, &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    Ok(Answer(part.of(&list, rows, view)?))
}

/// Gives the drift of the tenant's assets as a file, in no order.
#[utoipa::path(
    get, path = "/drift/export.csv", tag = "results", params(DriftFilter),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub async fn export(exporter: Exporter<ReadResults>, Query(filter): Query<DriftFilter>) -> Result<Response> {
    let what = What::list("drift", &filter, drift::EXPORTED);
    let filter = filter.of_store()?;
    exporter.respond(what, move |tx| drift::export(tx, &filter)).await
}

/// Shows one drift.
#[utoipa::path(get, path = "/drift/{id}", tag = "results", params(("id" = Uuid, Path)), responses((status = 200, body = DriftView)))]
pub async fn get(_: Allow<ReadResults>, Path(id): Path<Uuid>, mut tenant: TenantTx<Read>) -> Result<Answer<DriftView>> {
    let row = drift::get(&mut tenant.0, id).await?;
    tenant.0.rollback().await?;
    Ok(Answer(view(row.ok_or(Error::NotFound("drift"))?)))
}
