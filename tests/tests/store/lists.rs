//! Long lists: read part by part they are the whole list in its order, whatever the sort and the filters, while rows are added;
//! the kept totals are what a count gives; an export has the same rows.

use anyhow::Result;
use catalog::{Catalog, Severity};
use chrono::{DateTime, Utc};
use store::findings::{FindingFilter, Place, Sort, Status};
use store::runs::RunFilter;
use store::{Page, Read, Start, TenantRef, assets, checks, export, facts, findings, modules, runs, scores};
use uuid::Uuid;

use crate::installation::Installation;

/// More than a search looks at for one part.
const FINDINGS: u32 = 6_000;
const ASSETS: u32 = 12;

/// A tenant with findings of 40 checks on a few assets; many were opened in the same instant, and a few have a text in common.
async fn furnished() -> Result<(Installation, TenantRef)> {
    let installation = Installation::start().await?;
    let catalog = Catalog::embedded().map_err(|problems| anyhow::anyhow!("{problems}"))?;
    let mut tx = installation.owner.begin().await?;
    modules::upsert(&mut tx, catalog.entries()).await?;
    tx.commit().await?;
    let tenant = installation.tenant("acme").await?;
    for statement in [
        format!(
            "INSERT INTO tenant_acme.assets (asset_id, identity, kind, name, last_seen_at)
             SELECT gen_random_uuid(), 'i' || n, 'host', 'web-' || n % 5, timestamptz '2026-11-01' + n % 3 * interval '1 day'
             FROM generate_series(1, {ASSETS}) n"
        ),
        format!(
            "WITH c AS (SELECT row_number() OVER (ORDER BY module, check_id) - 1 AS n, * FROM shared.checks ORDER BY 1 LIMIT 40),
                 a AS (SELECT row_number() OVER (ORDER BY name, asset_id) - 1 AS n, asset_id FROM tenant_acme.assets)
             INSERT INTO tenant_acme.findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status,
                 evidence, content_hash, run_id, first_seen_at, opened_at, closed_at)
             SELECT gen_random_uuid(), a.asset_id, c.module, c.version, c.check_id,
                 CASE WHEN g % 701 = 0 THEN '/etc/Passwd_1' ELSE 'item-' || g END,
                 (ARRAY['critical', 'high', 'medium', 'low'])[1 + g / 7 % 4], CASE WHEN g / 11 % 3 = 0 THEN 'closed' ELSE 'open' END,
                 '{{}}', gen_random_uuid(), gen_random_uuid(), t, t, CASE WHEN g / 11 % 3 = 0 THEN t END
             FROM generate_series(1, {FINDINGS}) g JOIN c ON c.n = g % 40 JOIN a ON a.n = g % {ASSETS},
                 LATERAL (SELECT timestamptz '2026-11-01' + g % 9 * interval '1 hour' AS t) t"
        ),
        "INSERT INTO tenant_acme.check_states (asset_id, module, check_id, module_version, verdict, severity, weight, run_id, changed_at)
         SELECT asset_id, module, check_id, '1.0.0', (ARRAY['pass', 'fail', 'error'])[1 + abs(hashtext(check_id)) % 3], 'low', 1,
             gen_random_uuid(), now() FROM (SELECT DISTINCT asset_id, module, check_id FROM tenant_acme.findings) f"
            .to_owned(),
        "INSERT INTO tenant_acme.asset_scores SELECT asset_id, (row_number() OVER () * 5)::smallint, c.passed, c.passed + c.failed,
             c.passed, c.failed, 0, c.error, f.critical, f.high, f.medium, f.low, now()
         FROM (SELECT asset_id, count(*) FILTER (WHERE verdict = 'pass') AS passed, count(*) FILTER (WHERE verdict = 'fail') AS failed,
             count(*) FILTER (WHERE verdict = 'error') AS error FROM tenant_acme.check_states GROUP BY asset_id) c
         JOIN (SELECT asset_id, count(*) FILTER (WHERE severity = 'critical') AS critical,
             count(*) FILTER (WHERE severity = 'high') AS high, count(*) FILTER (WHERE severity = 'medium') AS medium,
             count(*) FILTER (WHERE severity = 'low') AS low FROM tenant_acme.findings WHERE status = 'open' GROUP BY asset_id) f
             USING (asset_id)"
            .to_owned(),
        "INSERT INTO tenant_acme.facts (asset_id, module, table_name, row_hash, row_key, content)
         SELECT asset_id, 'm' || n % 2, 't' || n % 3, gen_random_uuid(), 'k' || n % 50, '{\"a\": 1}'
         FROM (SELECT asset_id FROM tenant_acme.assets LIMIT 1) a, generate_series(1, 300) n"
            .to_owned(),
        "INSERT INTO tenant_acme.fact_changes (change_id, asset_id, run_id, module, table_name, kind, row_key, changed_at)
         SELECT gen_random_uuid(), asset_id, gen_random_uuid(), 'm', 't', 'added', 'k',
             timestamptz '2026-11-01' + n % 7 * interval '1 hour'
         FROM (SELECT asset_id FROM tenant_acme.assets LIMIT 1) a, generate_series(1, 300) n"
            .to_owned(),
        "INSERT INTO tenant_acme.runs (run_id, asset_id, module, module_version, status, started_at, duration_ms, received_at)
         SELECT gen_random_uuid(), asset_id, CASE WHEN n % 4000 = 1000 THEN 'rare' ELSE 'm' || n % 3 END, '1.0.0',
             CASE WHEN n % 500 = 0 THEN 'failed' ELSE 'unchanged' END, now(), 1,
             timestamptz '2026-11-01' + n / 10 * interval '1 minute'
         FROM (SELECT asset_id FROM tenant_acme.assets LIMIT 1) a, generate_series(1, 12000) n"
            .to_owned(),
        "ANALYZE tenant_acme.findings, tenant_acme.runs, tenant_acme.assets".to_owned(),
    ] {
        installation.admin(&statement).await?;
    }
    let mut tx = installation.api.tenant::<Read>(&tenant).await?;
    assert_eq!(scores::differences(&mut tx).await?, []);
    Ok((installation, tenant))
}

