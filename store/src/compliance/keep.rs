//! Follows what ingests and waivers changed. One worker a tenant, by an advisory lock; assets in batches, each a transaction
//! with a bounded number of statements that waits for no ingest and lets none wait for longer than its own end.

use std::collections::{BTreeMap, BTreeSet};

use analysis::compliance::Standing;
use analysis::score::Weights;
use chrono::{DateTime, Utc};
use futures::TryStreamExt as _;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::recount::recount;
use super::sums::{self, OnAsset, Overall, StoredOverall};
use super::write::{write, write_tenant};
use super::{read, trend};
use crate::error::Result;
use crate::names::TenantRef;
use crate::pool::Db;
use crate::rollups::{self, Rollup};
use crate::tx::{Mode, PlatformTx, TenantTx, Write};
use crate::waivers::{COVERS, NAMED};

/// Assets that are followed in one transaction: some hundred thousand rows of verdicts at most.
const BATCH: usize = 50;
/// Transactions of one call; what is left is for the next, so that one tenant does not hold up others.
const BATCHES: usize = 7;

/// What a call of [`keep`] came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// Nothing is behind. If not, call again soon.
    pub is_whole: bool,
    /// When a waiver next begins or ends: call again then.
    pub due_at: Option<DateTime<Utc>>,
    /// How each framework stands now, and under the empty name the tenant; none if another worker is at it.
    pub standings: Option<BTreeMap<String, Standing>>,
    /// The tenant in figures, where they were measured on the way: as [`rollups::measure`] does, today's row of its trend included.
    pub measured: Option<Rollup>,
}

impl Kept {
    /// There is more to do, here or for another worker.
    const UNDONE: Self = Self { is_whole: false, due_at: None, standings: None, measured: None };
}

/// Brings the tenant's standings up to what its verdicts and waivers say now, counted with these weights.
pub async fn keep(db: &Db, tenant: &TenantRef, weights: &Weights) -> Result<Kept> {
    let (mut has_moved, mut has_left) = (false, false);
    let mut place = Uuid::nil();
    for _ in 0..BATCHES {
        let mut tx = db.tenant::<Write>(tenant).await?;
        let Some(step) = step(tx.connection()?, weights, place).await? else {
            tx.rollback().await?;
            return Ok(Kept::UNDONE);
        };
        has_moved |= step.has_moved;
        has_left |= step.has_left;
        place = step.place;
        if step.is_last {
            let standings = read::standings(&mut tx).await?.by_framework();
            if has_moved {
                trend::record(&mut tx, &standings).await?;
            }
            let measured = match step.measured {
                Some(measured) => Some(rollups::record(&mut tx, measured).await?),
                None => None,
            };
            tx.commit().await?;
            return Ok(Kept { is_whole: !has_left, due_at: step.due_at, standings: Some(standings), measured });
        }
        tx.commit().await?;
    }
    Ok(Kept::UNDONE)
}

/// Tells those who look at many tenants what [`keep`] came to. Writes nothing if they know it.
pub async fn publish(tx: &mut PlatformTx, tenant_id: Uuid, kept: &Kept) -> Result<()> {
    let Some(standings) = &kept.standings else { return Ok(()) };
    sqlx::query(
        "UPDATE shared.tenant_rollups SET standings = $2, due_at = $3
         WHERE tenant_id = $1 AND (standings, due_at) IS DISTINCT FROM ($2::jsonb, $3::timestamptz)",
    )
    .bind(tenant_id)
    .bind(Json(standings))
    .bind(kept.due_at)
    .execute(tx.connection()?)
    .await?;
    Ok(())
}

/// Nobody follows the tenant's waivers now: it is not measured for the sake of one that began or ended.
pub async fn forget_due(tx: &mut PlatformTx, tenant_id: Uuid) -> Result<()> {
    sqlx::query("UPDATE shared.tenant_rollups SET due_at = NULL WHERE tenant_id = $1 AND due_at IS NOT NULL")
        .bind(tenant_id)
        .execute(tx.connection()?)
        .await?;
    Ok(())
}

/// What one transaction came to.
struct Step {
    has_moved: bool,
    /// An ingest holds a module of some asset, which stays behind.
    has_left: bool,
    /// No further transaction helps now.
    is_last: bool,
    /// The last asset that was looked at: the next step begins behind it.
    place: Uuid,
    due_at: Option<DateTime<Utc>>,
    /// What the scores of all assets came to; none if nothing moved.
    measured: Option<Rollup>,
}

