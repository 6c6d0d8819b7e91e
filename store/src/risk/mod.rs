//! Risk as it is kept: an asset's load beside its score, changed by the ingest that changes a finding, and with it the
//! explanation of what made it.
//!
//! What is kept of findings knows no weights: how many are open of each severity, and how much exposure adds to them. Points
//! and load follow from these in one row, so that new weights or a new criticality read no finding. [`settle`] brings rows
//! to weights that changed since; it also heals the one that an ingest judged while somebody set its criticality.

mod explain;

pub use explain::{AssetRisk, FindingPart, Member, TenantRisk, of_asset, of_tenant};

use analysis::risk::{Criticality, weight};
use analysis::score::{Severity, Weights};
use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::scores::Subject;
use crate::tx::{Mode, TenantTx, Write};

/// SQL: load and risk of the row `s` of `asset_scores`, from its counts and extras as given, for the weights of
/// [`weights_of`]. The same numbers as `analysis::risk`; a test compares the two.
macro_rules! judged {
    (
        weights $w_critical:literal, $w_high:literal, $w_medium:literal, $w_low:literal;
        counts $critical:literal, $high:literal, $medium:literal, $low:literal;
        extras $x_critical:literal, $x_high:literal, $x_medium:literal, $x_low:literal
    ) => {
        concat!(
            "SELECT l.load, ((l.load * 201 + 1000000) / (l.load * 2 + 2000000))::smallint AS risk FROM assets a
             CROSS JOIN LATERAL (SELECT CASE WHEN a.internet_facing THEN 200 ELSE 100 END AS base,
                 CASE a.criticality WHEN 'low' THEN 50 WHEN 'high' THEN 150 WHEN 'critical' THEN 200 ELSE 100 END AS percent) b
             CROSS JOIN LATERAL (SELECT (",
            $w_critical,
            " * ((",
            $critical,
            ") * b.base + ",
            $x_critical,
            ") + ",
            $w_high,
            " * ((",
            $high,
            ") * b.base + ",
            $x_high,
            ") + ",
            $w_medium,
            " * ((",
            $medium,
            ") * b.base + ",
            $x_medium,
            ") + ",
            $w_low,
            " * ((",
            $low,
            ") * b.base + ",
            $x_low,
            ")) * 100 AS points) p
             CROSS JOIN LATERAL (SELECT CASE WHEN ",
            $w_critical,
            " > 0 THEN LEAST(199000000, div(p.points::numeric * b.percent, ",
            $w_critical,
            " * 5))::bigint ELSE 0 END AS load) l
             WHERE a.asset_id = s.asset_id"
        )
    };
}
pub(crate) use judged;

/// The weights that risk counts with: critical, high, medium, low; none is less than a lesser severity's.
pub(crate) fn weights_of(weights: Weights) -> [i64; 4] {
    [Severity::Critical, Severity::High, Severity::Medium, Severity::Low].map(|severity| weight(&weights, severity))
}

/// The name of a criticality as it is stored.
pub const fn name_of(criticality: Criticality) -> &'static str {
    match criticality {
        Criticality::Low => "low",
        Criticality::Normal => "normal",
        Criticality::High => "high",
        Criticality::Critical => "critical",
    }
}

fn criticality_of(text: &str) -> Result<Criticality> {
    [Criticality::Low, Criticality::Normal, Criticality::High, Criticality::Critical]
        .into_iter()
        .find(|criticality| name_of(*criticality) == text)
        .ok_or_else(|| Error::Invalid(format!("'{text}' is no criticality")))
}

/// What its owner says of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rating {
    /// How much it matters.
    pub criticality: Criticality,
    /// Whether the internet reaches it.
    pub internet_facing: bool,
}

/// What is to change of a rating; what is not set stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NewRating {
    /// How much it matters.
    pub criticality: Option<Criticality>,
    /// Whether the internet reaches it.
    pub internet_facing: Option<bool>,
}

