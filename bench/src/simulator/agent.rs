//! One simulated agent: enrolled with a token, signing what it sends, remembering which snapshot the server acknowledged. It does
//! one thing at a time, as the real one does; a wrong clock is mended in the same way, by the server's answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use catalog::envelope::{CheckVerdict, Envelope, Facts, ResourceUse, RunStatus, Summary};
use catalog::wire::{
    AgentJob, AgentState, ApiError, EnrollCredential, EnrollRequest, EnrollResponse, PollRequest, PollResponse,
    ResultAck, ResultsRequest, ResultsResponse, SEQUENCE_HEADER, SIGNATURE_HEADER, SubmittedResult, TIMESTAMP_HEADER,
    UnchangedRun, codes, sign_request,
};
use chrono::Utc;
use ed25519_dalek::SigningKey;
use http::StatusCode;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::header;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::Fault;
use super::content::Content;
use super::host::{Host, Subject, run_id};
use crate::installation::url;

/// As the real agent's.
const COMPRESS_FROM_BYTES: usize = 512;
const COMPRESSION_LEVEL: i32 = 6;
const VERSION: &str = env!("CARGO_PKG_VERSION");
const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_mins(2);
/// Sooner than any answer comes that has to wait for a commit.
const LOST_AFTER: Duration = Duration::from_micros(300);
/// How far a clock jumps that the server does not take.
const JUMP_MS: i64 = 17 * 60 * 1_000;
const PATIENCE: Duration = Duration::from_secs(1);
/// Tries of one delivery before the agent gives up on the server.
const TRIES: u32 = 5;

/// A connection of one agent.
#[derive(Debug, Clone)]
pub struct Line {
    http: reqwest::Client,
    server: SocketAddr,
}

impl Line {
    /// Connects when something is sent, and stays connected.
    pub fn new(server: SocketAddr, certificate: &reqwest::Certificate) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("tenantra-agent/", env!("CARGO_PKG_VERSION")))
            .tls_certs_only([certificate.clone()])
            .resolve("localhost", server)
            .pool_idle_timeout(None)
            .pool_max_idle_per_host(1)
            .build()?;
        Ok(Self { http, server })
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Delivered {
    /// The run that the server now has.
    pub run_id: Uuid,
    /// When it said so.
    pub at: Instant,
    /// Requests that it took.
    pub requests: u32,
    /// Of these, those that were refused or not answered, and that no [`Fault`] explains.
    pub refused: u32,
}

/// What a poll brought.
#[derive(Debug)]
pub struct Told {
    pub jobs: Vec<AgentJob>,
    pub rejected_runs: Vec<Uuid>,
}

/// An enrolled agent on its host.
pub struct Agent {
    pub id: Uuid,
    pub asset_id: Uuid,
    host: Host,
    content: Arc<Content>,
    line: Line,
    key: SigningKey,
    token: String,
    sequence: u64,
    /// How far its clock is off, and what it has learned to add to it.
    clock_ms: i64,
    offset_ms: i64,
    config_version: String,
    /// The snapshot of each subject that the server acknowledged.
    acknowledged: BTreeMap<Subject, String>,
}

impl Agent {
    /// Enrols the host of `seed`.
    pub async fn enroll(line: Line, content: Arc<Content>, token: &str, seed: u64) -> anyhow::Result<Self> {
        let host = Host::of(seed, &content);
        let key = SigningKey::from_bytes(&StdRng::seed_from_u64(!seed).random());
        let request = EnrollRequest {
            credential: EnrollCredential::EnrollmentToken { token: token.to_owned() },
            public_key: BASE64_STANDARD.encode(key.verifying_key().as_bytes()),
            identity: host.identity(),
            hostname: host.name(),
            os: host.os(),
            agent_version: VERSION.to_owned(),
            labels: BTreeMap::new(),
        };
        let call = line.http.post(url(line.server, "/v1/agents/enroll/self")).timeout(SHORT).json(&request);
        let enrolled: EnrollResponse = decode(call.send().await?).await?;
        let EnrollResponse { agent_id, asset_id, token, sequence_start, config, .. } = enrolled;
        Ok(Self {
            id: agent_id,
            asset_id,
            host,
            content,
            line,
            key,
            token,
            sequence: sequence_start,
            clock_ms: 0,
            offset_ms: 0,
            config_version: config.version,
            acknowledged: BTreeMap::new(),
        })
    }

    /// What the first poll brings is the baseline: every job is answered, whole.
    pub async fn answer_first_jobs(&mut self) -> anyhow::Result<usize> {
        let told = self.poll(0, Vec::new()).await?;
        let mut results = Vec::new();
        for job in &told.jobs {
            let subject = Subject::of(&job.module).with_context(|| format!("no host knows {}", job.module))?;
            let envelope = self.envelope(job.run_id, subject, self.whole(subject));
            results.push(SubmittedResult { job_id: Some(job.job_id), envelope });
        }
        let request = ResultsRequest { results };
        let acks = self.results(&request).await?;
        for (result, ack) in request.results.iter().zip(&acks) {
            ensure!(ack.accepted, "{}: {:?}", result.envelope.module, ack.error);
            self.acknowledge(&result.envelope, ack);
        }
        Ok(acks.len())
    }