#[derive(Clone, sqlx::FromRow)]
struct Plain {
    finding_id: Uuid,
    asset_id: Uuid,
    module: String,
    check_id: String,
    title: String,
    resource: String,
    severity_rank: i16,
    status: String,
    opened_at: DateTime<Utc>,
}

impl Plain {
    fn is_in(&self, filter: &FindingFilter) -> bool {
        let FindingFilter { severities, status, asset_id, module, check, q } = filter;
        let rank = |severity: &Severity| {
            [Severity::Low, Severity::Medium, Severity::High, Severity::Critical]
                [usize::try_from(self.severity_rank).unwrap() - 1]
                == *severity
        };
        let has = |q: &String| {
            [&self.resource, &self.check_id, &self.title]
                .iter()
                .any(|text| text.to_lowercase().contains(&q.to_lowercase()))
        };
        (severities.is_empty() || severities.iter().any(rank))
            && status.is_none_or(|status| self.status == status.as_str())
            && asset_id.is_none_or(|id| self.asset_id == id)
            && module.as_ref().is_none_or(|module| self.module == *module)
            && check.as_ref().is_none_or(|check| self.check_id == *check)
            && q.as_ref().is_none_or(has)
    }
}

async fn plain(installation: &Installation) -> Result<Vec<Plain>> {
    Ok(sqlx::query_as(
        "SELECT f.finding_id, f.asset_id, f.module, f.check_id, c.title, f.resource, f.severity_rank, f.status, f.opened_at
         FROM tenant_acme.findings f JOIN shared.checks c
             ON c.module = f.module AND c.version = f.module_version AND c.check_id = f.check_id",
    )
    .fetch_all(&installation.admin)
    .await?)
}

fn sorted(mut rows: Vec<Plain>, sort: Sort) -> Vec<Uuid> {
    use std::cmp::Reverse;
    rows.sort_by_key(|row| (Reverse(row.opened_at), row.finding_id));
    match sort {
        Sort::WorstFirst => rows.sort_by_key(|row| Reverse(row.severity_rank)),
        Sort::MildestFirst => {
            rows.reverse();
            rows.sort_by_key(|row| row.severity_rank);
        }
        Sort::NewestFirst => {}
        Sort::OldestFirst => rows.reverse(),
    }
    rows.into_iter().map(|row| row.finding_id).collect()
}

