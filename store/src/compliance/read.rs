//! Reads kept sums: the tenant's, of its frameworks, of the assets with a label, of each asset, of tenants below a tenant.

use std::collections::BTreeMap;

use analysis::compliance::{Counts, Framework, Standing};
use analysis::score::Sums;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use super::sums::{self, StoredOverall};
use crate::error::{Error, Result};
use crate::page::{Listed, Start, Total};
use crate::tx::{Mode, SharedTx, TenantTx};

/// How the tenant and every framework stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standings {
    /// The tenant: each check once, and the controls of all frameworks that a check maps to.
    pub tenant: Standing,
    /// When anything last changed; none before the first result was followed.
    pub changed_at: Option<DateTime<Utc>>,
    /// Every framework of the installation, by slug.
    pub frameworks: Vec<FrameworkStanding>,
}

/// How a framework stands over all assets.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameworkStanding {
    /// Its slug.
    pub framework: String,
    /// Its title.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Who publishes it.
    pub publisher: String,
    /// A check that reported maps to one of its controls.
    pub is_mapped: bool,
    /// Each control on each asset.
    pub standing: Standing,
    /// Each control once, with the worst status that it has on any asset.
    pub controls: Counts,
}

impl Standings {
    /// The standings of mapped frameworks, and under the empty name that of the tenant.
    pub(super) fn by_framework(&self) -> BTreeMap<String, Standing> {
        let frameworks = self.frameworks.iter().filter(|framework| framework.is_mapped);
        let frameworks = frameworks.map(|framework| (framework.framework.clone(), framework.standing));
        frameworks.chain([(String::new(), self.tenant)]).collect()
    }
}

/// Sums as they are stored in columns.
#[derive(sqlx::FromRow)]
struct Columns {
    passed_weight: i64,
    assessed_weight: i64,
    passed: i64,
    failed: i64,
    not_applicable: i64,
    error: i64,
    waived: i64,
    waived_weight: i64,
    controls_passed: i64,
    controls_failed: i64,
    controls_waived: i64,
}

impl Columns {
    /// The standing of so many controls, each counted once for every asset.
    fn of(self, all_controls: i64) -> Standing {
        let Self {
            passed_weight, assessed_weight, passed, failed, not_applicable, error, waived, waived_weight, ..
        } = self;
        let assessed = self.controls_passed + self.controls_failed + self.controls_waived;
        Standing {
            checks: Sums {
                passed_weight,
                assessed_weight,
                passed,
                failed,
                not_applicable,
                error,
                waived,
                waived_weight,
            },
            controls: Counts {
                passed: self.controls_passed,
                failed: self.controls_failed,
                waived: self.controls_waived,
                not_assessed: (all_controls - assessed).max(0),
            },
        }
    }
}

/// Columns of a row of `standings` that is not there: nothing.
macro_rules! columns_or_nothing {
    () => {
        "COALESCE(s.passed_weight, 0) AS passed_weight, COALESCE(s.assessed_weight, 0) AS assessed_weight,
         COALESCE(s.passed, 0) AS passed, COALESCE(s.failed, 0) AS failed, COALESCE(s.not_applicable, 0) AS not_applicable,
         COALESCE(s.error, 0) AS error, COALESCE(s.waived, 0) AS waived, COALESCE(s.waived_weight, 0) AS waived_weight,
         COALESCE(s.controls_passed, 0) AS controls_passed, COALESCE(s.controls_failed, 0) AS controls_failed,
         COALESCE(s.controls_waived, 0) AS controls_waived"
    };
}

#[derive(sqlx::FromRow)]
struct TenantRow {
    #[sqlx(flatten)]
    columns: Columns,
    changed_at: Option<DateTime<Utc>>,
}

/// The tenant and every framework: two statements.
pub async fn standings<M: Mode>(tx: &mut TenantTx<M>) -> Result<Standings> {
    type Row = (String, String, String, String, i64, i64, Option<Json<StoredOverall>>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT f.framework, f.title, f.version, f.publisher,
             (SELECT count(*) FROM shared.controls c WHERE c.framework = f.framework), (SELECT count(*) FROM assets), s.controls
         FROM shared.frameworks f LEFT JOIN standings s ON s.asset_id IS NULL AND s.framework = f.framework
         ORDER BY f.framework",
    )
    .fetch_all(tx.connection()?)
    .await?;
    let tenant: TenantRow = sqlx::query_as(concat!(
        "SELECT ",
        columns_or_nothing!(),
        ", s.updated_at AS changed_at FROM (SELECT 1) one LEFT JOIN standings s ON s.asset_id IS NULL AND s.framework = ''"
    ))
    .fetch_one(tx.connection()?)
    .await?;
    let frameworks: Vec<FrameworkStanding> = rows
        .into_iter()
        .map(|(framework, title, version, publisher, all, assets, kept)| {
            let kept = kept.map(|kept| kept.0).unwrap_or_default();
            let is_mapped = !kept.is_empty();
            let missing = all - i64::try_from(kept.len()).unwrap_or(i64::MAX);
            let mapped: Vec<Standing> =
                kept.into_values().map(|packed| sums::over(assets, sums::of_control(packed))).collect();
            let Framework { mut standing, mut controls } = Framework::of(&mapped);
            standing.controls.not_assessed += missing.max(0) * assets;
            controls.not_assessed += missing.max(0);
            FrameworkStanding { framework, title, version, publisher, is_mapped, standing, controls }
        })
        .collect();
    let mapped = frameworks.iter().filter(|framework| framework.is_mapped);
    let all_controls = mapped.map(|framework| framework.standing.controls.all()).sum();
    Ok(Standings { tenant: tenant.columns.of(all_controls), changed_at: tenant.changed_at, frameworks })
}

