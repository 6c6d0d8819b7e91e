//! `/v1/risk` and `/v1/assets/{id}/risk`: how bad it is, and what made it so. Shares are whole points and sum to the risk.

use axum::Json as Answer;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use store::{Read, risk, scores::Subject};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    auth::{Allow, Scope, TenantTx, permission::ReadResults},
    error::{Error, Result},
    http::{
        days,
        query::{Path, Query},
    },
    results::findings::AssetLabel,
    tenants::plan,
};

/// The most parts that an explanation lists.
const MAX_PARTS: u32 = 100;

/// How much an asset matters, as its owner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Criticality {
    /// Half.
    Low,
    /// Once.
    Normal,
    /// One and a half times.
    High,
    /// Twice.
    Critical,
}

impl From<Criticality> for analysis::risk::Criticality {
    fn from(criticality: Criticality) -> Self {
        match criticality {
            Criticality::Low => Self::Low,
            Criticality::Normal => Self::Normal,
            Criticality::High => Self::High,
            Criticality::Critical => Self::Critical,
        }
    }
}

impl From<analysis::risk::Criticality> for Criticality {
    fn from(criticality: analysis::risk::Criticality) -> Self {
        use analysis::risk::Criticality as C;
        match criticality {
            C::Low => Self::Low,
            C::Normal => Self::Normal,
            C::High => Self::High,
            C::Critical => Self::Critical,
        }
    }
}

/// A part of a whole, exactly.
#[derive(Debug, Serialize, ToSchema)]
pub struct Amount {
    /// Of what is explained.
    pub part: i64,
    /// All of it; 0 where nothing is explained.
    pub whole: i64,
}

impl From<analysis::risk::Fraction> for Amount {
    fn from(fraction: analysis::risk::Fraction) -> Self {
        Self { part: fraction.part, whole: fraction.whole }
    }
}

/// All that is not listed, together.
#[derive(Debug, Serialize, ToSchema)]
pub struct RestView {
    /// How many findings, or assets.
    pub count: i64,
    /// How much they give together.
    pub amount: Amount,
    /// Their share of the risk, in whole points.
    pub share: u8,
}

impl From<analysis::risk::Rest> for RestView {
    fn from(rest: analysis::risk::Rest) -> Self {
        Self { count: rest.count, amount: rest.amount.into(), share: rest.share }
    }
}

/// An asset's risk and what made it.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetRiskView {
    /// 0 to 100; none where nothing looked at the asset yet.
    pub risk: Option<u8>,
    /// How much the asset matters.
    pub criticality: Criticality,
    /// Whether the internet reaches it.
    pub internet_facing: bool,
    /// The weightiest findings, most first.
    pub parts: Vec<FindingPart>,
    /// All others together.
    pub rest: Option<RestView>,
}

/// A finding that made a risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct FindingPart {
    /// The finding's id.
    pub finding_id: Uuid,
    /// Title of its check.
    pub title: String,
    /// Slug of the module.
    pub module: String,
    /// The check.
    pub check: String,
    /// What it is about.
    pub resource: String,
    /// The factors of its points, in words.
    #[schema(example = "critical (10) × listening (1.5) × critical asset (2) = 30 points")]
    pub why: String,
    /// How much it gives.
    pub amount: Amount,
    /// Its share of the risk, in whole points.
    pub share: u8,
}

/// The tenant's risk and what made it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantRiskView {
    /// 0 to 100; none where nothing looked at any asset yet.
    pub risk: Option<u8>,
    /// Assets that something looked at.
    pub assets: i64,
    /// The assets that give most, most first.
    pub parts: Vec<AssetPart>,
    /// All others together.
    pub rest: Option<RestView>,
}

/// An asset that made a tenant's risk.
#[derive(Debug, Serialize, ToSchema)]
pub struct AssetPart {
    /// The asset.
    pub asset: AssetLabel,
    /// How much it matters.
    pub criticality: Criticality,
    /// Whether the internet reaches it.
    pub internet_facing: bool,
    /// Its own risk, 0 to 100.
    pub risk: u8,
    /// How much it gives.
    pub amount: Amount,
    /// Its share of the tenant's risk, in whole points.
    pub share: u8,
}

