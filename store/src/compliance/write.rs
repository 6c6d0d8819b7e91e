//! The rows of `standings`, written many at a time.

use std::collections::BTreeMap;

use analysis::compliance::Standing;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::sums::{self, OnAsset, Overall};
use crate::error::Result;
use crate::rollups::{MEASURED, Rollup, SUMS};

/// A row of `standings`: of an asset or of none, with its sums and its controls.
type Row = (Option<Uuid>, String, Standing, Json<serde_json::Value>);

/// Writes the rows of assets that changed, and those over all.
pub(super) async fn write(
    connection: &mut PgConnection,
    changed: &[(&(Uuid, String), &OnAsset)],
    overall: &BTreeMap<String, Overall>,
) -> Result<()> {
    let mut rows: Vec<Row> = Vec::with_capacity(changed.len() + overall.len());
    for ((asset, framework), controls) in changed.iter().filter(|(_, controls)| !controls.is_empty()) {
        rows.push((Some(*asset), framework.clone(), sums::on_asset(controls), Json(serde_json::json!(controls))));
    }
    for (framework, overall) in overall {
        let controls = Json(serde_json::json!(overall.stored()));
        rows.push((None, framework.clone(), overall.standing(), controls));
    }
    let gone = || changed.iter().filter(|(_, controls)| controls.is_empty()).map(|(key, _)| *key);
    let of = |number: fn(&Standing) -> i64| rows.iter().map(|(_, _, standing, _)| number(standing)).collect::<Vec<_>>();
    sqlx::query(
        "WITH gone AS (
             DELETE FROM standings s USING unnest($1::uuid[], $2::text[]) AS u(a, f) WHERE s.asset_id = u.a AND s.framework = u.f
         )
         INSERT INTO standings AS s (asset_id, framework, passed_weight, assessed_weight, passed, failed, not_applicable, error,
             waived, waived_weight, controls_passed, controls_failed, controls_waived, controls)
         SELECT * FROM unnest($3::uuid[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
             $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::jsonb[])
         ON CONFLICT (asset_id, framework) DO UPDATE SET passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, passed = excluded.passed, failed = excluded.failed,
             not_applicable = excluded.not_applicable, error = excluded.error, waived = excluded.waived,
             waived_weight = excluded.waived_weight, controls_passed = excluded.controls_passed,
             controls_failed = excluded.controls_failed, controls_waived = excluded.controls_waived,
             controls = excluded.controls, updated_at = now()
         WHERE s.controls <> excluded.controls",
    )
    .bind(gone().map(|(asset, _)| *asset).collect::<Vec<_>>())
    .bind(gone().map(|(_, framework)| framework.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(asset, ..)| *asset).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, framework, ..)| framework.as_str()).collect::<Vec<_>>())
    .bind(of(|standing| standing.checks.passed_weight))
    .bind(of(|standing| standing.checks.assessed_weight))
    .bind(of(|standing| standing.checks.passed))
    .bind(of(|standing| standing.checks.failed))
    .bind(of(|standing| standing.checks.not_applicable))
    .bind(of(|standing| standing.checks.error))
    .bind(of(|standing| standing.checks.waived))
    .bind(of(|standing| standing.checks.waived_weight))
    .bind(of(|standing| standing.controls.passed))
    .bind(of(|standing| standing.controls.failed))
    .bind(of(|standing| standing.controls.waived))
    .bind(rows.iter().map(|(.., controls)| controls.clone()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// The tenant's own row: each check once, from the assets' scores, and the controls of all frameworks. Gives what these scores
/// come to beside, so that nobody passes over them again.
pub(super) async fn write_tenant(connection: &mut PgConnection, assets: i64, basis: &str) -> Result<Rollup> {
    let statement = format!(
        "WITH k AS MATERIALIZED ({SUMS}), written AS (
             INSERT INTO standings (asset_id, framework, passed_weight, assessed_weight, passed, failed, not_applicable, error,
                 waived, waived_weight, controls_passed, controls_failed, controls_waived, controls, assets, basis)
             SELECT NULL::uuid, ''::text, k.passed_weight, k.assessed_weight, k.passed, k.failed, k.not_applicable, k.error,
                 k.waived, k.waived_weight, f.*, '{{}}'::jsonb, $2::bigint, $3::text
             FROM k, (SELECT COALESCE(sum(controls_passed), 0)::bigint, COALESCE(sum(controls_failed), 0)::bigint,
                     COALESCE(sum(controls_waived), 0)::bigint FROM standings WHERE asset_id IS NULL AND framework <> '') f
             ON CONFLICT (asset_id, framework) DO UPDATE SET passed_weight = excluded.passed_weight,
                 assessed_weight = excluded.assessed_weight, passed = excluded.passed, failed = excluded.failed,
                 not_applicable = excluded.not_applicable, error = excluded.error, waived = excluded.waived,
                 waived_weight = excluded.waived_weight, controls_passed = excluded.controls_passed,
                 controls_failed = excluded.controls_failed, controls_waived = excluded.controls_waived,
                 assets = excluded.assets, basis = excluded.basis, updated_at = now()
         )
         {MEASURED}"
    );
    Ok(sqlx::query_as(AssertSqlSafe(statement))
        .bind(crate::agents::SILENT_AFTER.as_secs_f64())
        .bind(assets)
        .bind(basis)
        .fetch_one(connection)
        .await?)
}