impl Step {
    /// Nothing moved.
    fn still(is_last: bool, place: Uuid, due_at: Option<DateTime<Utc>>) -> Self {
        Self { has_moved: false, has_left: false, is_last, place, due_at, measured: None }
    }
}

/// What is known before anything is moved.
#[derive(sqlx::FromRow)]
struct Known {
    /// The frameworks as they are.
    catalog: String,
    /// What the sums were last counted by: the frameworks and the weights.
    kept_basis: Option<String>,
    /// Assets in the sums.
    kept_assets: Option<i64>,
    /// Of these, the ones that are still there.
    assets: i64,
    due_at: Option<DateTime<Utc>>,
}

/// An asset whose standings are behind.
struct Behind {
    asset_id: Uuid,
    revision: i64,
    is_new: bool,
}

/// What is known, beside an asset that is behind, if one is.
#[derive(sqlx::FromRow)]
struct Looked {
    #[sqlx(flatten)]
    known: Known,
    asset_id: Option<Uuid>,
    revision: Option<i64>,
    is_new: Option<bool>,
}

/// One batch of the assets behind a place, so that those which cannot be followed now do not stand before the others; none if
/// another worker has the tenant.
async fn step(connection: &mut PgConnection, weights: &Weights, place: Uuid) -> Result<Option<Step>> {
    let is_ours: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('standings ' || current_schema(), 0))")
            .fetch_one(&mut *connection)
            .await?;
    if !is_ours {
        return Ok(None);
    }
    let turned = turn_waivers(connection).await?;
    let (known, mut behind) = look(connection, place).await?;
    let due_at = known.due_at;
    let Weights { critical, high, medium, low } = *weights;
    let basis = format!("{} {critical}/{high}/{medium}/{low}", known.catalog);
    let is_other_basis = known.kept_basis.as_deref() != Some(basis.as_str());
    if is_other_basis {
        sqlx::query("UPDATE asset_scores SET revision = revision + 1").execute(&mut *connection).await?;
        write_tenant(connection, known.kept_assets.unwrap_or(known.assets), &basis).await?;
    }
    if turned > 0 || is_other_basis {
        // Committed at once: the rows of many assets are held, and their agents may be waiting.
        return Ok(Some(Step::still(false, Uuid::nil(), due_at)));
    }
    let has_more = behind.len() > BATCH;
    behind.truncate(BATCH);
    let place = behind.last().map_or(place, |asset| asset.asset_id);
    let has_lost = known.kept_assets.is_some_and(|kept| kept != known.assets);
    if behind.is_empty() && !has_lost {
        return Ok(Some(Step::still(true, place, due_at)));
    }
    let ids = |behind: &[Behind]| behind.iter().map(|asset| asset.asset_id).collect::<Vec<_>>();
    let undecided = recount(connection, &ids(&behind), weights).await?;
    behind.retain(|asset| !undecided.contains(&asset.asset_id));
    let ids = ids(&behind);
    let before = stored(connection, &ids).await?;
    let after = recomputed(connection, Some(&ids)).await?;
    let mut overall = if has_lost { summed(connection).await? } else { stored_overall(connection).await? };
    let keys: BTreeSet<&(Uuid, String)> = before.keys().chain(after.keys()).collect();
    let none = OnAsset::new();
    let mut rows = Vec::new();
    for key in keys {
        let (from, to) = (before.get(key).unwrap_or(&none), after.get(key).unwrap_or(&none));
        if from != to {
            overall.entry(key.1.clone()).or_default().change(from, to);
            rows.push((key, to));
        }
    }
    overall.retain(|framework, _| has_lost || rows.iter().any(|(key, _)| key.1 == *framework));
    write(connection, &rows, &overall).await?;
    sqlx::query(
        "UPDATE asset_scores k SET stood_revision = u.r FROM unnest($1::uuid[], $2::bigint[]) AS u(a, r) WHERE k.asset_id = u.a",
    )
    .bind(ids)
    .bind(behind.iter().map(|asset| asset.revision).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let added = behind.iter().filter(|asset| asset.is_new).count();
    let assets = known.assets + i64::try_from(added).unwrap_or(i64::MAX);
    let measured = Some(write_tenant(connection, assets, &basis).await?);
    let (has_left, is_last) = (!undecided.is_empty(), !has_more);
    Ok(Some(Step { has_moved: true, has_left, is_last, place, due_at, measured }))
}