    /// Something changes on the host, and the server is told the difference. Returns once it is acknowledged.
    pub async fn report_change(&mut self, fault: Option<Fault>) -> anyhow::Result<Delivered> {
        self.report_change_in(TRIES, fault).await
    }

    /// The same, with so many tries, a second apart from each other.
    pub async fn report_change_in(&mut self, tries: u32, fault: Option<Fault>) -> anyhow::Result<Delivered> {
        let before = Subject::ALL.map(|subject| self.host.facts(subject));
        let subject = self.host.change(&self.content);
        let before = Subject::ALL.into_iter().zip(before).find(|(one, _)| *one == subject);
        let known: BTreeMap<String, String> =
            before.into_iter().flat_map(|(_, facts)| facts).map(|fact| (fact.hash(), fact.table)).collect();
        let base = self.acknowledged.get(&subject).cloned();
        let mut facts = Facts::between(base, &known, self.host.facts(subject));
        if fault == Some(Fault::StaleSnapshot) && facts.base.is_some() {
            facts.base = Some("0".repeat(32));
        }
        if fault == Some(Fault::WrongClock) {
            self.clock_ms += JUMP_MS;
        }
        let envelope = self.envelope(run_id(), subject, facts);
        let mut request = ResultsRequest { results: vec![SubmittedResult { job_id: None, envelope }] };
        let (mut requests, mut refused) = (0, 0);
        if fault == Some(Fault::LostAnswer) {
            requests += 1;
            // Whether the server had taken it by then is open, as it is on a real line.
            let _ = tokio::time::timeout(LOST_AFTER, self.results(&request)).await;
        }
        let mut acknowledged: Option<Instant> = None;
        for _ in 0..tries {
            requests += 1;
            let Ok(acks) = self.results(&request).await else {
                refused += 1;
                tokio::time::sleep(PATIENCE).await;
                continue;
            };
            let at = Instant::now();
            let (result, ack) = (request.results.first().context("one result")?, acks.first().context("one answer")?);
            if ack.accepted {
                let run_id = ack.run_id;
                let is_duplicate = ack.duplicate;
                let envelope = result.envelope.clone();
                self.acknowledge(&envelope, ack);
                // The delivery was over with the first answer.
                let first = *acknowledged.get_or_insert(at);
                if fault != Some(Fault::Repeat) || is_duplicate {
                    return Ok(Delivered { run_id, at: first, requests, refused });
                }
            } else if ack.error.as_ref().is_some_and(|error| error.code == codes::SNAPSHOT_MISMATCH) {
                self.acknowledged.remove(&subject);
                let whole = self.whole(subject);
                request = ResultsRequest {
                    results: vec![SubmittedResult { job_id: None, envelope: self.envelope(run_id(), subject, whole) }],
                };
            } else {
                bail!("a result was refused: {:?}", ack.error);
            }
        }
        bail!("the server took a result at none of {tries} tries")
    }

    /// What the host has now, by its hashes, as the server has it once all is acknowledged.
    pub fn facts(&self) -> BTreeSet<String> {
        Subject::ALL.into_iter().flat_map(|subject| self.host.facts(subject)).map(|fact| fact.hash()).collect()
    }

    /// A run that found what the server has, to be told in a poll.
    pub fn unchanged(&self, subject: Subject) -> Option<UnchangedRun> {
        Some(UnchangedRun {
            job_id: None,
            run_id: run_id(),
            module: subject.module().to_owned(),
            version: self.content.version(subject).to_owned(),
            base: self.acknowledged.get(&subject)?.clone(),
            started_at: Utc::now(),
            duration_ms: 40,
        })
    }

    /// Asks for work; held by the server for `wait_seconds` if there is none.
    pub async fn poll(&mut self, wait_seconds: u32, unchanged: Vec<UnchangedRun>) -> anyhow::Result<Told> {
        let request = PollRequest {
            wait_seconds,
            max_jobs: catalog::wire::MAX_JOBS,
            state: AgentState { agent_version: VERSION.to_owned(), rss_kb: 14_000, ..AgentState::default() },
            config_version: Some(self.config_version.clone()),
            unchanged,
            running: Vec::new(),
        };
        let limit = SHORT + Duration::from_secs(u64::from(wait_seconds));
        let answer: PollResponse = self.post("/v1/agents/jobs/next", &request, limit).await?;
        self.config_version = answer.config_version;
        Ok(Told { jobs: answer.jobs, rejected_runs: answer.rejected_runs })
    }

