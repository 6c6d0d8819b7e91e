//! Checks that count otherwise than they were counted: a waiver began or ended, or the tenant weighs severities otherwise. The
//! check's row and its asset's score change together, by the difference, so that an ingest may change the same score meanwhile.

use std::collections::BTreeSet;

use analysis::score::{Sums, Verdict, Weighed, Weights};
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::error::Result;
use crate::waivers::{COVERS, IN_FORCE, NAMED};

/// A check on an asset that is counted wrongly.
#[derive(sqlx::FromRow)]
struct Miscounted {
    asset_id: Uuid,
    module: String,
    check_id: String,
    verdict: String,
    was_waived: bool,
    was_weight: i32,
    is_waived: bool,
    weight: i32,
}

impl Miscounted {
    /// What it changes in its asset's sums.
    fn change(&self) -> Sums {
        let verdict = match self.verdict.as_str() {
            "pass" => Verdict::Pass,
            "fail" => Verdict::Fail,
            "not_applicable" => Verdict::NotApplicable,
            // The column takes no fifth.
            _ => Verdict::Error,
        };
        let counted =
            |is_waived, weight: i32| Some(Weighed { verdict: verdict.under(is_waived), weight: weight.unsigned_abs() });
        let mut sums = Sums::default();
        sums.change(counted(self.was_waived, self.was_weight), counted(self.is_waived, self.weight));
        sums
    }
}

async fn miscounted(connection: &mut PgConnection, assets: &[Uuid], weights: &Weights) -> Result<Vec<Miscounted>> {
    let statement = format!(
        "WITH {IN_FORCE}, {NAMED}, covered AS (
             SELECT DISTINCT s.asset_id, s.module, s.check_id FROM check_states s JOIN assets a USING (asset_id)
                 JOIN named n ON {COVERS}
             WHERE s.asset_id = ANY($1) AND s.verdict = 'fail'
         ), wanted(severity, weight) AS (
             VALUES ('critical', $2::integer), ('high', $3::integer), ('medium', $4::integer), ('low', $5::integer)
         )
         SELECT s.asset_id, s.module, s.check_id, s.verdict, s.is_waived AS was_waived, s.weight AS was_weight,
             c.asset_id IS NOT NULL AS is_waived, v.weight
         FROM check_states s JOIN wanted v ON v.severity = s.severity
         LEFT JOIN covered c ON c.asset_id = s.asset_id AND c.module = s.module AND c.check_id = s.check_id
         WHERE s.asset_id = ANY($1) AND (s.weight <> v.weight OR s.is_waived <> (c.asset_id IS NOT NULL))
         ORDER BY s.asset_id, s.module, s.check_id"
    );
    Ok(sqlx::query_as(AssertSqlSafe(statement))
        .bind(assets)
        .bind(i32::from(weights.critical))
        .bind(i32::from(weights.high))
        .bind(i32::from(weights.medium))
        .bind(i32::from(weights.low))
        .fetch_all(connection)
        .await?)
}

