//! Content comes into the catalog: what ships with a release, and drafts that people write.

use std::collections::{BTreeSet, HashMap};

use catalog::Entry;
use catalog::lifecycle::{Gate, GateReport, State};
use catalog::module::Module;
use chrono::Utc;
use serde_json::Value;
use sqlx::types::Json;

use super::{Succession, lifecycle, state_of};
use crate::error::{Error, Result};
use crate::tx::{OwnerTx, SharedTx};

/// Who releases what ships.
const SHIPPED_BY: &str = concat!("tenantra ", env!("CARGO_PKG_VERSION"));

/// What bringing the catalog came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upserted {
    /// Versions that were not there.
    pub added: usize,
    /// Drafts that were there with another content.
    pub changed: usize,
    /// Versions that were there with the same content.
    pub unchanged: usize,
    /// Older versions that are deprecated or retired now.
    pub superseded: usize,
}

/// Brings every module version of the catalog by slug and version, with the usual [`Succession`].
pub async fn upsert<'a>(tx: &mut OwnerTx, entries: impl IntoIterator<Item = &'a Entry>) -> Result<Upserted> {
    upsert_under(tx, entries, Succession::default()).await
}

/// Brings every module version of the catalog by slug and version. What is not marked as a draft is released: it passed
/// the gates when this program was built. [`Error::ReleasedChanged`] if a released one is there with another content.
/// Repeating it writes nothing.
pub async fn upsert_under<'a>(
    tx: &mut OwnerTx,
    entries: impl IntoIterator<Item = &'a Entry>,
    succession: Succession,
) -> Result<Upserted> {
    let known = known(tx).await?;
    let mut done = Upserted::default();
    let mut shipped = Vec::new();
    for entry in entries {
        let module = &entry.module;
        let version = module.version.to_string();
        let stored = known.get(&(module.slug.clone(), version.clone()));
        match stored {
            Some((_, checksum)) if *checksum == entry.checksum => done.unchanged += 1,
            Some((state, _)) if !state.is_open() => {
                return Err(Error::ReleasedChanged { slug: module.slug.clone(), version });
            }
            Some(_) => done.changed += 1,
            None => done.added += 1,
        }
        if stored.is_none_or(|(_, checksum)| *checksum != entry.checksum) {
            write(tx, entry).await?;
        }
        if !module.is_draft() && stored.is_none_or(|(state, _)| state.is_open()) {
            shipped.push(entry);
        }
    }
    for entry in &shipped {
        release(tx, entry).await?;
    }
    for slug in with_predecessors(&known, &shipped) {
        done.superseded += lifecycle::supersede(tx, slug, succession, SHIPPED_BY).await?;
    }
    Ok(done)
}

/// Modules of which a version was released now and another one is there.
fn with_predecessors<'a>(known: &Known, shipped: &[&'a Entry]) -> BTreeSet<&'a str> {
    let mut versions: HashMap<&str, usize> = HashMap::new();
    for (slug, _) in known.keys() {
        *versions.entry(slug).or_default() += 1;
    }
    for entry in shipped {
        let is_new = !known.contains_key(&(entry.module.slug.clone(), entry.module.version.to_string()));
        *versions.entry(&entry.module.slug).or_default() += usize::from(is_new);
    }
    let slugs = shipped.iter().map(|entry| entry.module.slug.as_str());
    slugs.filter(|slug| versions.get(slug).is_some_and(|number| *number > 1)).collect()
}

/// Stores a version that is not released yet, new or with other content. [`Error::ReleasedChanged`] if it is released
/// with another content; gives whether anything was written.
pub async fn put_draft(tx: &mut impl SharedTx, entry: &Entry) -> Result<bool> {
    let (slug, version) = (&entry.module.slug, entry.module.version.to_string());
    let stored: Option<(String, String)> =
        sqlx::query_as("SELECT state, checksum FROM shared.module_versions WHERE module = $1 AND version = $2")
            .bind(slug)
            .bind(&version)
            .fetch_optional(tx.session().connection()?)
            .await?;
    if let Some((state, checksum)) = stored {
        if checksum == entry.checksum {
            return Ok(false);
        }
        if !state_of(&state)?.is_open() {
            return Err(Error::ReleasedChanged { slug: slug.clone(), version });
        }
    }
    write(tx, entry).await?;
    Ok(true)
}