/// How long an explanation is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PartsWanted {
    /// Parts that are listed, at most 100; the others are shown as one.
    #[serde(default = "usual_parts")]
    #[param(minimum = 1, maximum = 100, default = 20)]
    pub parts: u32,
}

const fn usual_parts() -> u32 {
    20
}

impl PartsWanted {
    fn checked(&self) -> Result<u32> {
        if (1..=MAX_PARTS).contains(&self.parts) {
            Ok(self.parts)
        } else {
            Err(Error::BadRequest(format!("parts lies between 1 and {MAX_PARTS}.")))
        }
    }
}

/// A day of a trend.
#[derive(Debug, Serialize, ToSchema)]
pub struct RiskDay {
    /// In UTC.
    pub day: NaiveDate,
    /// The last risk of that day, 0 to 100.
    pub risk: i16,
}

/// Which trend is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TrendWanted {
    /// Of this asset instead of the tenant.
    pub asset_id: Option<Uuid>,
    /// Days, today among them; at most 366.
    #[serde(default = "days::usual")]
    #[param(minimum = 1, maximum = 366, default = 30)]
    pub days: u16,
}

/// Shows the tenant's risk and which assets made it.
#[utoipa::path(get, path = "/risk", tag = "results", params(PartsWanted), responses((status = 200, body = TenantRiskView)))]
pub async fn of_tenant(
    _: Allow<ReadResults>,
    Query(wanted): Query<PartsWanted>,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<TenantRiskView>> {
    let found = risk::of_tenant(&mut tenant.0, wanted.checked()?).await?;
    tenant.0.rollback().await?;
    let risk::TenantRisk { risk, assets, parts, rest } = found;
    let part = |one: risk::Member| AssetPart {
        asset: AssetLabel { id: one.asset_id, name: one.name },
        criticality: one.rating.criticality.into(),
        internet_facing: one.rating.internet_facing,
        risk: one.risk,
        amount: one.amount.into(),
        share: one.share,
    };
    let parts = parts.into_iter().map(part).collect();
    Ok(Answer(TenantRiskView { risk, assets, parts, rest: rest.map(Into::into) }))
}

/// Shows an asset's risk and which findings made it.
#[utoipa::path(
    get, path = "/assets/{id}/risk", tag = "results", params(("id" = Uuid, Path), PartsWanted),
    responses((status = 200, body = AssetRiskView))
)]
pub async fn of_asset(
    _: Allow<ReadResults>,
    scope: Scope,
    Path(id): Path<Uuid>,
    Query(wanted): Query<PartsWanted>,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<AssetRiskView>> {
    let weights = plan::weights(&scope.resource.spec);
    let found = risk::of_asset(&mut tenant.0, id, &weights, wanted.checked()?).await?;
    tenant.0.rollback().await?;
    let risk::AssetRisk { rating, risk, parts, rest } = found.ok_or(Error::NotFound("asset"))?;
    let part = |one: risk::FindingPart| FindingPart {
        finding_id: one.finding_id,
        title: one.title,
        module: one.module,
        check: one.check_id,
        resource: one.resource,
        why: one.why,
        amount: one.amount.into(),
        share: one.share,
    };
    Ok(Answer(AssetRiskView {
        risk,
        criticality: rating.criticality.into(),
        internet_facing: rating.internet_facing,
        parts: parts.into_iter().map(part).collect(),
        rest: rest.map(Into::into),
    }))
}

/// Shows the risk of each day, oldest first: the tenant's, or an asset's.
#[utoipa::path(get, path = "/risk/trend", tag = "results", params(TrendWanted), responses((status = 200, body = Vec<RiskDay>)))]
pub async fn trend(
    _: Allow<ReadResults>,
    Query(wanted): Query<TrendWanted>,
    mut tenant: TenantTx<Read>,
) -> Result<Answer<Vec<RiskDay>>> {
    days::check(wanted.days)?;
    let subject = wanted.asset_id.map_or(Subject::Tenant, Subject::Asset);
    let days = risk::trend(&mut tenant.0, subject, wanted.days).await?;
    tenant.0.rollback().await?;
    Ok(Answer(days.into_iter().map(|day| RiskDay { day: day.day, risk: day.risk }).collect()))
}
