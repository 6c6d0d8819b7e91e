//! Scores of the tenant and of each asset: days of a trend, and the recompute that the kept sums are held against. The trend is
//! read with [`crate::overview`], scores of frameworks are in [`crate::compliance`].

use chrono::NaiveDate;
use serde::Serialize;
use uuid::Uuid;

use crate::error::Result;
use crate::tx::{Mode, TenantTx};

/// A day of a trend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct ScoreDay {
    /// In UTC.
    pub day: NaiveDate,
    /// The last score of that day; none if nothing was assessed.
    pub score: Option<i16>,
}

/// What a trend or score is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The whole tenant.
    Tenant,
    /// One asset.
    Asset(Uuid),
}

/// A kept row of `asset_scores` that differs from what its verdicts and findings give.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Difference {
    /// The asset.
    pub asset_id: Uuid,
    /// What is kept.
    pub kept: Option<String>,
    /// What a recompute gives.
    pub recomputed: String,
}

const RECOMPUTED: &str = "SELECT a.asset_id,
    COALESCE(c.passed_weight, 0) AS passed_weight, COALESCE(c.assessed_weight, 0) AS assessed_weight,
    COALESCE(c.passed, 0) AS passed, COALESCE(c.failed, 0) AS failed, COALESCE(c.not_applicable, 0) AS not_applicable,
    COALESCE(c.error, 0) AS error, COALESCE(c.waived, 0) AS waived, COALESCE(c.waived_weight, 0) AS waived_weight,
    COALESCE(f.critical, 0) AS open_critical, COALESCE(f.high, 0) AS open_high,
    COALESCE(f.medium, 0) AS open_medium, COALESCE(f.low, 0) AS open_low
    FROM assets a
    LEFT JOIN (SELECT asset_id, COALESCE(sum(weight) FILTER (WHERE verdict = 'pass'), 0) AS passed_weight,
            COALESCE(sum(weight) FILTER (WHERE verdict IN ('pass', 'fail') AND NOT is_waived), 0) AS assessed_weight,
            COALESCE(sum(weight) FILTER (WHERE is_waived), 0) AS waived_weight, count(*) FILTER (WHERE is_waived) AS waived,
            count(*) FILTER (WHERE verdict = 'pass') AS passed, count(*) FILTER (WHERE verdict = 'fail' AND NOT is_waived) AS failed,
            count(*) FILTER (WHERE verdict = 'not_applicable') AS not_applicable, count(*) FILTER (WHERE verdict = 'error') AS error
        FROM check_states GROUP BY asset_id) c USING (asset_id)
    LEFT JOIN (SELECT asset_id, count(*) FILTER (WHERE severity = 'critical') AS critical,
            count(*) FILTER (WHERE severity = 'high') AS high, count(*) FILTER (WHERE severity = 'medium') AS medium,
            count(*) FILTER (WHERE severity = 'low') AS low
        FROM findings WHERE status = 'open' GROUP BY asset_id) f USING (asset_id)";

macro_rules! row_text {
    ($alias:literal) => {
        concat!(
            "concat_ws(',', ",
            $alias,
            ".passed_weight, ",
            $alias,
            ".assessed_weight, ",
            $alias,
            ".passed, ",
            $alias,
            ".failed, ",
            $alias,
            ".not_applicable, ",
            $alias,
            ".error, ",
            $alias,
            ".waived, ",
            $alias,
            ".waived_weight, ",
            $alias,
            ".open_critical, ",
            $alias,
            ".open_high, ",
            $alias,
            ".open_medium, ",
            $alias,
            ".open_low)"
        )
    };
}

/// Every asset whose kept score differs from a full recompute. Always empty; a test and `tenantra db verify` ask.
pub async fn differences<M: Mode>(tx: &mut TenantTx<M>) -> Result<Vec<Difference>> {
    let statement = format!(
        "SELECT asset_id, {kept} AS kept, {now} AS recomputed FROM ({RECOMPUTED}) r FULL JOIN asset_scores s USING (asset_id)
         WHERE COALESCE({kept}, '0,0,0,0,0,0,0,0,0,0,0,0') <> {now}",
        kept = concat!("CASE WHEN s.updated_at IS NOT NULL THEN ", row_text!("s"), " END"),
        now = row_text!("r"),
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(statement)).fetch_all(tx.connection()?).await?)
}
