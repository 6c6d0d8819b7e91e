//! Those who read: 50 people who have signed in, and what they ask for.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use sqlx::PgPool;
use tests::harness::eventually;

use crate::installation::Installation;

const PEOPLE: usize = 50;
const PERSON_PASSWORD: &str = "Reads-only-7-words";
/// How long all look at the overview.
const LOOK: Duration = Duration::from_secs(20);
/// How often each list is asked for in turn.
const TIMES: usize = 30;
/// Parts of a list that are read one after the other by cursor.
const PARTS: usize = 50;

/// What lists are asked for, 100 rows each; `{asset}`, `{module}` and `{check}` stand for one that is there.
const LISTS: [(&str, &str); 14] = [
    ("worst first", "findings?sort=-severity"),
    ("mildest first", "findings?sort=severity"),
    ("newest first", "findings?sort=-first_seen_at"),
    ("oldest, closed", "findings?sort=first_seen_at&status=closed"),
    ("two severities by time, all", "findings?severity=critical,low&sort=-first_seen_at&status=all"),
    ("one severity", "findings?severity=medium&sort=-severity"),
    ("one asset", "findings?asset_id={asset}&sort=-severity&status=all"),
    ("one module by time", "findings?module={module}&sort=-first_seen_at"),
    ("one check", "findings?check={check}&sort=-severity"),
    ("one check, low, oldest", "findings?check={check}&severity=low,medium&sort=first_seen_at"),
    ("a text that many have", "findings?q=conf.d&sort=-severity"),
    ("a text that none has", "findings?q=no-such-thing&sort=-first_seen_at"),
    ("assets by score", "assets?q=web&sort=score"),
    ("failed runs", "runs?status=failed"),
];

pub struct People {
    base: String,
    http: reqwest::Client,
    tokens: Vec<String>,
    lists: Vec<(&'static str, String)>,
}

/// How long answers took, in milliseconds, shortest first.
pub struct Times {
    sorted: Vec<f64>,
    pub per_s: f64,
}

impl Times {
    fn new(mut took: Vec<Duration>, wall: Duration) -> Self {
        took.sort();
        let sorted: Vec<f64> = took.iter().map(|one| one.as_secs_f64() * 1_000.0).collect();
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 requests")]
        let per_s = sorted.len() as f64 / wall.as_secs_f64();
        Self { sorted, per_s }
    }

    /// Answers.
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 requests")]
    pub fn count(&self) -> f64 {
        self.sorted.len() as f64
    }

    /// The time within which so many of a hundred were answered.
    pub fn at(&self, percent: usize) -> f64 {
        let place = (self.sorted.len() * percent).div_ceil(100).saturating_sub(1);
        self.sorted.get(place).copied().unwrap_or(f64::NAN)
    }
}

pub struct Lists {
    pub all: Times,
    pub worst: Times,
    pub worst_name: &'static str,
}

pub struct Written {
    pub rows: u64,
    pub bytes: f64,
    pub wall_s: f64,
}

/// Statements of one request each, without those that begin and end its transactions.
pub struct Counted {
    pub overview: f64,
    pub list: f64,
}

impl People {
    pub async fn sign_in(installation: &Installation) -> anyhow::Result<Self> {
        // A file is measured as it is written, not as it could be packed.
        let http = reqwest::Client::builder().gzip(false).pool_max_idle_per_host(PEOPLE).build()?;
        let mut people = Self { base: installation.url(""), http, tokens: Vec::new(), lists: Vec::new() };
        let body = json!({ "email": "reader-0@acme.example", "name": "Reader", "role": "readonly", "password": PERSON_PASSWORD });
        eventually(Duration::from_mins(1), "a person is made", async || {
            let call = people.http.post(people.url("/v1/users")).header("x-tenantra-tenant", "acme");
            Ok(call.bearer_auth(installation.access()).json(&body).send().await?.status().is_success().then_some(()))
        })
        .await?;
        // The others are copies of the first: a password takes a quarter of a second to store.
        let db = PgPool::connect(&installation.owner_url).await?;
        sqlx::query(
            "WITH made AS (
                 INSERT INTO shared.users (user_id, email, name, password_hash, is_super_admin, is_active)
                 SELECT gen_random_uuid(), 'reader-' || n || '@acme.example', 'Reader', u.password_hash, false, true
                 FROM shared.users u, generate_series(1, $1) n WHERE u.email = 'reader-0@acme.example' RETURNING user_id
             )
             INSERT INTO shared.memberships (user_id, tenant_id, role)
             SELECT made.user_id, m.tenant_id, m.role FROM made, shared.memberships m JOIN shared.users u USING (user_id)
             WHERE u.email = 'reader-0@acme.example'",
        )
        .bind(i32::try_from(PEOPLE - 1)?)
        .execute(&db)
        .await?;
        let signed_in = stream::iter(0..PEOPLE).map(|number| {
            let (people, email) = (&people, format!("reader-{number}@acme.example"));
            async move { people.token(&email, PERSON_PASSWORD).await }
        });
        let tokens: Vec<String> = signed_in.buffer_unordered(2).try_collect().await?;
        people.tokens = tokens;
        let (asset, module, check): (String, String, String) = sqlx::query_as(
            "SELECT asset_id::text, module, check_id FROM tenant_acme.findings ORDER BY finding_id LIMIT 1",
        )
        .fetch_one(&db)
        .await?;
        people.lists = LISTS
            .iter()
            .map(|(name, path)| {
                let path = path.replace("{asset}", &asset).replace("{module}", &module).replace("{check}", &check);
                (*name, format!("/v1/{path}&page_size=100"))
            })
            .collect();
        Ok(people)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    async fn token(&self, email: &str, password: &str) -> anyhow::Result<String> {
        let body = json!({ "email": email, "password": password });
        let answer = self.http.post(self.url("/v1/auth/login")).json(&body).send().await?.error_for_status()?;
        let answer: Value = answer.json().await?;
        Ok(answer["access_token"].as_str().context("no token")?.to_owned())
    }