/// Waivers that began, ended or were taken back: the assets on which they concern a failing check are behind. Gives how many.
async fn turn_waivers(connection: &mut PgConnection) -> Result<u64> {
    let statement = format!(
        "WITH w AS (
             UPDATE waivers SET phase = p.now_is FROM (SELECT waiver_id, CASE WHEN revoked_at IS NOT NULL OR ends_at <= now() THEN 'over'
                     WHEN starts_at <= now() THEN 'in_force' ELSE 'waiting' END AS now_is FROM waivers WHERE phase <> 'over') p
             WHERE p.waiver_id = waivers.waiver_id AND p.now_is <> waivers.phase
             RETURNING waivers.asset_id, label_key, label_value, module, check_id, framework, control
         ), {NAMED}, concerned AS (
             SELECT DISTINCT s.asset_id FROM check_states s JOIN assets a USING (asset_id) JOIN named n ON {COVERS}
             WHERE s.verdict = 'fail'
         )
         UPDATE asset_scores k SET revision = revision + 1 FROM concerned c WHERE c.asset_id = k.asset_id"
    );
    Ok(sqlx::query(AssertSqlSafe(statement)).execute(connection).await?.rows_affected())
}

/// What is known, and the assets that are behind: one more than a batch, which tells whether there are more. Both are of one
/// moment, and the scores of all assets are passed over once.
async fn look(connection: &mut PgConnection, place: Uuid) -> Result<(Known, Vec<Behind>)> {
    let rows: Vec<Looked> = sqlx::query_as(
        "WITH k AS MATERIALIZED (SELECT asset_id, revision, stood_revision FROM asset_scores)
         SELECT COALESCE((SELECT md5(string_agg(framework || ' ' || checksum, ',' ORDER BY framework)) FROM shared.frameworks), '')
                 AS catalog,
             t.basis AS kept_basis, t.assets AS kept_assets, (SELECT count(*) FROM k WHERE stood_revision > 0) AS assets,
             (SELECT min(CASE phase WHEN 'waiting' THEN starts_at ELSE ends_at END) FROM waivers WHERE phase <> 'over') AS due_at,
             b.asset_id, b.revision, b.is_new
         FROM (SELECT 1) one LEFT JOIN standings t ON t.asset_id IS NULL AND t.framework = ''
         LEFT JOIN (SELECT asset_id, revision, stood_revision = 0 AS is_new FROM k
             WHERE revision <> stood_revision AND asset_id > $2 ORDER BY asset_id LIMIT $1) b ON true
         ORDER BY b.asset_id",
    )
    .bind(i64::try_from(BATCH + 1).unwrap_or(i64::MAX))
    .bind(place)
    .fetch_all(connection)
    .await?;
    let (mut known, mut behind) = (None, Vec::new());
    for Looked { known: read, asset_id, revision, is_new } in rows {
        if let (Some(asset_id), Some(revision), Some(is_new)) = (asset_id, revision, is_new) {
            behind.push(Behind { asset_id, revision, is_new });
        }
        known = Some(read);
    }
    Ok((known.ok_or(sqlx::Error::RowNotFound)?, behind))
}

/// By asset and framework.
type OnAssets = BTreeMap<(Uuid, String), OnAsset>;

/// What is kept of the assets.
async fn stored(connection: &mut PgConnection, assets: &[Uuid]) -> Result<OnAssets> {
    let rows: Vec<(Uuid, String, Json<OnAsset>)> =
        sqlx::query_as("SELECT asset_id, framework, controls FROM standings WHERE asset_id = ANY($1)")
            .bind(assets)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(asset, framework, controls)| ((asset, framework), controls.0)).collect())
}

