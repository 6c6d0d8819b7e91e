//! `/v1/compliance/trends`: how the tenant or a framework stood at the end of each day, and what that says.

use std::collections::BTreeMap;

use analysis::compliance::{self as formulas, Standing};
use axum::Json as Answer;
use chrono::{Days, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use store::compliance;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Allow, permission::ReadResults},
    compliance::{Scored, view::StandingView},
    error::{Error, Result},
    http::{days, query::Query},
};

/// Which trend is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TrendFilter {
    /// Slug of a framework; without one, the tenant over all its frameworks, each check once.
    pub framework: Option<String>,
    /// Days back from today, in UTC.
    #[serde(default = "days::usual")]
    #[param(minimum = 1, maximum = 366, default = 30)]
    pub days: u16,
}

/// A day of a trend.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrendDay {
    /// In UTC.
    pub day: NaiveDate,
    /// At its end, or now.
    #[serde(flatten)]
    pub standing: StandingView,
}

/// A trend.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrendView {
    /// The framework, if one was named.
    pub framework: Option<String>,
    /// Oldest first; days before the first result are missing. A day on which nothing changed stands as the day before.
    pub days: Vec<TrendDay>,
}

/// A day on which open failures moved.
#[derive(Debug, Serialize, ToSchema)]
pub struct SteepestView {
    /// Which.
    pub day: NaiveDate,
    /// How many more; below zero: fewer.
    pub change: i64,
}

/// What a trend says: the last day compared with one some days earlier.
#[derive(Debug, Serialize, ToSchema)]
pub struct InsightsView {
    /// The framework, if one was named.
    pub framework: Option<String>,
    /// The day that is compared with; later than asked for where the trend is younger.
    pub from: NaiveDate,
    /// The last day.
    pub to: NaiveDate,
    /// 0 to 100; none where nothing is assessed.
    pub score: Option<u8>,
    /// In points; none if one of the two days has no score.
    pub score_change: Option<i16>,
    /// Controls assessed of all, in percent.
    pub coverage: Option<u8>,
    /// In points of a percent.
    pub coverage_change: Option<i16>,
    /// Failing checks that nothing waives.
    pub open_failures: i64,
    /// How many more than at the beginning.
    pub net_change: i64,
    /// How many came on the days on which they became more.
    pub rose: i64,
    /// How many went on the days on which they became fewer.
    pub fell: i64,
    /// Failing checks under a waiver.
    pub waived: i64,
    /// How many more of these.
    pub waived_change: i64,
    /// The day on which open failures moved most.
    pub steepest: Option<SteepestView>,
}

impl TrendFilter {
    async fn read(&self, mut tenant: Scored) -> Result<BTreeMap<NaiveDate, Standing>> {
        days::check(self.days)?;
        // The empty name is the tenant's own, which is asked for by naming none.
        if self.framework.as_deref() == Some("") {
            return Err(Error::BadRequest("Name a framework by its slug, or leave the parameter out.".to_owned()));
        }
        let trend = compliance::trend(&mut tenant.tx, self.framework.as_deref(), self.days).await?;
        tenant.tx.rollback().await?;
        Ok(trend)
    }
}

/// Shows how the tenant or a framework stood on each day.
#[utoipa::path(
    get, path = "/compliance/trends", tag = "compliance", params(TrendFilter),
    responses((status = 200, body = TrendView))
)]
pub async fn trend(
    _: Allow<ReadResults>,
    Query(filter): Query<TrendFilter>,
    tenant: Scored,
) -> Result<Answer<TrendView>> {
    let trend = filter.read(tenant).await?;
    let days = each_day(&trend, Utc::now().date_naive(), filter.days);
    Ok(Answer(TrendView { framework: filter.framework, days }))
}

/// Compares now with so many days ago: score, coverage, open failures, and the day on which most moved.
#[utoipa::path(
    get, path = "/compliance/trends/insights", tag = "compliance", params(TrendFilter),
    responses((status = 200, body = InsightsView))
)]
pub async fn insights(
    _: Allow<ReadResults>,
    Query(filter): Query<TrendFilter>,
    tenant: Scored,
) -> Result<Answer<InsightsView>> {
    let trend = filter.read(tenant).await?;
    let found = formulas::insights(&trend, Utc::now().date_naive(), filter.days);
    let found = found.ok_or(Error::NotFound("trend: nothing of it was measured yet"))?;
    Ok(Answer(view(filter.framework, &found)))
}

fn view(framework: Option<String>, found: &formulas::Insights) -> InsightsView {
    InsightsView {
        framework,
        from: found.from,
        to: found.to,
        score: found.score,
        score_change: found.score_change,
        coverage: found.coverage,
        coverage_change: found.coverage_change,
        open_failures: found.open_failures,
        net_change: found.net_change,
        rose: found.rose,
        fell: found.fell,
        waived: found.waived,
        waived_change: found.waived_change,
        steepest: found.steepest.map(|most| SteepestView { day: most.day, change: most.change }),
    }
}

/// One entry for each of the last days, from the first that is known.
fn each_day(trend: &BTreeMap<NaiveDate, Standing>, today: NaiveDate, days: u16) -> Vec<TrendDay> {
    let first = today.checked_sub_days(Days::new(u64::from(days.saturating_sub(1)))).unwrap_or(today);
    first
        .iter_days()
        .take(usize::from(days))
        .filter_map(|day| {
            let (_, standing) = trend.range(..=day).next_back()?;
            Some(TrendDay { day, standing: (*standing).into() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use analysis::{compliance::Counts, score::Sums};

    use super::*;

    #[test]
    fn a_day_without_an_entry_stands_as_the_day_before() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).expect("a day");
        let standing = |passed| Standing {
            checks: Sums { passed_weight: passed, assessed_weight: 100, ..Sums::default() },
            controls: Counts::default(),
        };
        let trend = BTreeMap::from([(day(1), standing(40)), (day(4), standing(60))]);
        let scores =
            |today, days| each_day(&trend, day(today), days).iter().map(|day| day.standing.score).collect::<Vec<_>>();
        assert_eq!(scores(5, 3), [Some(40), Some(60), Some(60)]);
        assert_eq!(scores(2, 30), [Some(40), Some(40)], "nothing is known of the days before");
    }
}