/// A framework over the assets that have a label.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupStanding {
    /// The framework.
    pub framework: String,
    /// Each control on each of the assets.
    pub standing: Standing,
}

#[derive(sqlx::FromRow)]
struct GroupRow {
    framework: String,
    all_controls: i64,
    #[sqlx(flatten)]
    columns: Columns,
}

/// How many assets have the label, and how each framework that a check of them maps to stands over them: two statements, over
/// one row for each asset and framework.
pub async fn group<M: Mode>(tx: &mut TenantTx<M>, key: &str, value: &str) -> Result<(i64, Vec<GroupStanding>)> {
    let assets: i64 = sqlx::query_scalar("SELECT count(*) FROM assets WHERE labels ->> $1 = $2")
        .bind(key)
        .bind(value)
        .fetch_one(tx.connection()?)
        .await?;
    let rows: Vec<GroupRow> = sqlx::query_as(
        "SELECT s.framework, (SELECT count(*) FROM shared.controls c WHERE c.framework = s.framework) AS all_controls,
             sum(s.passed_weight)::bigint AS passed_weight, sum(s.assessed_weight)::bigint AS assessed_weight,
             sum(s.passed)::bigint AS passed, sum(s.failed)::bigint AS failed, sum(s.not_applicable)::bigint AS not_applicable,
             sum(s.error)::bigint AS error, sum(s.waived)::bigint AS waived, sum(s.waived_weight)::bigint AS waived_weight,
             sum(s.controls_passed)::bigint AS controls_passed, sum(s.controls_failed)::bigint AS controls_failed,
             sum(s.controls_waived)::bigint AS controls_waived
         FROM standings s JOIN assets a ON a.asset_id = s.asset_id WHERE a.labels ->> $1 = $2
         GROUP BY s.framework ORDER BY s.framework",
    )
    .bind(key)
    .bind(value)
    .fetch_all(tx.connection()?)
    .await?;
    let groups = rows.into_iter().map(|GroupRow { framework, all_controls, columns }| GroupStanding {
        framework,
        standing: columns.of(all_controls * assets),
    });
    Ok((assets, groups.collect()))
}

/// A framework on one asset.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetStanding {
    /// The asset.
    pub asset_id: Uuid,
    /// Its name.
    pub name: String,
    /// Each control once.
    pub standing: Standing,
}

/// Where in the list of assets by name one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetPlace {
    name: String,
    asset_id: Uuid,
}

#[derive(sqlx::FromRow)]
struct AssetRow {
    asset_id: Uuid,
    name: String,
    #[sqlx(flatten)]
    columns: Columns,
}

/// The framework on each asset, by name: two statements. [`Error::NotFound`] if there is no such framework.
pub async fn framework_on_assets<M: Mode>(
    tx: &mut TenantTx<M>,
    framework: &str,
    start: &Start<AssetPlace>,
) -> Result<Listed<AssetStanding, AssetPlace>> {
    let place = start.place();
    let rows: Vec<AssetRow> = sqlx::query_as(concat!(
        "SELECT a.asset_id, a.name, ",
        columns_or_nothing!(),
        " FROM assets a LEFT JOIN standings s ON s.asset_id = a.asset_id AND s.framework = $1
         WHERE $2::text IS NULL OR (a.name, a.asset_id) > ($2, $3) ORDER BY a.name, a.asset_id LIMIT $4 OFFSET $5"
    ))
    .bind(framework)
    .bind(place.map(|place| place.name.as_str()))
    .bind(place.map(|place| place.asset_id))
    .bind(start.limit())
    .bind(start.offset())
    .fetch_all(tx.connection()?)
    .await?;
    let (count, all_controls): (i64, Option<i64>) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM assets), (SELECT (SELECT count(*) FROM shared.controls c WHERE c.framework = f.framework)
             FROM shared.frameworks f WHERE f.framework = $1)",
    )
    .bind(framework)
    .fetch_one(tx.connection()?)
    .await?;
    let all_controls = all_controls.ok_or(Error::NotFound("framework"))?;
    let items = rows
        .into_iter()
        .map(|AssetRow { asset_id, name, columns }| AssetStanding {
            asset_id,
            name,
            standing: columns.of(all_controls),
        })
        .collect();
    let place = |asset: &AssetStanding| AssetPlace { name: asset.name.clone(), asset_id: asset.asset_id };
    Ok(Listed::of(items, start, Total::exact(count), place))
}

/// What a tenant's rollup says of its standings.
#[derive(Debug, Clone, PartialEq)]
pub struct TenantStandings {
    /// The tenant's slug.
    pub slug: String,
    /// Each mapped framework, and under the empty name the tenant.
    pub standings: BTreeMap<String, Standing>,
}

/// The standings of these tenants, as the worker last published them; those that have none are left out.
pub async fn below(tx: &mut impl SharedTx, slugs: &[String]) -> Result<Vec<TenantStandings>> {
    let rows: Vec<(String, Json<BTreeMap<String, Standing>>)> = sqlx::query_as(
        "SELECT t.slug, r.standings FROM shared.tenants t JOIN shared.tenant_rollups r USING (tenant_id)
         WHERE t.slug = ANY($1) AND t.state <> 'purged' ORDER BY t.slug",
    )
    .bind(slugs)
    .fetch_all(tx.session().connection()?)
    .await?;
    Ok(rows.into_iter().map(|(slug, standings)| TenantStandings { slug, standings: standings.0 }).collect())
}
