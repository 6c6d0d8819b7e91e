//! The catalog in Postgres: `tenantra db migrate` brings it, everything reads it here. A released version is immutable;
//! the database refuses another content under the same number.

use catalog::Entry;
use serde_json::Value;
use sqlx::types::Json;

use crate::error::{Error, Result};
use crate::tx::{OwnerTx, SharedTx};

/// What bringing the catalog came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upserted {
    /// Versions that were not there.
    pub added: usize,
    /// Versions that were there with the same content.
    pub unchanged: usize,
}

/// A module as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, sqlx::FromRow)]
pub struct ModuleRow {
    /// Unique.
    pub slug: String,
    /// What people read.
    pub title: String,
    /// What it belongs to.
    pub category: String,
    /// The newest version.
    pub latest_version: String,
    /// The newest version's state.
    pub state: String,
    /// The newest version's profile.
    pub profile: String,
    /// Its checks.
    pub checks: i64,
}

/// Brings every module version of the catalog, as released. [`Error::ReleasedChanged`] if one is there with another
/// content. Repeating it writes nothing.
pub async fn upsert<'a>(tx: &mut OwnerTx, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Upserted> {
    let mut done = Upserted::default();
    for entry in entries {
        if upsert_one(tx, entry).await? {
            done.added += 1;
        } else {
            done.unchanged += 1;
        }
    }
    Ok(done)
}

async fn upsert_one(tx: &mut OwnerTx, entry: &Entry) -> Result<bool> {
    let module = &entry.module;
    let version = module.version.to_string();
    sqlx::query(
        "INSERT INTO shared.modules (slug, title, category, latest_version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (slug) DO UPDATE SET title = excluded.title, category = excluded.category,
             latest_version = excluded.latest_version, updated_at = now()
         WHERE (modules.title, modules.category, modules.latest_version)
             IS DISTINCT FROM (excluded.title, excluded.category, excluded.latest_version)
             AND string_to_array(split_part(modules.latest_version, '-', 1), '.')::integer[]
                 <= string_to_array(split_part(excluded.latest_version, '-', 1), '.')::integer[]",
    )
    .bind(&module.slug)
    .bind(&module.title)
    .bind(module.category.as_str())
    .bind(&version)
    .execute(tx.connection()?)
    .await?;
    let document = serde_json::to_value(module).map_err(|error| Error::Invalid(error.to_string()))?;
    let added = sqlx::query(
        "INSERT INTO shared.module_versions AS v (module, version, state, checksum, profile, document, parameters_schema)
         VALUES ($1, $2, 'released', $3, $4, $5, $6)
         ON CONFLICT (module, version) DO UPDATE SET checksum = excluded.checksum, document = excluded.document,
             parameters_schema = excluded.parameters_schema, profile = excluded.profile
         WHERE v.checksum <> excluded.checksum",
    )
    .bind(&module.slug)
    .bind(&version)
    .bind(&entry.checksum)
    .bind(module.profile.as_str())
    .bind(Json(&document))
    .bind(Json(&module.parameters))
    .execute(tx.connection()?)
    .await
    .map_err(|error| match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
        Some("TN001") => Error::ReleasedChanged { slug: module.slug.clone(), version: version.clone() },
        _ => error.into(),
    })?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    let checks: Vec<Value> = module
        .checks
        .iter()
        .map(|check| {
            serde_json::json!({
                "check_id": check.id, "title": check.title, "severity": check.severity.as_str(),
                "rationale": check.rationale, "remediation": check.remediation.text, "controls": check.controls,
            })
        })
        .collect();
    sqlx::query(
        "WITH c AS (
             INSERT INTO shared.checks (module, version, check_id, title, severity, rationale, remediation, controls)
             SELECT $1, $2, j.check_id, j.title, j.severity, j.rationale, j.remediation, j.controls FROM jsonb_to_recordset($3)
                 AS j(check_id text, title text, severity text, rationale text, remediation text, controls jsonb)
             ON CONFLICT (module, version, check_id) DO UPDATE SET title = excluded.title, severity = excluded.severity,
                 rationale = excluded.rationale, remediation = excluded.remediation, controls = excluded.controls
             RETURNING check_id, controls
         )
         INSERT INTO shared.control_mappings (module, version, check_id, framework, control)
         SELECT $1, $2, c.check_id, f.key, i.value FROM c, jsonb_each(c.controls) f, jsonb_array_elements_text(f.value) i
         ON CONFLICT DO NOTHING",
    )
    .bind(&module.slug)
    .bind(&version)
    .bind(Json(checks))
    .execute(tx.connection()?)
    .await?;
    Ok(true)
}

/// Every module, by slug.
pub async fn list(tx: &mut impl SharedTx) -> Result<Vec<ModuleRow>> {
    Ok(sqlx::query_as(
        "SELECT m.slug, m.title, m.category, m.latest_version, v.state, v.profile,
             (SELECT count(*) FROM shared.checks c WHERE c.module = m.slug AND c.version = m.latest_version) AS checks
         FROM shared.modules m JOIN shared.module_versions v ON v.module = m.slug AND v.version = m.latest_version ORDER BY m.slug",
    )
    .fetch_all(tx.session().connection()?)
    .await?)
}