/// Counts the assets' checks as the waivers in force and the weights say. Gives the assets where an ingest holds a module that
/// should have changed: it is not waited for.
pub(super) async fn recount(
    connection: &mut PgConnection,
    assets: &[Uuid],
    weights: &Weights,
) -> Result<BTreeSet<Uuid>> {
    let wrong = miscounted(connection, assets, weights).await?;
    if wrong.is_empty() {
        return Ok(BTreeSet::new());
    }
    let changes: Vec<Sums> = wrong.iter().map(Miscounted::change).collect();
    let of = |number: fn(&Sums) -> i64| changes.iter().map(number).collect::<Vec<_>>();
    // An ingest locks the rows of its modules before it touches a verdict. Rows that are held are skipped, so that nobody
    // waits here while others wait for what was taken before. What changed since it was looked at is left as it is.
    sqlx::query(
        "WITH u AS (
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::integer[], $7::boolean[],
                 $8::integer[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[])
             AS u(asset_id, module, check_id, verdict, was_waived, was_weight, is_waived, weight, passed_weight, assessed_weight,
                 failed, waived, waived_weight)
         ), held AS (
             SELECT m.asset_id, m.module FROM asset_modules m
             WHERE (m.asset_id, m.module) IN (SELECT asset_id, module FROM u) ORDER BY m.asset_id, m.module
             FOR UPDATE OF m SKIP LOCKED
         ), counted AS (
             UPDATE check_states s SET is_waived = u.is_waived, weight = u.weight
             FROM u JOIN held h ON h.asset_id = u.asset_id AND h.module = u.module
             WHERE s.asset_id = u.asset_id AND s.module = u.module AND s.check_id = u.check_id AND s.verdict = u.verdict
                 AND s.is_waived = u.was_waived AND s.weight = u.was_weight
             RETURNING s.asset_id, u.passed_weight, u.assessed_weight, u.failed, u.waived, u.waived_weight
         ), moved AS (
             SELECT asset_id, sum(passed_weight)::bigint AS passed_weight, sum(assessed_weight)::bigint AS assessed_weight,
                 sum(failed)::integer AS failed, sum(waived)::integer AS waived, sum(waived_weight)::bigint AS waived_weight
             FROM counted GROUP BY asset_id
         ), scored AS (
             UPDATE asset_scores k SET updated_at = now(), passed_weight = k.passed_weight + m.passed_weight,
                 assessed_weight = k.assessed_weight + m.assessed_weight, failed = k.failed + m.failed,
                 waived = k.waived + m.waived, waived_weight = k.waived_weight + m.waived_weight,
                 score = CASE WHEN k.assessed_weight + m.assessed_weight > 0
                     THEN (((k.passed_weight + m.passed_weight) * 200 + k.assessed_weight + m.assessed_weight)
                         / ((k.assessed_weight + m.assessed_weight) * 2))::smallint END
             FROM moved m WHERE m.asset_id = k.asset_id
             RETURNING k.asset_id, k.score, k.passed_weight, k.assessed_weight, k.risk
         )
         INSERT INTO score_days AS d (scope, scope_id, day, score, passed_weight, assessed_weight, risk)
         SELECT 'asset', asset_id, (now() AT TIME ZONE 'UTC')::date, score, passed_weight, assessed_weight, risk FROM scored
         ON CONFLICT (scope, scope_id, day) DO UPDATE SET score = excluded.score, passed_weight = excluded.passed_weight,
             assessed_weight = excluded.assessed_weight, risk = excluded.risk",
    )
    .bind(wrong.iter().map(|one| one.asset_id).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.module.as_str()).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.check_id.as_str()).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.verdict.as_str()).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.was_waived).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.was_weight).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.is_waived).collect::<Vec<_>>())
    .bind(wrong.iter().map(|one| one.weight).collect::<Vec<_>>())
    .bind(of(|sums| sums.passed_weight))
    .bind(of(|sums| sums.assessed_weight))
    .bind(of(|sums| sums.failed))
    .bind(of(|sums| sums.waived))
    .bind(of(|sums| sums.waived_weight))
    .execute(&mut *connection)
    .await?;
    let left = miscounted(connection, assets, weights).await?;
    Ok(left.into_iter().map(|one| one.asset_id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_takes_out_what_was_counted_and_puts_in_what_counts() {
        let one = |verdict: &str, was: (bool, i32), is: (bool, i32)| {
            let sums = Miscounted {
                asset_id: Uuid::nil(),
                module: "m".to_owned(),
                check_id: "c".to_owned(),
                verdict: verdict.to_owned(),
                was_waived: was.0,
                was_weight: was.1,
                is_waived: is.0,
                weight: is.1,
            }
            .change();
            [sums.passed_weight, sums.assessed_weight, sums.failed, sums.waived, sums.waived_weight]
        };
        assert_eq!(one("fail", (false, 5), (true, 5)), [0, -5, -1, 1, 5]);
        assert_eq!(one("fail", (true, 5), (false, 7)), [0, 7, 1, -1, -5]);
        assert_eq!(one("pass", (false, 5), (false, 2)), [-3, -3, 0, 0, 0]);
        assert_eq!(one("error", (false, 5), (false, 2)), [0; 5]);
    }
}