/// Rates an asset and judges its risk anew: two statements, one if nothing changed. The asset's row is locked no harder than
/// by an update: who stores rows of it while it holds its score is not kept waiting. Gives the rating before and after;
/// [`Error::NotFound`] if there is no such asset.
pub async fn rate(
    tx: &mut TenantTx<Write>,
    asset_id: Uuid,
    new: NewRating,
    weights: &Weights,
) -> Result<(Rating, Rating)> {
    let row: Option<(String, bool, String, bool)> = sqlx::query_as(
        "UPDATE assets a SET criticality = COALESCE($2, o.criticality), internet_facing = COALESCE($3, o.internet_facing),
             updated_at = now()
         FROM (SELECT asset_id, criticality, internet_facing FROM assets WHERE asset_id = $1 FOR NO KEY UPDATE) o
         WHERE a.asset_id = o.asset_id RETURNING o.criticality, o.internet_facing, a.criticality, a.internet_facing",
    )
    .bind(asset_id)
    .bind(new.criticality.map(name_of))
    .bind(new.internet_facing)
    .fetch_optional(tx.connection()?)
    .await?;
    let (from, was_facing, to, is_facing) = row.ok_or(Error::NotFound("asset"))?;
    let before = Rating { criticality: criticality_of(&from)?, internet_facing: was_facing };
    let after = Rating { criticality: criticality_of(&to)?, internet_facing: is_facing };
    if before != after {
        judge(tx, Some(asset_id), weights).await?;
    }
    Ok((before, after))
}

/// Judges again every asset whose kept risk is not what its findings, its rating and these weights give: one statement, which
/// writes nothing where nothing differs, once nobody follows standings of the tenant. Gives how many differed.
pub async fn settle(tx: &mut TenantTx<Write>, weights: &Weights) -> Result<u64> {
    // Scores of many assets are changed by one at a time: two that lock them in different orders would wait for each other.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('standings ' || current_schema(), 0))")
        .execute(tx.connection()?)
        .await?;
    judge(tx, None, weights).await
}

async fn judge(tx: &mut TenantTx<Write>, asset_id: Option<Uuid>, weights: &Weights) -> Result<u64> {
    let [critical, high, medium, low] = weights_of(*weights);
    // The subqueries, unlike a join, are asked again for a row that another transaction changed meanwhile.
    let judged = sqlx::query(concat!(
        "WITH settled AS (
             UPDATE asset_scores s SET updated_at = now(), (load, risk) = (",
        judged!(
            weights "$2", "$3", "$4", "$5";
            counts "s.open_critical", "s.open_high", "s.open_medium", "s.open_low";
            extras "s.extra_critical", "s.extra_high", "s.extra_medium", "s.extra_low"
        ),
        ") WHERE ($1::uuid IS NULL OR s.asset_id = $1) AND (s.load, s.risk) <> (",
        judged!(
            weights "$2", "$3", "$4", "$5";
            counts "s.open_critical", "s.open_high", "s.open_medium", "s.open_low";
            extras "s.extra_critical", "s.extra_high", "s.extra_medium", "s.extra_low"
        ),
        ") RETURNING asset_id, score, passed_weight, assessed_weight, risk
         )
         INSERT INTO score_days AS d (scope, scope_id, day, score, passed_weight, assessed_weight, risk)
         SELECT 'asset', asset_id, (now() AT TIME ZONE 'UTC')::date, score, passed_weight, assessed_weight, risk FROM settled
         ON CONFLICT (scope, scope_id, day) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, risk = excluded.risk",
    ))
    .bind(asset_id)
    .bind(critical)
    .bind(high)
    .bind(medium)
    .bind(low)
    .execute(tx.connection()?)
    .await?;
    Ok(judged.rows_affected())
}

/// A day of a risk's trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct RiskDay {
    /// In UTC.
    pub day: NaiveDate,
    /// The last risk of that day, 0–100.
    pub risk: i16,
}