#[tokio::test]
async fn findings_part_by_part_are_the_whole_list_in_its_order() -> Result<()> {
    let (installation, tenant) = furnished().await?;
    let all = plain(&installation).await?;
    let one = all.first().unwrap().clone();
    let open = FindingFilter { status: Some(Status::Open), ..FindingFilter::default() };
    let filters = [
        open.clone(),
        FindingFilter::default(),
        FindingFilter { status: Some(Status::Closed), ..FindingFilter::default() },
        FindingFilter { severities: vec![Severity::High], ..open.clone() },
        FindingFilter { severities: vec![Severity::Low, Severity::Critical], ..FindingFilter::default() },
        FindingFilter { asset_id: Some(one.asset_id), ..open.clone() },
        FindingFilter { asset_id: Some(one.asset_id), q: Some("passwd_".to_owned()), ..FindingFilter::default() },
        FindingFilter { module: Some(one.module.clone()), ..open.clone() },
        FindingFilter { check: Some(one.check_id.clone()), ..FindingFilter::default() },
        FindingFilter { module: Some(one.module.clone()), check: Some(one.check_id.clone()), ..open.clone() },
        FindingFilter { module: Some("no-such-module".to_owned()), ..open.clone() },
        FindingFilter { q: Some("passwd_".to_owned()), ..FindingFilter::default() },
        FindingFilter { q: Some(one.title.to_uppercase()), ..open.clone() },
        FindingFilter { q: Some("item".to_owned()), module: Some(one.module.clone()), ..FindingFilter::default() },
        FindingFilter { q: Some("nothing has this".to_owned()), ..FindingFilter::default() },
    ];
    let mut tx = installation.api.tenant::<Read>(&tenant).await?;
    for filter in &filters {
        let wanted: Vec<Plain> = all.iter().filter(|row| row.is_in(filter)).cloned().collect();
        for sort in [Sort::WorstFirst, Sort::MildestFirst, Sort::NewestFirst, Sort::OldestFirst] {
            let wanted = sorted(wanted.clone(), sort);
            let (mut found, mut place, mut parts) = (Vec::new(), None::<Place>, 0);
            loop {
                // As a cursor carries it.
                let carried: Option<Place> = serde_json::from_str(&serde_json::to_string(&place)?)?;
                let part = findings::list(&mut tx, filter, sort, &Start::after(carried, 97)).await?;
                assert!(part.items.len() <= 97);
                assert!(part.total.count <= i64::try_from(wanted.len())?, "{filter:?} {sort:?}");
                if part.total.is_exact {
                    assert_eq!(part.total.count, i64::try_from(wanted.len())?, "{filter:?} {sort:?}");
                }
                found.extend(part.items.into_iter().map(|finding| finding.finding_id));
                place = part.next;
                parts += 1;
                if place.is_none() {
                    break;
                }
                assert!(parts < 100, "{filter:?} {sort:?} does not end");
            }
            assert_eq!(found, wanted, "{filter:?} {sort:?}");
            let page = findings::list(&mut tx, filter, sort, &Page::new(2, 20).into()).await?;
            let page: Vec<Uuid> = page.items.iter().map(|finding| finding.finding_id).collect();
            let second: Vec<Uuid> = wanted.iter().skip(20).take(20).copied().collect();
            if filter.q.is_none() {
                assert_eq!(page, second, "{filter:?} {sort:?}");
            } else {
                assert!(second.starts_with(&page), "{filter:?} {sort:?}");
            }
        }
        let mut ids = Vec::new();
        let mut rows = findings::export(&mut tx, filter, None)?;
        while let Some(record) = rows.next().await? {
            let cells: Vec<export::Cell<'_>> = record.cells().collect::<store::Result<_>>()?;
            assert_eq!(cells.len(), findings::EXPORTED.len());
            let export::Cell::Id(id) = cells[0] else { panic!("{:?}", cells[0]) };
            ids.push(id);
        }
        drop(rows);
        ids.sort();
        let mut wanted: Vec<Uuid> = wanted.iter().map(|row| row.finding_id).collect();
        wanted.sort();
        assert_eq!(ids, wanted, "{filter:?}");
    }
    Ok(())
}

#[tokio::test]
async fn rows_that_come_in_between_neither_repeat_nor_hide_others() -> Result<()> {
    let (installation, tenant) = furnished().await?;
    let filter = FindingFilter { status: Some(Status::Open), ..FindingFilter::default() };
    let all = plain(&installation).await?;
    let wanted = sorted(all.into_iter().filter(|row| row.is_in(&filter)).collect(), Sort::WorstFirst);
    let (mut found, mut place) = (Vec::new(), None);
    loop {
        let mut tx = installation.api.tenant::<Read>(&tenant).await?;
        let part = findings::list(&mut tx, &filter, Sort::WorstFirst, &Start::after(place, 100)).await?;
        tx.rollback().await?;
        found.extend(part.items.into_iter().map(|finding| finding.finding_id));
        place = part.next;
        if place.is_none() {
            break;
        }
        // Worse and newer than all: at the head.
        installation
            .admin(
                "INSERT INTO tenant_acme.findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status,
                     evidence, content_hash, run_id, first_seen_at, opened_at)
                 SELECT gen_random_uuid(), asset_id, module, module_version, check_id, 'new', 'critical', 'open', '{}',
                     gen_random_uuid(), gen_random_uuid(), now(), now() FROM tenant_acme.findings LIMIT 1",
            )
            .await?;
    }
    assert_eq!(found, wanted);
    Ok(())
}

