//! How the tenant and its frameworks stood at the end of each day. A day without a row stood as the day before.

use std::collections::BTreeMap;

use analysis::compliance::Standing;
use chrono::NaiveDate;
use sha2::{Digest as _, Sha256};
use sqlx::types::Json;
use uuid::Uuid;

use crate::error::Result;
use crate::tx::{Mode, TenantTx, Write};

/// Scope and id of a day's row: the tenant's own where no framework is named, as [`crate::rollups::measure`] writes it.
fn subject(tenant_id: Uuid, framework: &str) -> (&'static str, Uuid) {
    if framework.is_empty() {
        return ("tenant", tenant_id);
    }
    let digest = Sha256::new().chain_update("framework ").chain_update(framework).finalize();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    ("framework", uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Sets today's rows: one statement.
pub(super) async fn record(tx: &mut TenantTx<Write>, standings: &BTreeMap<String, Standing>) -> Result<()> {
    let tenant_id = tx.tenant().id;
    let subjects: Vec<(&'static str, Uuid)> = standings.keys().map(|framework| subject(tenant_id, framework)).collect();
    sqlx::query(
        "INSERT INTO score_days AS d (scope, scope_id, day, score, passed_weight, assessed_weight, standing)
         SELECT scope, id, (now() AT TIME ZONE 'UTC')::date, score, passed, assessed, standing
         FROM unnest($1::text[], $2::uuid[], $3::smallint[], $4::bigint[], $5::bigint[], $6::jsonb[])
             AS u(scope, id, score, passed, assessed, standing)
         ON CONFLICT (scope, scope_id, day) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, standing = excluded.standing
         WHERE d.standing IS DISTINCT FROM excluded.standing",
    )
    .bind(subjects.iter().map(|(scope, _)| *scope).collect::<Vec<_>>())
    .bind(subjects.iter().map(|(_, id)| *id).collect::<Vec<_>>())
    .bind(standings.values().map(|standing| standing.score().map(i16::from)).collect::<Vec<_>>())
    .bind(standings.values().map(|standing| standing.checks.passed_weight).collect::<Vec<_>>())
    .bind(standings.values().map(|standing| standing.checks.assessed_weight).collect::<Vec<_>>())
    .bind(standings.values().map(Json).collect::<Vec<Json<&Standing>>>())
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// The days of the last `days` on which something changed, and the last one before; of the tenant where no framework is named.
pub async fn trend<M: Mode>(
    tx: &mut TenantTx<M>,
    framework: Option<&str>,
    days: u16,
) -> Result<BTreeMap<NaiveDate, Standing>> {
    let (scope, id) = subject(tx.tenant().id, framework.unwrap_or_default());
    let rows: Vec<(NaiveDate, Json<Standing>)> = sqlx::query_as(
        "SELECT day, standing FROM score_days WHERE scope = $1 AND scope_id = $2 AND standing IS NOT NULL
             AND day >= COALESCE((SELECT max(day) FROM score_days WHERE scope = $1 AND scope_id = $2 AND standing IS NOT NULL
                 AND day <= (now() AT TIME ZONE 'UTC')::date - $3::integer), '-infinity'::date)
         ORDER BY day",
    )
    .bind(scope)
    .bind(id)
    .bind(i32::from(days))
    .fetch_all(tx.connection()?)
    .await?;
    Ok(rows.into_iter().map(|(day, standing)| (day, standing.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frameworks_days_are_found_again_and_the_tenants_are_its_own() {
        let tenant = Uuid::from_u128(7);
        assert_eq!(subject(tenant, ""), ("tenant", tenant));
        let (scope, id) = subject(tenant, "hipaa");
        assert_eq!((scope, id), subject(Uuid::from_u128(8), "hipaa"));
        assert_ne!(id, subject(tenant, "pci-dss-4").1);
    }
}