/// The trend of the last `days` days, oldest first. A day on which nothing changed has the risk of the day before; days before
/// the first are missing. [`Error::NotFound`] if there is no such asset.
pub async fn trend<M: Mode>(tx: &mut TenantTx<M>, subject: Subject, days: u16) -> Result<Vec<RiskDay>> {
    let (scope, scope_id, asset_id) = match subject {
        Subject::Tenant => ("tenant", tx.tenant().id, None),
        Subject::Asset(asset_id) => ("asset", asset_id, Some(asset_id)),
    };
    let rows: Vec<RiskDay> = sqlx::query_as(
        "WITH today AS (SELECT (now() AT TIME ZONE 'UTC')::date AS day)
         SELECT d::date AS day, s.risk FROM today, generate_series(today.day - ($3::integer - 1), today.day, interval '1 day') d
         CROSS JOIN LATERAL (SELECT risk FROM score_days WHERE scope = $1 AND scope_id = $2 AND day <= d::date
             AND risk IS NOT NULL ORDER BY day DESC LIMIT 1) s
         ORDER BY d",
    )
    .bind(scope)
    .bind(scope_id)
    .bind(i32::from(days.max(1)))
    .fetch_all(tx.connection()?)
    .await?;
    if let Some(asset_id) = asset_id.filter(|_| rows.is_empty()) {
        let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM assets WHERE asset_id = $1)")
            .bind(asset_id)
            .fetch_one(tx.connection()?)
            .await?;
        if !exists {
            return Err(Error::NotFound("asset"));
        }
    }
    Ok(rows)
}

/// A kept row whose extras, load or risk differ from what the open findings give.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Difference {
    /// The asset.
    pub asset_id: Uuid,
    /// Extras, load and risk as they are kept.
    pub kept: Vec<i64>,
    /// As a recompute gives them.
    pub recomputed: Vec<i64>,
}

/// Every asset whose kept risk differs from a full recompute over its findings. Empty where no weights have changed since
/// [`settle`].
pub async fn differences<M: Mode>(tx: &mut TenantTx<M>, weights: &Weights) -> Result<Vec<Difference>> {
    let [critical, high, medium, low] = weights_of(*weights);
    Ok(sqlx::query_as(concat!(
        "SELECT * FROM (
             SELECT k.asset_id, ARRAY[k.extra_critical, k.extra_high, k.extra_medium, k.extra_low, k.load, k.risk]::bigint[] AS kept,
                 ARRAY[s.extra_critical, s.extra_high, s.extra_medium, s.extra_low, j.load, j.risk]::bigint[] AS recomputed
             FROM asset_scores k CROSS JOIN LATERAL (
                 SELECT k.asset_id,
                     count(*) FILTER (WHERE f.severity = 'critical') AS open_critical,
                     count(*) FILTER (WHERE f.severity = 'high') AS open_high,
                     count(*) FILTER (WHERE f.severity = 'medium') AS open_medium,
                     count(*) FILTER (WHERE f.severity = 'low') AS open_low,
                     COALESCE(sum(f.extra) FILTER (WHERE f.severity = 'critical'), 0)::bigint AS extra_critical,
                     COALESCE(sum(f.extra) FILTER (WHERE f.severity = 'high'), 0)::bigint AS extra_high,
                     COALESCE(sum(f.extra) FILTER (WHERE f.severity = 'medium'), 0)::bigint AS extra_medium,
                     COALESCE(sum(f.extra) FILTER (WHERE f.severity = 'low'), 0)::bigint AS extra_low
                 FROM (SELECT severity, 50 * (exposure & 1) + 25 * (exposure & 2) AS extra FROM findings
                     WHERE findings.asset_id = k.asset_id AND status = 'open') f
             ) s CROSS JOIN LATERAL (",
        judged!(
            weights "$1", "$2", "$3", "$4";
            counts "s.open_critical", "s.open_high", "s.open_medium", "s.open_low";
            extras "s.extra_critical", "s.extra_high", "s.extra_medium", "s.extra_low"
        ),
        ") j
         ) d WHERE kept <> recomputed",
    ))
    .bind(critical)
    .bind(high)
    .bind(medium)
    .bind(low)
    .fetch_all(tx.connection()?)
    .await?)
}