#[tokio::test]
async fn the_other_lists_part_by_part_are_whole_too() -> Result<()> {
    let (installation, tenant) = furnished().await?;
    let asset_id: Uuid =
        sqlx::query_scalar("SELECT asset_id FROM tenant_acme.facts LIMIT 1").fetch_one(&installation.admin).await?;
    let mut tx = installation.api.tenant::<Read>(&tenant).await?;
    macro_rules! walk {
        ($start:ident, $list:expr) => {{
            let (mut items, mut place, mut total) = (Vec::new(), None, None);
            loop {
                let carried = serde_json::from_str(&serde_json::to_string(&place)?)?;
                let $start = Start::after(carried, 7);
                let part = $list.await?;
                items.extend(part.items);
                total = Some(total.unwrap_or(part.total));
                place = part.next;
                if place.is_none() {
                    break (items, total.unwrap());
                }
            }
        }};
    }
    for sort in [assets::Sort::Name, assets::Sort::WorstFirst, assets::Sort::LastSeen] {
        let (walked, total) = walk!(start, assets::list(&mut tx, None, sort, &start));
        let whole = assets::list(&mut tx, None, sort, &Page::new(1, 100).into()).await?;
        assert_eq!(walked, whole.items, "{sort:?}");
        assert_eq!((total.count, total.is_exact, walked.len()), (ASSETS.into(), true, 12));
    }
    let named = assets::list(&mut tx, Some("WEB-1"), assets::Sort::Name, &Page::default().into()).await?;
    assert_eq!(named.total.count, 3);
    let (walked, total) = walk!(start, checks::list(&mut tx, asset_id, None, &start));
    let states = "SELECT count(*) FROM tenant_acme.check_states WHERE asset_id = (SELECT asset_id FROM tenant_acme.facts LIMIT 1)";
    assert_eq!((total.count, i64::try_from(walked.len())?), (installation.number(states).await?, total.count));
    let fail = Some(catalog::envelope::Verdict::Fail);
    let (walked, total) = walk!(start, checks::list(&mut tx, asset_id, fail, &start));
    assert_eq!(total.count, i64::try_from(walked.len())?);
    assert!(walked.iter().all(|state| state.verdict == "fail"));
    for (table, count) in [(None, 300), (Some("t1"), 100)] {
        let (walked, total) = walk!(start, facts::list(&mut tx, asset_id, table, &start));
        assert_eq!((total.count, walked.len()), (count, usize::try_from(count)?));
        assert!(walked.is_sorted_by_key(|fact| (fact.module.clone(), fact.table_name.clone(), fact.row_key.clone())));
    }
    let (walked, total) = walk!(start, facts::changes(&mut tx, asset_id, &start));
    assert_eq!((total.count, walked.len()), (300, 300));
    assert!(walked.is_sorted_by(|a, b| a.changed_at >= b.changed_at));
    for missing in [
        facts::list(&mut tx, Uuid::nil(), None, &Page::default().into()).await.map(|_| ()),
        facts::changes(&mut tx, Uuid::nil(), &Page::default().into()).await.map(|_| ()),
        checks::list(&mut tx, Uuid::nil(), None, &Page::default().into()).await.map(|_| ()),
    ] {
        assert!(matches!(missing, Err(store::Error::NotFound("asset"))));
    }
    Ok(())
}

#[tokio::test]
async fn runs_by_module_are_looked_for_window_by_window() -> Result<()> {
    let (installation, tenant) = furnished().await?;
    let mut tx = installation.api.tenant::<Read>(&tenant).await?;
    let failed = RunFilter { status: Some(runs::Status::Failed), ..RunFilter::default() };
    let part = runs::list(&mut tx, &failed, &Page::new(1, 100).into()).await?;
    assert_eq!((part.items.len(), part.total.count, part.total.is_exact, part.next), (24, 24, true, None));
    // The third rare run lies behind the first 10,000.
    let rare = RunFilter { module: Some("rare".to_owned()), ..RunFilter::default() };
    let first = runs::list(&mut tx, &rare, &Page::new(1, 100).into()).await?;
    assert_eq!((first.items.len(), first.total.is_exact), (2, false));
    let rest = runs::list(&mut tx, &rare, &Start::after(first.next, 100)).await?;
    assert_eq!((rest.items.len(), rest.next), (1, None));
    for (filter, index) in [("status = 'failed'", "runs_unsuccessful"), ("true", "runs_received_at")] {
        let explain = format!(
            "EXPLAIN SELECT run_id FROM tenant_acme.runs WHERE {filter} ORDER BY received_at DESC, run_id LIMIT 100"
        );
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_all(&installation.admin).await?;
        assert!(plan.iter().any(|line| line.contains(index)), "{plan:#?}");
    }
    let mut count = 0;
    let mut rows = runs::export(&mut tx, &failed)?;
    while rows.next().await?.is_some() {
        count += 1;
    }
    assert_eq!(count, 24);
    Ok(())
}
