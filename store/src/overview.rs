//! The overview page in two statements, from kept scores only: it costs the same however many findings there are.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::error::Result;
use crate::findings::{self, Finding};
use crate::scores::ScoreDay;
use crate::tx::{Mode, TenantTx};

/// Days of the overview's trend.
const TREND_DAYS: i32 = 30;
/// Findings that the overview names.
const WORST: u32 = 5;

/// A tenant at a glance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// Sums over all assets.
    pub totals: Totals,
    /// 0–100; none if nothing was assessed.
    pub score: Option<u8>,
    /// The last 30 days, oldest first; days before the first result are missing.
    pub trend: Vec<ScoreDay>,
    /// The five worst open findings.
    pub worst: Vec<Finding>,
}

/// Sums over all assets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Totals {
    /// Weights of what passed.
    pub passed_weight: i64,
    /// Weights of what was assessed.
    pub assessed_weight: i64,
    /// Checks by verdict.
    pub passed: i64,
    /// Checks that fail, and nothing waives it.
    pub failed: i64,
    /// Checks that fail under a waiver.
    pub waived: i64,
    /// Checks without a subject.
    pub not_applicable: i64,
    /// Checks that could not be decided.
    pub error: i64,
    /// Open findings.
    pub open_critical: i64,
    /// Open findings.
    pub open_high: i64,
    /// Open findings.
    pub open_medium: i64,
    /// Open findings.
    pub open_low: i64,
    /// Assets known.
    pub assets: i64,
    /// Agents that are not revoked.
    pub agents: i64,
    /// Of these, heard of in the last [`crate::agents::SILENT_AFTER`].
    pub agents_online: i64,
    /// Jobs that wait for an agent.
    pub jobs_queued: i64,
    /// Jobs that an agent has taken.
    pub jobs_running: i64,
    /// When the last result came in.
    pub last_result_at: Option<DateTime<Utc>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    #[sqlx(flatten)]
    totals: Totals,
    trend_days: Vec<NaiveDate>,
    trend_scores: Vec<Option<i16>>,
}

/// Reads the overview.
pub async fn read<M: Mode>(tx: &mut TenantTx<M>) -> Result<Overview> {
    let tenant_id = tx.tenant().id;
    // A day of the trend on which nothing changed has the score of the day before.
    let Row { totals, trend_days, trend_scores } = sqlx::query_as(
        "SELECT s.*, g.*, t.*, (SELECT count(*) FROM assets) AS assets,
             (SELECT count(*) FROM shared.jobs WHERE state = 'queued' AND tenant_role = current_user) AS jobs_queued,
             (SELECT count(*) FROM shared.jobs WHERE state = 'leased' AND tenant_role = current_user) AS jobs_running,
             (SELECT max(received_at) FROM runs) AS last_result_at
         FROM (SELECT COALESCE(sum(passed_weight), 0)::bigint AS passed_weight,
                 COALESCE(sum(assessed_weight), 0)::bigint AS assessed_weight,
                 COALESCE(sum(passed), 0)::bigint AS passed, COALESCE(sum(failed), 0)::bigint AS failed,
                 COALESCE(sum(waived), 0)::bigint AS waived,
                 COALESCE(sum(not_applicable), 0)::bigint AS not_applicable, COALESCE(sum(error), 0)::bigint AS error,
                 COALESCE(sum(open_critical), 0)::bigint AS open_critical, COALESCE(sum(open_high), 0)::bigint AS open_high,
                 COALESCE(sum(open_medium), 0)::bigint AS open_medium, COALESCE(sum(open_low), 0)::bigint AS open_low
             FROM asset_scores) s
         CROSS JOIN (SELECT count(*) AS agents,
                 count(*) FILTER (WHERE last_seen_at > now() - make_interval(secs => $1)) AS agents_online
             FROM agents WHERE state = 'active') g
         CROSS JOIN (SELECT COALESCE(array_agg(d::date ORDER BY d), '{}') AS trend_days,
                 COALESCE(array_agg(k.score ORDER BY d), '{}') AS trend_scores
             FROM (SELECT (now() AT TIME ZONE 'UTC')::date AS day) today,
                 generate_series(today.day - ($3::integer - 1), today.day, interval '1 day') d
             CROSS JOIN LATERAL (SELECT score FROM score_days WHERE scope = 'tenant' AND scope_id = $2 AND day <= d::date
                 ORDER BY day DESC LIMIT 1) k) t",
    )
    .bind(crate::agents::SILENT_AFTER.as_secs_f64())
    .bind(tenant_id)
    .bind(TREND_DAYS)
    .fetch_one(tx.connection()?)
    .await?;
    let trend = trend_days.into_iter().zip(trend_scores).map(|(day, score)| ScoreDay { day, score }).collect();
    let worst = findings::worst(tx, WORST).await?;
    Ok(Overview {
        score: analysis::score::of_weights(totals.passed_weight, totals.assessed_weight),
        totals,
        trend,
        worst,
    })
}