/// State and checksum by slug and version.
type Known = HashMap<(String, String), (State, String)>;

async fn known(tx: &mut impl SharedTx) -> Result<Known> {
    let rows: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT module, version, state, checksum FROM shared.module_versions")
            .fetch_all(tx.session().connection()?)
            .await?;
    rows.into_iter()
        .map(|(module, version, state, checksum)| Ok(((module, version), (state_of(&state)?, checksum))))
        .collect()
}

/// The module, this version of it as a draft, its checks and what they map to. The database refuses it for a released one.
async fn write(tx: &mut impl SharedTx, entry: &Entry) -> Result<()> {
    let module = &entry.module;
    let version = module.version.to_string();
    sqlx::query(
        "INSERT INTO shared.modules (slug, title, category, latest_version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (slug) DO UPDATE SET title = excluded.title, category = excluded.category,
             latest_version = excluded.latest_version, updated_at = now()
         WHERE (modules.title, modules.category, modules.latest_version)
             IS DISTINCT FROM (excluded.title, excluded.category, excluded.latest_version)
             AND string_to_array(split_part(split_part(modules.latest_version, '+', 1), '-', 1), '.')::bigint[]
                 <= string_to_array(split_part(split_part(excluded.latest_version, '+', 1), '-', 1), '.')::bigint[]",
    )
    .bind(&module.slug)
    .bind(&module.title)
    .bind(module.category.as_str())
    .bind(&version)
    .execute(tx.session().connection()?)
    .await?;
    let document = serde_json::to_value(module).map_err(|error| Error::Invalid(error.to_string()))?;
    sqlx::query(
        "INSERT INTO shared.module_versions (module, version, state, checksum, profile, document, parameters_schema)
         VALUES ($1, $2, 'draft', $3, $4, $5, $6)
         ON CONFLICT (module, version) DO UPDATE SET checksum = excluded.checksum, document = excluded.document,
             parameters_schema = excluded.parameters_schema, profile = excluded.profile",
    )
    .bind(&module.slug)
    .bind(&version)
    .bind(&entry.checksum)
    .bind(module.profile.as_str())
    .bind(Json(&document))
    .bind(Json(&module.parameters))
    .execute(tx.session().connection()?)
    .await
    .map_err(|error| lifecycle::refused(error, &module.slug, &version))?;
    write_checks(tx, module, &version).await
}

async fn write_checks(tx: &mut impl SharedTx, module: &Module, version: &str) -> Result<()> {
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
    sqlx::query("DELETE FROM shared.checks WHERE module = $1 AND version = $2")
        .bind(&module.slug)
        .bind(version)
        .execute(tx.session().connection()?)
        .await?;
    sqlx::query(
        "WITH c AS (
             INSERT INTO shared.checks (module, version, check_id, title, severity, rationale, remediation, controls)
             SELECT $1, $2, j.check_id, j.title, j.severity, j.rationale, j.remediation, j.controls FROM jsonb_to_recordset($3)
                 AS j(check_id text, title text, severity text, rationale text, remediation text, controls jsonb)
             RETURNING check_id, controls
         )
         INSERT INTO shared.control_mappings (module, version, check_id, framework, control)
         SELECT $1, $2, c.check_id, f.key, i.value FROM c, jsonb_each(c.controls) f, jsonb_array_elements_text(f.value) i
         ON CONFLICT DO NOTHING",
    )
    .bind(&module.slug)
    .bind(version)
    .bind(Json(checks))
    .execute(tx.session().connection()?)
    .await?;
    Ok(())
}

/// From draft to released, with the word of the build that the gates were passed.
async fn release(tx: &mut OwnerTx, entry: &Entry) -> Result<()> {
    let (slug, version) = (&entry.module.slug, entry.module.version.to_string());
    let report = GateReport {
        checksum: entry.checksum.clone(),
        passed: true,
        at: Utc::now(),
        by: SHIPPED_BY.to_owned(),
        gates: vec![Gate {
            name: "build".to_owned(),
            passed: true,
            detail: "ships with this release, whose tests run every gate on every module".to_owned(),
        }],
    };
    lifecycle::record_gates(tx, slug, &version, &report).await?;
    for state in [State::Qa, State::Released] {
        lifecycle::step(tx, slug, &version, state, None, SHIPPED_BY).await?;
    }
    Ok(())
}
