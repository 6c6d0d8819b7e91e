//! `/v1/assets/{id}/facts` and `/timeline`: what modules keep of an asset, and what changed on it.

use axum::{Json as Answer, response::Response};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Read, assets, facts};
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
};

/// A fact that a module keeps.
#[derive(Debug, Serialize, ToSchema)]
pub struct FactView {
    /// Slug of the module.
    pub module: String,
    /// The table.
    pub table: String,
    /// What the row is about.
    pub key: String,
    /// The row.
    #[schema(value_type = Object)]
    pub row: Value,
    /// Since when it is like this.
    pub first_seen_at: DateTime<Utc>,
}

/// Which facts are wanted.
#[derive(Debug, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FactFilter {
    /// Of this table.
    pub table: Option<String>,
}

/// A change of a fact.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeView {
    /// Slug of the module.
    pub module: String,
    /// The table.
    pub table: String,
    /// added, changed or removed.
    pub kind: String,
    /// What the row is about.
    pub key: String,
    /// The row before.
    #[schema(value_type = Option<Object>)]
    pub before: Option<Value>,
    /// The row after.
    #[schema(value_type = Option<Object>)]
    pub after: Option<Value>,
    /// When.
    pub changed_at: DateTime<Utc>,
}

/// Lists what modules keep of one asset.
#[utoipa::path(
    get, path = "/assets/{id}/facts", tag = "results", params(("id" = Uuid, Path), FactFilter, Part),
    responses((status = 200, body = Listing<FactView>))
)]
pub async fn list(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    Query(filter): Query<FactFilter>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<FactView>>> {
    let list = List::new(tenant.0.tenant(), "facts", &(id, &filter.table));
    let rows = facts::list(&mut tenant.0, id, filter.table.as_deref(), &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    let answer = part.of(&list, rows, |row| FactView {
        module: row.module,
        table: row.table_name,
        key: row.row_key,
        row: row.content,
        first_seen_at: row.first_seen_at,
    })?;
    Ok(Answer(answer))
}

/// Gives what modules keep of one asset as a file.
#[utoipa::path(
    get, path = "/assets/{id}/facts/export.csv", tag = "results", params(("id" = Uuid, Path), FactFilter),
    responses((status = 200, body = String, content_type = "text/csv"))
)]
pub async fn export(
    exporter: Exporter<ReadResults>,
    Path(id): Path<Uuid>,
    Query(filter): Query<FactFilter>,
) -> Result<Response> {
    let mut tx = exporter.app.db.tenant::<Read>(&exporter.scope.tenant).await?;
    let asset = assets::get(&mut tx, id).await?;
    tx.rollback().await?;
    asset.ok_or(Error::NotFound("asset"))?;
    let what = What { name: "facts", subject: id.to_string(), filter: json!(filter), columns: facts::EXPORTED };
    exporter.respond(what, move |tx| facts::export(tx, id, filter.table.as_deref())).await
}

/// Lists what changed on one asset, newest first.
#[utoipa::path(
    get, path = "/assets/{id}/timeline", tag = "results", params(("id" = Uuid, Path), Part),
    responses((status = 200, body = Listing<ChangeView>))
)]
pub async fn timeline(
    _: Allow<ReadResults>,
    Path(id): Path<Uuid>,
    part: Part,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Listing<ChangeView>>> {
    let list = List::new(tenant.0.tenant(), "timeline", &id);
    let rows = facts::changes(&mut tenant.0, id, &part.start(&list)?).await?;
    tenant.0.rollback().await?;
    let answer = part.of(&list, rows, |row| ChangeView {
        module: row.module,
        table: row.table_name,
        kind: row.kind,
        key: row.row_key,
        before: row.before,
        after: row.after,
        changed_at: row.changed_at,
    })?;
    Ok(Answer(answer))
}
