//! A tenant of 10,000 hosts with as many findings as asked for, brought in by COPY as the schema's owner. Checks, severities
//! and titles are the catalog's; hosts enrol at random over 90 days, most of a host's findings come with its first scan and the
//! rest later, one in ten is closed. Scores are what a recompute gives, and a recompute is asked. The tables have no foreign
//! keys and no indexes meanwhile; afterwards they are as they were, checked, vacuumed and analysed.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::ensure;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use store::{Db, PoolOptions, Read, TenantRef, compliance, scores};

use super::bare::Bare;
use super::disk::Disk;
use crate::installation::Installation;

pub const ASSETS: u64 = 10_000;
const CHECKS_OF_ASSET: u64 = 40;
const RUNS_OF_ASSET: u64 = 20;
/// Findings of one COPY; after each the log is let go of.
const AT_ONCE: u64 = 1_000_000;
/// Text that is sent together.
const BATCH_BYTES: usize = 1024 * 1024;
const DAYS: u64 = 90;

/// A check of the catalog.
#[derive(sqlx::FromRow)]
struct Check {
    module: String,
    version: String,
    #[sqlx(rename = "check_id")]
    name: String,
    severity: String,
}

pub struct Loader {
    owner: PgConnection,
    disk: Disk,
    content: Content,
    findings: u64,
}

/// What the rows are made from.
struct Content {
    checks: Vec<Check>,
    begin: DateTime<Utc>,
}