/// What the verdicts give, of these assets or of all: each check counts for every control that its own version of the module
/// maps it to and that the framework has.
async fn recomputed(connection: &mut PgConnection, assets: Option<&[Uuid]>) -> Result<OnAssets> {
    let rows: Vec<(Uuid, String, Json<OnAsset>)> = sqlx::query_as(
        "SELECT k.asset_id, k.framework, jsonb_object_agg(k.control, k.sums) FROM (
             SELECT s.asset_id, m.framework, m.control, jsonb_build_array(
                 COALESCE(sum(s.weight) FILTER (WHERE s.verdict = 'pass'), 0),
                 COALESCE(sum(s.weight) FILTER (WHERE s.verdict IN ('pass', 'fail') AND NOT s.is_waived), 0),
                 count(*) FILTER (WHERE s.verdict = 'pass'), count(*) FILTER (WHERE s.verdict = 'fail' AND NOT s.is_waived),
                 count(*) FILTER (WHERE s.verdict = 'not_applicable'), count(*) FILTER (WHERE s.verdict = 'error'),
                 count(*) FILTER (WHERE s.is_waived), COALESCE(sum(s.weight) FILTER (WHERE s.is_waived), 0)) AS sums
             FROM check_states s
             JOIN shared.control_mappings m ON m.module = s.module AND m.version = s.module_version AND m.check_id = s.check_id
             JOIN shared.controls c ON c.framework = m.framework AND c.control = m.control
             WHERE $1::uuid[] IS NULL OR s.asset_id = ANY($1) GROUP BY s.asset_id, m.framework, m.control) k
         GROUP BY k.asset_id, k.framework",
    )
    .bind(assets)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|(asset, framework, controls)| ((asset, framework), controls.0)).collect())
}

async fn stored_overall(connection: &mut PgConnection) -> Result<BTreeMap<String, Overall>> {
    let rows: Vec<(String, Json<StoredOverall>)> =
        sqlx::query_as("SELECT framework, controls FROM standings WHERE asset_id IS NULL AND framework <> ''")
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(framework, controls)| (framework, Overall::of_stored(controls.0))).collect())
}

/// The sums over all assets anew, after an asset was deleted with its own. Reads every asset's, one after the other.
async fn summed(connection: &mut PgConnection) -> Result<BTreeMap<String, Overall>> {
    // What has no asset any more is there with nothing in it, so that its row is written.
    let mut overall: BTreeMap<String, Overall> =
        stored_overall(connection).await?.into_keys().map(|framework| (framework, Overall::default())).collect();
    let none = OnAsset::new();
    let mut rows = sqlx::query_as::<_, (String, Json<OnAsset>)>(
        "SELECT framework, controls FROM standings WHERE asset_id IS NOT NULL",
    )
    .fetch(connection);
    while let Some((framework, controls)) = rows.try_next().await? {
        overall.entry(framework).or_default().change(&none, &controls.0);
    }
    Ok(overall)
}

/// Something kept that differs from what the verdicts give.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The asset; none for the sums over all.
    pub asset_id: Option<Uuid>,
    /// The framework.
    pub framework: String,
    /// What is kept.
    pub kept: Standing,
    /// What a recompute gives.
    pub recomputed: Standing,
}

/// Every kept standing that differs from a full recompute. Empty once [`keep`] has come to its end; a test asks. Reads every
/// verdict of the tenant.
pub async fn differences<M: Mode>(tx: &mut TenantTx<M>) -> Result<Vec<Difference>> {
    let connection = tx.connection()?;
    let wanted = recomputed(connection, None).await?;
    let ids: Vec<Uuid> = sqlx::query_scalar("SELECT asset_id FROM assets").fetch_all(&mut *connection).await?;
    let kept = stored(connection, &ids).await?;
    let none = OnAsset::new();
    let mut differences = Vec::new();
    let mut overall: BTreeMap<String, Overall> = BTreeMap::new();
    for key in wanted.keys().chain(kept.keys()).collect::<BTreeSet<_>>() {
        let (kept, wanted) = (kept.get(key).unwrap_or(&none), wanted.get(key).unwrap_or(&none));
        overall.entry(key.1.clone()).or_default().change(&none, wanted);
        if kept != wanted {
            differences.push(Difference {
                asset_id: Some(key.0),
                framework: key.1.clone(),
                kept: sums::on_asset(kept),
                recomputed: sums::on_asset(wanted),
            });
        }
    }
    let stored = stored_overall(connection).await?;
    let nothing = Overall::default();
    for framework in overall.keys().chain(stored.keys()).collect::<BTreeSet<_>>() {
        let (kept, wanted) = (stored.get(framework).unwrap_or(&nothing), overall.get(framework).unwrap_or(&nothing));
        if kept != wanted {
            differences.push(Difference {
                asset_id: None,
                framework: framework.clone(),
                kept: kept.standing(),
                recomputed: wanted.standing(),
            });
        }
    }
    Ok(differences)
}