    /// One answer, whole, and how long it took.
    async fn ask(&self, token: &str, path: &str) -> anyhow::Result<(Duration, Vec<u8>)> {
        let begun = Instant::now();
        let answer = self.http.get(self.url(path)).bearer_auth(token).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let took = begun.elapsed();
        ensure!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        Ok((took, body.to_vec()))
    }

    fn first(&self) -> anyhow::Result<&str> {
        self.tokens.first().map(String::as_str).context("nobody has signed in")
    }

    /// All look at the overview, again and again.
    pub async fn overviews(&self) -> anyhow::Result<Times> {
        self.ask(self.first()?, "/v1/overview").await?;
        let begun = Instant::now();
        let looking = self.tokens.iter().map(|token| async move {
            let mut took = Vec::new();
            while begun.elapsed() < LOOK {
                took.push(self.ask(token, "/v1/overview").await?.0);
            }
            anyhow::Ok(took)
        });
        let took: Vec<Vec<Duration>> = futures::future::try_join_all(looking).await?;
        Ok(Times::new(took.concat(), begun.elapsed()))
    }

    /// One person asks for every list in turn, then reads one part by part.
    pub async fn lists(&self) -> anyhow::Result<Lists> {
        let token = self.first()?;
        let (begun, mut all, mut each) = (Instant::now(), Vec::new(), Vec::new());
        for (name, path) in &self.lists {
            let mut took = Vec::new();
            for _ in 0..TIMES {
                took.push(self.ask(token, path).await?.0);
            }
            all.extend_from_slice(&took);
            each.push((*name, Times::new(took, Duration::from_secs(1))));
        }
        let (mut cursor, mut took) = (String::new(), Vec::new());
        for _ in 0..PARTS {
            let path = format!("/v1/findings?status=all&sort=-first_seen_at&page_size=100{cursor}");
            let (time, body) = self.ask(token, &path).await?;
            let answer: Value = serde_json::from_slice(&body)?;
            cursor = format!("&cursor={}", answer["next_cursor"].as_str().context("the list has ended")?);
            took.push(time);
        }
        all.extend_from_slice(&took);
        each.push(("part by part", Times::new(took, Duration::from_secs(1))));
        for (name, times) in &each {
            eprintln!("  {name}: p50 {:.1} ms, p95 {:.1} ms", times.at(50), times.at(95));
        }
        let worst = each.into_iter().max_by(|a, b| a.1.at(95).total_cmp(&b.1.at(95))).context("no lists")?;
        Ok(Lists { all: Times::new(all, begun.elapsed()), worst: worst.1, worst_name: worst.0 })
    }

    /// The file of these findings, read as it comes.
    pub async fn file(&self, filter: &str) -> anyhow::Result<Written> {
        let begun = Instant::now();
        let url = self.url(&format!("/v1/findings/export.csv?{filter}"));
        let answer = self.http.get(url).bearer_auth(self.first()?).send().await?.error_for_status()?;
        let (mut lines, mut bytes) = (0_u64, 0_u64);
        let mut chunks = answer.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            // None of these findings has a line break in it.
            lines += chunk.split(|byte| *byte == b'\n').skip(1).count() as u64;
            bytes += chunk.len() as u64;
        }
        #[expect(clippy::cast_precision_loss, reason = "a file has fewer than 2^52 bytes")]
        let bytes = bytes as f64;
        Ok(Written { rows: lines - 1, bytes, wall_s: begun.elapsed().as_secs_f64() })
    }

    /// Counted by Postgres, for the overview and for the list that needs most.
    pub async fn statements(&self, db: &PgPool) -> anyhow::Result<Counted> {
        let mut most = 0.0_f64;
        for (_, path) in &self.lists {
            most = most.max(self.statements_of(db, path).await?);
        }
        Ok(Counted { overview: self.statements_of(db, "/v1/overview").await?, list: most })
    }

    async fn statements_of(&self, db: &PgPool, path: &str) -> anyhow::Result<f64> {
        let mut least = f64::INFINITY;
        // What runs in the background meanwhile is in some of them.
        for _ in 0..4 {
            sqlx::query("SELECT pg_stat_statements_reset()").execute(db).await?;
            self.ask(self.first()?, path).await?;
            let count: f64 = sqlx::query_scalar(
                "SELECT COALESCE(sum(s.calls), 0)::float8 FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
                 WHERE (r.rolname = 'tenantra_api' OR r.rolname LIKE 'tenant\\_%') AND r.rolname <> 'tenantra_owner'
                     AND s.query !~* '^(BEGIN|SET|COMMIT|ROLLBACK|SELECT pg_catalog.pg_backend_pid)'",
            )
            .fetch_one(db)
            .await?;
            least = least.min(count);
        }
        Ok(least)
    }
}