/// A number that looks random and is always the same for the same numbers (splitmix64).
fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(b.wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The 32 digits of a UUID.
fn id(kind: u64, number: u64) -> String {
    format!("{:016x}{:016x}", mix(kind, number), mix(number, kind + 1))
}

fn asset(number: u64) -> String {
    id(1, number)
}

impl Loader {
    pub async fn new(installation: &Installation) -> anyhow::Result<Self> {
        let mut owner = PgConnection::connect(&installation.owner_url).await?;
        owner.execute("SET search_path = tenant_acme, pg_temp").await?;
        owner.execute("SET maintenance_work_mem = '512MB'").await?;
        let checks: Vec<Check> =
            sqlx::query_as("SELECT module, version, check_id, severity FROM shared.checks ORDER BY module, check_id")
                .fetch_all(&mut owner)
                .await?;
        ensure!(checks.len() >= 100, "the catalog has {} checks", checks.len());
        let content = Content { checks, begin: Utc::now() - TimeDelta::days(91) };
        Ok(Self { owner, disk: Disk::new(installation.admin.clone()), content, findings: 0 })
    }

    /// Hosts, their agents, verdicts, and runs.
    pub async fn hosts(&mut self) -> anyhow::Result<()> {
        let Self { owner, disk, content, findings: _ } = self;
        let modules = content.modules();
        let bare = Bare::strip(owner, &["agents", "asset_modules", "check_states", "runs"]).await?;
        let columns = "assets (asset_id, identity, kind, name, os, labels, first_seen_at, last_seen_at)";
        copy(owner, columns, 0..ASSETS, |n, line| {
            let (first, last) = (text(content.enrolled(n)), text(Utc::now() - seconds(mix(n, 9) % 600)));
            let os = r#"{"name": "Debian GNU/Linux", "version": "12", "arch": "x86_64"}"#;
            let (zone, team) = (mix(n, 3) % 4, mix(n, 4) % 20);
            let (id, labels) = (asset(n), format!(r#"{{"team": "t{team}"}}"#));
            write!(line, "{id}\tstate:{n}\thost\tweb-{n:05}.eu-{zone}.example\t{os}\t{labels}\t{first}\t{last}")
        })
        .await?;
        let columns = "agents (agent_id, asset_id, agent_version, source, last_seen_at)";
        copy(owner, columns, 0..ASSETS, |n, line| {
            // One in fifty is silent; the others are heard of for as long as this takes.
            let seen = text(Utc::now() + TimeDelta::minutes(if n.is_multiple_of(50) { -60 } else { 600 }));
            write!(line, "{}\t{}\t0.1.0\tservice_account\t{seen}", id(2, n), asset(n))
        })
        .await?;
        let columns = "asset_modules (asset_id, module, module_version, last_run_id, last_status, last_run_at)";
        let count = modules.len() as u64;
        copy(owner, columns, 0..ASSETS * count, |n, line| {
            let ((module, version), run) = (at(&modules, n), text(Utc::now() - seconds(mix(n, 8) % 86_400)));
            write!(line, "{}\t{module}\t{version}\t{}\tsucceeded\t{run}", asset(n / count), id(3, n))
        })
        .await?;
        let columns =
            "check_states (asset_id, module, check_id, module_version, verdict, severity, weight, run_id, changed_at)";
        copy(owner, columns, 0..ASSETS * CHECKS_OF_ASSET, |n, line| {
            let host = n / CHECKS_OF_ASSET;
            let Check { module, version, name, severity } = at(&content.checks, host + n % CHECKS_OF_ASSET);
            let verdict = at(&["pass", "pass", "fail", "not_applicable"], mix(n, 7));
            let weight = match severity.as_str() {
                "critical" => 10,
                "high" => 5,
                "medium" => 2,
                _ => 1,
            };
            let (asset, run, since) = (asset(host), id(3, n), text(content.enrolled(host)));
            write!(line, "{asset}\t{module}\t{name}\t{version}\t{verdict}\t{severity}\t{weight}\t{run}\t{since}")
        })
        .await?;
        let columns = "runs (run_id, asset_id, module, module_version, status, started_at, duration_ms, received_at)";
        copy(owner, columns, 0..ASSETS * RUNS_OF_ASSET, |n, line| {
            let (module, version) = at(&modules, mix(n, 5));
            let status = if mix(n, 6).is_multiple_of(500) { "failed" } else { "unchanged" };
            let (ended, asset) = (text(Utc::now() - seconds(n / 7)), asset(n % ASSETS));
            write!(line, "{}\t{asset}\t{module}\t{version}\t{status}\t{ended}\t41\t{ended}", id(4, n))
        })
        .await?;
        bare.restore(owner, disk).await
    }

    /// Whether there is room on disk for so many times as many findings as there are now.
    pub async fn has_room(&self, times: u32) -> anyhow::Result<bool> {
        self.disk.has_room(f64::from(times)).await
    }

    /// Findings up to `wanted` in all, over the hosts in turn; then scores and statistics.
    pub async fn findings(&mut self, tenant: &TenantRef, api_url: &str, wanted: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        let Self { owner, disk, content, findings } = self;
        let bare = Bare::strip(owner, &["findings"]).await?;
        let columns =
            "findings (finding_id, asset_id, module, module_version, check_id, resource, severity, status, evidence,
            content_hash, run_id, first_seen_at, opened_at, closed_at)";
        while *findings < wanted {
            let next = wanted.min(*findings + AT_ONCE);
            copy(owner, columns, *findings..next, |n, line| content.finding(n, line)).await?;
            // Of the new rows alone, and without indexes: what a later scan would write to the log at once.
            sqlx::query("VACUUM findings").execute(&mut *owner).await?;
            disk.checkpoint().await?;
            *findings = next;
            eprintln!("  {next} of {wanted} after {:.0} s", begun.elapsed().as_secs_f64());
        }
        bare.restore(owner, disk).await?;
        for statement in [SCORES, TREND] {
            sqlx::query(statement).bind(tenant.id).execute(&mut self.owner).await?;
        }
        for table in
            ["findings", "assets", "agents", "asset_modules", "check_states", "runs", "asset_scores", "score_days"]
        {
            self.owner.execute(sqlx::query(AssertSqlSafe(format!("VACUUM ANALYZE {table}")))).await?;
        }
        self.owner.execute("ANALYZE shared.checks").await?;
        let options = PoolOptions { statement_timeout: Duration::from_mins(5), ..PoolOptions::named("bench") };
        let db = Db::connect(api_url, &options)?;
        // What the API's worker would otherwise do while reads are measured.
        while !compliance::keep(&db, tenant, &analysis::score::Weights::default()).await?.is_whole {}
        let mut tx = db.tenant::<Read>(tenant).await?;
        let differences = scores::differences(&mut tx).await?;
        ensure!(differences.is_empty(), "{} kept scores are not what a recompute gives", differences.len());
        tx.rollback().await?;
        db.close().await;
        eprintln!("{wanted} findings are there after {:.0} s", begun.elapsed().as_secs_f64());
        self.disk.checkpoint().await?;
        self.disk.tell().await
    }
}

impl Content {
    fn finding(&self, n: u64, line: &mut String) -> std::fmt::Result {
        let host = n % ASSETS;
        let Check { module, version, name, severity } = at(&self.checks, mix(n, 11));
        let first = self.enrolled(host);
        // Most came with the host's first scan, in one instant.
        let opened = if mix(n, 12) % 10 < 7 {
            first
        } else {
            first + TimeDelta::milliseconds((mix(n, 13) % 1_000_000_000).cast_signed())
        };
        let (status, closed) = if mix(n, 14).is_multiple_of(10) {
            ("closed", text(opened + TimeDelta::hours(30)))
        } else {
            ("open", "\\N".to_owned())
        };
        let resource = match mix(n, 15) % 3 {
            0 => format!("/srv/app-{}/conf.d/{:04}.conf", mix(n, 16) % 300, mix(n, 17) % 10_000),
            1 => format!("user-{:05}", mix(n, 16) % 100_000),
            _ => format!("pkg-{}-{}", mix(n, 16) % 2_000, mix(n, 17) % 100),
        };
        let (actual, mode) = (mix(n, 18) % 100_000, mix(n, 19) % 512);
        let evidence =
            format!(r#"{{"actual": "{actual}", "expected": "0", "mode": "{mode:04o}", "path": "{resource}"}}"#);
        let (id, asset, hash, run, opened) = (id(5, n), asset(host), id(6, n), id(3, host), text(opened));
        write!(line, "{id}\t{asset}\t{module}\t{version}\t{name}\t{resource}\t{severity}\t{status}\t{evidence}")?;
        write!(line, "\t{hash}\t{run}\t{opened}\t{opened}\t{closed}")
    }

    fn enrolled(&self, host: u64) -> DateTime<Utc> {
        self.begin + seconds(mix(host, 2) % (DAYS * 86_400)) + TimeDelta::microseconds((host % 1_000_000).cast_signed())
    }

    fn modules(&self) -> Vec<(String, String)> {
        let mut modules: Vec<_> =
            self.checks.iter().map(|check| (check.module.clone(), check.version.clone())).collect();
        modules.dedup();
        modules
    }
}

/// Sends the lines of these numbers, in one COPY.
async fn copy(
    owner: &mut PgConnection,
    into: &str,
    numbers: Range<u64>,
    write: impl Fn(u64, &mut String) -> std::fmt::Result,
) -> anyhow::Result<()> {
    let mut copy = owner.copy_in_raw(&format!("COPY {into} FROM STDIN")).await?;
    let mut text = String::with_capacity(BATCH_BYTES + 1024);
    for number in numbers {
        write(number, &mut text)?;
        text.push('\n');
        if text.len() >= BATCH_BYTES {
            copy.send(text.as_bytes()).await?;
            text.clear();
        }
    }
    copy.send(text.as_bytes()).await?;
    copy.finish().await?;
    Ok(())
}

fn seconds(count: u64) -> TimeDelta {
    TimeDelta::seconds(count.cast_signed())
}

fn at<T>(items: &[T], number: u64) -> &T {
    let length = items.len() as u64;
    // Taken modulo the length, which is not 0: there are checks, and modules of them.
    &items[usize::try_from(number % length).unwrap_or(0)]
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

const SCORES: &str = "INSERT INTO asset_scores (asset_id, score, passed_weight, assessed_weight, passed, failed, not_applicable, error,
        open_critical, open_high, open_medium, open_low, updated_at)
    SELECT asset_id, CASE WHEN c.assessed > 0 THEN ((c.passed * 200 + c.assessed) / (c.assessed * 2))::smallint END, c.passed, c.assessed,
        c.passes, c.fails, c.none, c.errors, COALESCE(f.critical, 0), COALESCE(f.high, 0), COALESCE(f.medium, 0), COALESCE(f.low, 0), now()
    FROM (SELECT asset_id, COALESCE(sum(weight) FILTER (WHERE verdict = 'pass'), 0) AS passed,
            COALESCE(sum(weight) FILTER (WHERE verdict IN ('pass', 'fail')), 0) AS assessed,
            count(*) FILTER (WHERE verdict = 'pass') AS passes, count(*) FILTER (WHERE verdict = 'fail') AS fails,
            count(*) FILTER (WHERE verdict = 'not_applicable') AS none, count(*) FILTER (WHERE verdict = 'error') AS errors
        FROM check_states GROUP BY asset_id) c
    LEFT JOIN (SELECT asset_id, count(*) FILTER (WHERE severity = 'critical') AS critical,
            count(*) FILTER (WHERE severity = 'high') AS high, count(*) FILTER (WHERE severity = 'medium') AS medium,
            count(*) FILTER (WHERE severity = 'low') AS low FROM findings WHERE status = 'open' GROUP BY asset_id) f USING (asset_id)
    WHERE $1::uuid IS NOT NULL
    ON CONFLICT (asset_id) DO UPDATE SET open_critical = excluded.open_critical, open_high = excluded.open_high,
        open_medium = excluded.open_medium, open_low = excluded.open_low";

const TREND: &str = "INSERT INTO score_days (scope, scope_id, day, score, passed_weight, assessed_weight)
    SELECT 'tenant', $1, (now() AT TIME ZONE 'UTC')::date - d, 60 + d % 9, 60 + d % 9, 100 FROM generate_series(0, 45) d
    ON CONFLICT DO NOTHING";
