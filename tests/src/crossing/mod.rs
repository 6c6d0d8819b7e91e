//! An attack on the borders between tenants, over the real API: random requests with everybody's identity, known things of
//! every tenant in path, query, body and cursor, connections that are shared by all and cut in the middle, and backends of
//! Postgres that end under a request. Everything that a tenant owns carries its mark; an answer with the mark, or the id of a
//! thing, of a tenant that the caller does not ask as is a leak.
//!
//! Request `n` of a seed is always the same one, whichever task sends it; only what the server does meanwhile differs.

mod answer;
mod draw;
mod parties;
mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use catalog::wire::{SEQUENCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, sign_request};
use chrono::Utc;
use futures::{StreamExt as _, stream};
use reqwest::{Client, RequestBuilder};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use answer::{Seen, foreign};
use draw::{Credential, Drawn};
use parties::Parties;
use routes::Route;

/// Longest that is waited for an answer; longer than the API's own limit for a statement.
const ANSWER_LIMIT: Duration = Duration::from_secs(45);
/// A stream of events has no end: so much of it is looked at.
const STREAM_LIMIT: Duration = Duration::from_millis(60);
/// Leaks that are told in full.
const TOLD: usize = 20;

/// What is attacked.
pub struct Target {
    /// Such as `http://127.0.0.1:8443`.
    pub base: String,
    /// Connections are pooled in each, for all who ask by it.
    pub clients: Vec<Client>,
    /// A platform administrator's access token.
    pub admin: String,
    /// What the API signs access tokens with, to make one that has expired.
    pub jwt_secret: String,
    /// Tenants that the API serves, by slug.
    pub tenants: Vec<String>,
    /// The database as its superuser.
    pub database: PgPool,
}

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// What all is drawn from.
    pub seed: u64,
    /// Requests.
    pub requests: u64,
    /// Requests at one time.
    pub at_once: usize,
    /// How often a backend that works for the API is ended.
    pub backend_ends_every: Duration,
    /// After that time no further request begins.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Requests that were sent.
    pub requests: u64,
    /// Of these, those that were cut off by us.
    pub cut: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Backends that were ended.
    pub backends_ended: u64,
    /// Requests that got no answer, because their connection went away.
    pub unanswered: u64,
    /// How many answers, or rows of a tenant, had something of another tenant, or were changed by one.
    pub leaks: u64,
    /// The first of them, with what was asked.
    pub told: Vec<String>,
}

impl Outcome {
    /// Answers of 500 and above.
    pub fn server_errors(&self) -> u64 {
        self.statuses.range(500..).map(|(_, count)| count).sum()
    }

    fn leak(&mut self, what: String) {
        self.leaks += 1;
        if self.told.len() < TOLD {
            self.told.push(what);
        }
    }
}

/// What became of one request.
enum Ended {
    Answered { status: u16, leaks: Vec<String> },
    Cut,
    Unanswered,
}

/// Brings people, agents and marked results into the tenants, then attacks.
pub async fn attack(target: &Target, plan: Plan) -> Result<Outcome> {
    ensure!(target.tenants.len() >= 2 && !target.clients.is_empty(), "an attack takes two tenants and a client");
    let parties = Parties::bring(target, plan.seed).await?;
    let routes = routes::read(target).await?;
    let saboteur = Saboteur::begin(target.database.clone(), plan.backend_ends_every);
    let begun = Instant::now();
    let mut outcome = Outcome::default();
    let mut requests = stream::iter(0..plan.requests)
        .take_while(|_| std::future::ready(begun.elapsed() < plan.limit))
        .map(|number| one(target, &parties, &routes, plan.seed, number))
        .buffer_unordered(plan.at_once.max(1));
    while let Some(ended) = requests.next().await {
        outcome.requests += 1;
        match ended {
            Ended::Cut => outcome.cut += 1,
            Ended::Unanswered => outcome.unanswered += 1,
            Ended::Answered { status, leaks } => {
                *outcome.statuses.entry(status).or_default() += 1;
                for leak in leaks {
                    outcome.leak(leak);
                }
            }
        }
    }
    drop(requests);
    outcome.backends_ended = saboteur.end().await?;
    for harm in parties.harm(target).await? {
        outcome.leak(harm);
    }
    Ok(outcome)
}

