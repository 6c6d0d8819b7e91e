//! Frameworks and their controls in Postgres: identifiers and short names.

use std::collections::{BTreeMap, BTreeSet};

use catalog::framework::Framework;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};
use crate::tx::{OwnerTx, SharedTx};

/// Brings a framework; gives whether anything was written. Repeating it writes nothing.
pub async fn upsert(tx: &mut OwnerTx, framework: &Framework) -> Result<bool> {
    let checksum = checksum(framework)?;
    let done = sqlx::query(
        "INSERT INTO shared.frameworks AS f (framework, title, version, publisher, checksum) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (framework) DO UPDATE SET title = excluded.title, version = excluded.version,
             publisher = excluded.publisher, checksum = excluded.checksum, updated_at = now()
         WHERE f.checksum <> excluded.checksum",
    )
    .bind(&framework.slug)
    .bind(&framework.title)
    .bind(&framework.version)
    .bind(&framework.publisher)
    .bind(checksum)
    .execute(tx.connection()?)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    let controls: Vec<&str> = framework.controls.iter().map(|control| control.id.as_str()).collect();
    let titles: Vec<&str> = framework.controls.iter().map(|control| control.title.as_str()).collect();
    sqlx::query("DELETE FROM shared.controls WHERE framework = $1 AND NOT control = ANY($2)")
        .bind(&framework.slug)
        .bind(&controls)
        .execute(tx.connection()?)
        .await?;
    sqlx::query(
        "INSERT INTO shared.controls (framework, control, title, position)
         SELECT $1, c, t, n FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u(c, t, n)
         ON CONFLICT (framework, control) DO UPDATE SET title = excluded.title, position = excluded.position",
    )
    .bind(&framework.slug)
    .bind(&controls)
    .bind(&titles)
    .execute(tx.connection()?)
    .await?;
    Ok(true)
}

/// What a framework is known by in the database: SHA-256 of all it says.
pub fn checksum(framework: &Framework) -> Result<String> {
    let text = serde_json::to_vec(framework).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok(hex::encode(Sha256::digest(&text)))
}

/// The checksum of each framework that the database has.
pub async fn checksums(tx: &mut impl SharedTx) -> Result<BTreeMap<String, String>> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT framework, checksum FROM shared.frameworks")
        .fetch_all(tx.session().connection()?)
        .await?;
    Ok(rows.into_iter().collect())
}

/// Identifiers of the controls of each framework: what checks may map to.
pub async fn controls(tx: &mut impl SharedTx) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let rows: Vec<(String, Vec<String>)> =
        sqlx::query_as("SELECT framework, array_agg(control) FROM shared.controls GROUP BY framework")
            .fetch_all(tx.session().connection()?)
            .await?;
    Ok(rows.into_iter().map(|(framework, controls)| (framework, controls.into_iter().collect())).collect())
}
