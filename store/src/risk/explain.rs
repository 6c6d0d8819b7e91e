//! Why a risk is what it is. Sums and list come from one statement, so of one moment: the shares always sum to the risk.

use std::collections::HashMap;

use analysis::risk::{self, AssetSums, Explanation, ExplanationError, Finding, FleetSums, Fraction, Load, Rest};
use analysis::score::{Severity, Weights};
use uuid::Uuid;

use super::{Rating, criticality_of, weights_of};
use crate::error::{Error, Result};
use crate::ingest::exposure;
use crate::tx::{Mode, TenantTx};

/// An asset's risk and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRisk {
    /// What its owner says of it.
    pub rating: Rating,
    /// 0–100; none if nothing ever looked at it.
    pub risk: Option<u8>,
    /// The weightiest findings, most first.
    pub parts: Vec<FindingPart>,
    /// All others together.
    pub rest: Option<Rest>,
}

/// A finding that made a risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingPart {
    /// Its id.
    pub finding_id: Uuid,
    /// Slug of the module.
    pub module: String,
    /// The check.
    pub check_id: String,
    /// The check's title.
    pub title: String,
    /// What it is about.
    pub resource: String,
    /// The factors of its points, in words.
    pub why: String,
    /// How much it gives, exactly.
    pub amount: Fraction,
    /// Its share of the risk, in whole points.
    pub share: u8,
}

/// A tenant's risk and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRisk {
    /// 0–100; none if nothing ever looked at any asset.
    pub risk: Option<u8>,
    /// Assets that something looked at.
    pub assets: i64,
    /// The assets that give most, most first.
    pub parts: Vec<Member>,
    /// All others together.
    pub rest: Option<Rest>,
}

/// An asset that made a tenant's risk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub asset_id: Uuid,
    /// Its name.
    pub name: String,
    /// What its owner says of it.
    pub rating: Rating,
    /// Its own risk, 0–100.
    pub risk: u8,
    /// How much it gives, exactly.
    pub amount: Fraction,
    /// Its share of the tenant's risk, in whole points.
    pub share: u8,
}

#[derive(sqlx::FromRow)]
struct AssetRow {
    criticality: String,
    internet_facing: bool,
    is_assessed: bool,
    counts: Vec<i64>,
    extras: Vec<i64>,
    finding_id: Option<Uuid>,
    module: Option<String>,
    check_id: Option<String>,
    title: Option<String>,
    resource: Option<String>,
    severity: Option<String>,
    exposure: Option<i16>,
}

/// Why an asset has its risk, with its `most` weightiest findings: one statement. None if there is no such asset.
pub async fn of_asset<M: Mode>(
    tx: &mut TenantTx<M>,
    asset_id: Uuid,
    weights: &Weights,
    most: u32,
) -> Result<Option<AssetRisk>> {
    let [critical, high, medium, low] = weights_of(*weights);
    let rows: Vec<AssetRow> = sqlx::query_as(
        "SELECT a.criticality, a.internet_facing, s.asset_id IS NOT NULL AS is_assessed,
             ARRAY[COALESCE(s.open_critical, 0), COALESCE(s.open_high, 0), COALESCE(s.open_medium, 0), COALESCE(s.open_low, 0)]::bigint[]
                 AS counts,
             ARRAY[COALESCE(s.extra_critical, 0), COALESCE(s.extra_high, 0), COALESCE(s.extra_medium, 0), COALESCE(s.extra_low, 0)]
                 AS extras,
             f.finding_id, f.module, f.check_id, COALESCE(c.title, f.check_id) AS title, f.resource, f.severity, f.exposure
         FROM assets a LEFT JOIN asset_scores s ON s.asset_id = a.asset_id
         LEFT JOIN LATERAL (
             SELECT * FROM findings WHERE findings.asset_id = a.asset_id AND status = 'open'
             ORDER BY CASE severity_rank WHEN 4 THEN $2::bigint WHEN 3 THEN $3 WHEN 2 THEN $4 ELSE $5 END
                 * (CASE WHEN a.internet_facing THEN 200 ELSE 100 END + 50 * (exposure & 1) + 25 * (exposure & 2)) DESC, finding_id
             LIMIT $6
         ) f ON true
         LEFT JOIN shared.checks c ON c.module = f.module AND c.version = f.module_version AND c.check_id = f.check_id
         WHERE a.asset_id = $1",
    )
    .bind(asset_id)
    .bind(critical)
    .bind(high)
    .bind(medium)
    .bind(low)
    .bind(i64::from(most))
    .fetch_all(tx.connection()?)
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let rating = Rating { criticality: criticality_of(&first.criticality)?, internet_facing: first.internet_facing };
    let (is_assessed, kept) = (first.is_assessed, kept_of(first, *weights));
    let mut known = HashMap::new();
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some((id, finding)) = finding_of(&row)? {
            listed.push((id, finding));
            known.insert(id, row);
        }
    }
    let Explanation { risk, parts, rest } =
        risk::asset(&kept, rating.criticality, weights, listed).map_err(more_than_kept)?;
    let parts = parts.into_iter().filter_map(|part| {
        let row = known.remove(&part.key)?;
        Some(FindingPart {
            finding_id: part.key,
            module: row.module?,
            check_id: row.check_id?,
            title: row.title?,
            resource: row.resource?,
            why: part.why.to_string(),
            amount: part.amount,
            share: part.share,
        })
    });
    Ok(Some(AssetRisk { rating, risk: is_assessed.then_some(risk), parts: parts.collect(), rest }))
}