async fn one(target: &Target, parties: &Parties, routes: &[Route], seed: u64, number: u64) -> Ended {
    let drawn = Drawn::of(seed, number, parties, routes);
    let client = &target.clients[usize::try_from(number).unwrap_or_default() % target.clients.len()];
    let call = request(client, target, parties, &drawn);
    let limit = drawn.cut_after.unwrap_or(ANSWER_LIMIT);
    match timeout(limit, answer(call, drawn.is_stream)).await {
        Err(_) if drawn.cut_after.is_some() => Ended::Cut,
        Err(_) | Ok(Err(_)) => Ended::Unanswered,
        Ok(Ok(answered)) => {
            let leaks = foreign(&answered, &drawn, parties);
            let told = |what: String| format!("request {number} of seed {seed} ({drawn}) was answered with {what}");
            Ended::Answered { status: answered.status, leaks: leaks.into_iter().map(told).collect() }
        }
    }
}

fn request(client: &Client, target: &Target, parties: &Parties, drawn: &Drawn) -> RequestBuilder {
    let body = drawn.body.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut call = client.request(drawn.method.clone(), format!("{}{}", target.base, drawn.path));
    call = match &drawn.credential {
        Credential::Nothing => call,
        Credential::Token(token) => call.bearer_auth(token),
        Credential::Agent { agent, signed_by } => {
            let (agent, signer) = (&parties.agents[*agent], &parties.agents[*signed_by]);
            let sequence = agent.sequence.fetch_add(1, Ordering::Relaxed);
            let now = Utc::now().timestamp_millis();
            let method = drawn.method.as_str();
            let signature = sign_request(&signer.key, method, &drawn.path, now, sequence, body.as_bytes());
            call.bearer_auth(&agent.token)
                .header(TIMESTAMP_HEADER, now)
                .header(SEQUENCE_HEADER, sequence)
                .header(SIGNATURE_HEADER, signature)
        }
    };
    if let Some(slug) = &drawn.tenant_header {
        call = call.header("x-tenantra-tenant", slug);
    }
    if drawn.body.is_some() {
        call = call.header("content-type", "application/json").body(body);
    }
    call
}

async fn answer(call: RequestBuilder, is_stream: bool) -> reqwest::Result<Seen> {
    let mut answer = call.send().await?;
    let status = answer.status().as_u16();
    let headers = format!("{:?}", answer.headers());
    let mut body = Vec::new();
    if is_stream {
        let read = async {
            while let Ok(Some(chunk)) = answer.chunk().await {
                body.extend_from_slice(&chunk);
            }
        };
        // It goes on; this much of it is enough.
        let _ = timeout(STREAM_LIMIT, read).await;
    } else {
        body.extend_from_slice(&answer.bytes().await?);
    }
    Ok(Seen { status, text: format!("{headers}\n{}", String::from_utf8_lossy(&body)) })
}

/// Ends backends that work for the API, one after the other.
struct Saboteur {
    is_over: Arc<AtomicBool>,
    ended: Arc<AtomicU64>,
    task: JoinHandle<sqlx::Result<()>>,
}

impl Saboteur {
    fn begin(database: PgPool, every: Duration) -> Self {
        let (is_over, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (told, count) = (Arc::clone(&is_over), Arc::clone(&ended));
        let task = tokio::spawn(async move {
            while !told.load(Ordering::Relaxed) {
                let done: i64 = sqlx::query_scalar(
                    "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity
                     WHERE usename = 'tenantra_api' AND state <> 'idle' ORDER BY random() LIMIT 1) one",
                )
                .fetch_one(&database)
                .await?;
                count.fetch_add(done.unsigned_abs(), Ordering::Relaxed);
                sleep(every).await;
            }
            Ok(())
        });
        Self { is_over, ended, task }
    }

    async fn end(self) -> Result<u64> {
        self.is_over.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.ended.load(Ordering::Relaxed))
    }
}