    /// Sends results, whatever they are.
    pub async fn results(&mut self, request: &ResultsRequest) -> anyhow::Result<Vec<ResultAck>> {
        let packed = pack(serde_json::to_vec(request)?)?;
        self.packed_results(&packed).await
    }

    /// Sends results that were packed before, so that a benchmark's time is not the agent's.
    pub async fn packed_results(&mut self, packed: &Packed) -> anyhow::Result<Vec<ResultAck>> {
        let answer: ResultsResponse = self.call("/v1/agents/results", packed, LONG).await?;
        Ok(answer.results)
    }

    fn acknowledge(&mut self, envelope: &Envelope, ack: &ResultAck) {
        let Some(subject) = Subject::of(&envelope.module) else { return };
        match &ack.snapshot {
            Some(snapshot) if *snapshot == envelope.facts.snapshot => {
                self.acknowledged.insert(subject, snapshot.clone())
            }
            _ => self.acknowledged.remove(&subject),
        };
    }

    fn whole(&self, subject: Subject) -> Facts {
        Facts::between(None, &BTreeMap::new(), self.host.facts(subject))
    }

    fn envelope(&self, run_id: Uuid, subject: Subject, facts: Facts) -> Envelope {
        let (mut checks, mut findings) = (Vec::new(), Vec::new());
        if subject == Subject::Sshd {
            let verdict = |(position, check): (usize, &catalog::module::Check)| CheckVerdict {
                id: check.id.clone(),
                verdict: self.host.verdict(position),
                message: None,
            };
            checks = self.content.sshd_checks.iter().enumerate().map(verdict).collect();
            findings = self.host.findings(&self.content);
        }
        Envelope {
            run_id,
            module: subject.module().to_owned(),
            version: self.content.version(subject).to_owned(),
            status: RunStatus::Succeeded,
            started_at: Utc::now(),
            duration_ms: 41,
            resource: ResourceUse { cpu_ms: 12, max_rss_kb: 14_000 },
            summary: Summary::of(&checks),
            checks,
            findings,
            benchmarks: Vec::new(),
            facts,
            artifacts: Vec::new(),
            log: Vec::new(),
        }
    }

    async fn post<R: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &impl Serialize,
        limit: Duration,
    ) -> anyhow::Result<R> {
        let packed = pack(serde_json::to_vec(body)?)?;
        self.call(path, &packed, limit).await
    }

    /// Signs and sends; once more with the server's time if that is what it asks for.
    async fn call<R: DeserializeOwned>(&mut self, path: &str, packed: &Packed, limit: Duration) -> anyhow::Result<R> {
        let answer = self.send(path, packed, limit).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return decode(answer).await;
        }
        let error: ApiError = answer.json().await?;
        let server_time = error.details.get("server_time_ms").and_then(serde_json::Value::as_i64);
        let (codes::CLOCK_SKEW, Some(server_time)) = (error.code.as_str(), server_time) else {
            bail!("{path}: {} ({})", error.message, error.code);
        };
        self.offset_ms = server_time - Utc::now().timestamp_millis() - self.clock_ms;
        decode(self.send(path, packed, limit).await?).await
    }

    async fn send(&mut self, path: &str, packed: &Packed, limit: Duration) -> anyhow::Result<reqwest::Response> {
        let sequence = self.sequence;
        self.sequence += 1;
        let timestamp = Utc::now().timestamp_millis() + self.clock_ms + self.offset_ms;
        let signature = sign_request(&self.key, "POST", path, timestamp, sequence, &packed.body);
        let mut call = self
            .line
            .http
            .post(url(self.line.server, path))
            .bearer_auth(&self.token)
            .header(TIMESTAMP_HEADER, timestamp)
            .header(SEQUENCE_HEADER, sequence)
            .header(SIGNATURE_HEADER, signature)
            .header(header::CONTENT_TYPE, "application/json")
            .timeout(limit)
            .body(packed.body.clone());
        if packed.is_zstd {
            call = call.header(header::CONTENT_ENCODING, "zstd");
        }
        Ok(call.send().await?)
    }
}

/// A body as it is sent.
#[derive(Debug, Clone)]
pub struct Packed {
    pub body: Vec<u8>,
    is_zstd: bool,
}

/// Compresses what gains from it.
pub fn pack(body: Vec<u8>) -> anyhow::Result<Packed> {
    if body.len() < COMPRESS_FROM_BYTES {
        return Ok(Packed { body, is_zstd: false });
    }
    Ok(Packed { body: zstd::bulk::compress(&body, COMPRESSION_LEVEL)?, is_zstd: true })
}

async fn decode<R: DeserializeOwned>(answer: reqwest::Response) -> anyhow::Result<R> {
    let status = answer.status();
    let body = answer.bytes().await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}