fn kept_of(row: &AssetRow, weights: Weights) -> AssetSums {
    let base = if row.internet_facing { 200 } else { 100 };
    let points = weights_of(weights).into_iter().zip(&row.counts).zip(&row.extras);
    AssetSums {
        points: points.map(|((weight, count), extra)| weight * (count * base + extra) * 100).sum(),
        findings: row.counts.iter().sum(),
    }
}

fn finding_of(row: &AssetRow) -> Result<Option<(Uuid, Finding)>> {
    let (Some(id), Some(severity), Some(code)) = (row.finding_id, row.severity.as_deref(), row.exposure) else {
        return Ok(None);
    };
    let severity = match severity {
        "low" => Severity::Low,
        "medium" => Severity::Medium,
        "high" => Severity::High,
        "critical" => Severity::Critical,
        other => return Err(Error::Invalid(format!("'{other}' is no severity"))),
    };
    let mut finding = Finding::plain(severity);
    finding.exposure = exposure::decode(code);
    finding.exposure.internet_facing = row.internet_facing;
    Ok(Some((id, finding)))
}

/// What the database keeps contradicts itself: nothing that a caller could mend.
fn more_than_kept(error: ExplanationError) -> Error {
    Error::Database(sqlx::Error::Protocol(error.to_string()))
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    total_load: i64,
    total_assets: i64,
    asset_id: Option<Uuid>,
    name: Option<String>,
    criticality: Option<String>,
    internet_facing: Option<bool>,
    load: Option<i64>,
}

/// Why the tenant has its risk, with the `most` assets that give most: one statement.
pub async fn of_tenant<M: Mode>(tx: &mut TenantTx<M>, most: u32) -> Result<TenantRisk> {
    let rows: Vec<MemberRow> = sqlx::query_as(
        "SELECT t.total_load, t.total_assets, m.asset_id, m.name, m.criticality, m.internet_facing, m.load
         FROM (SELECT COALESCE(sum(load), 0)::bigint AS total_load, count(*) AS total_assets FROM asset_scores) t
         LEFT JOIN LATERAL (
             SELECT s.asset_id, a.name, a.criticality, a.internet_facing, s.load FROM asset_scores s JOIN assets a USING (asset_id)
             ORDER BY s.load DESC, s.asset_id LIMIT $1
         ) m ON true",
    )
    .bind(i64::from(most))
    .fetch_all(tx.connection()?)
    .await?;
    let kept = rows
        .first()
        .map_or_else(FleetSums::default, |row| FleetSums { load: row.total_load, assets: row.total_assets });
    let mut known = HashMap::new();
    let mut listed = Vec::with_capacity(rows.len());
    for row in rows {
        if let (Some(asset_id), Some(name), Some(criticality), Some(internet_facing), Some(load)) =
            (row.asset_id, row.name, row.criticality.as_deref(), row.internet_facing, row.load)
        {
            let load = Load::from(load);
            listed.push((asset_id, FleetSums::from(load)));
            known.insert(asset_id, (name, Rating { criticality: criticality_of(criticality)?, internet_facing }, load));
        }
    }
    let Explanation { risk: _, parts, rest } = risk::fleet(&kept, listed).map_err(more_than_kept)?;
    let parts = parts.into_iter().filter_map(|part| {
        let (name, rating, load) = known.remove(&part.key)?;
        Some(Member { asset_id: part.key, name, rating, risk: load.risk(), amount: part.amount, share: part.share })
    });
    Ok(TenantRisk { risk: kept.risk(), assets: kept.assets, parts: parts.collect(), rest })
}
