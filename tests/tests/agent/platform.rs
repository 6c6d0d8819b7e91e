//! The server's side of the agent protocol, as strict as the contract: real TLS, real signatures, every sequence number once,
//! every envelope against the schema, every snapshot recomputed. It keeps what it accepted, and can be told to misbehave.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use catalog::bundle::{Bundle, SignedBundle, sign};
use catalog::envelope::{Envelope, validate_json};
use catalog::facts::snapshot_id;
use catalog::module::{Module, Profile};
use catalog::wire::{self, codes};
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde_json::{Value, json};
use uuid::Uuid;

pub const ENROLL_TOKEN: &str = "let-me-in";

/// What the server knows, and how it misbehaves.
#[derive(Default)]
pub struct Platform {
    agents: HashMap<Uuid, Agent>,
    jobs: Vec<Job>,
    facts: BTreeMap<String, BTreeMap<String, String>>,
    /// Accepted envelopes by run: each once, whatever was sent.
    pub accepted: BTreeMap<Uuid, Envelope>,
    /// Runs that were told as unchanged.
    pub unchanged: Vec<Uuid>,
    /// Envelopes that came again.
    pub repeats: usize,
    /// Envelopes that came with all facts, no base.
    pub whole: usize,
    /// Requests refused because a number came twice.
    pub replays: usize,
    /// Every request by its path.
    pub requests: BTreeMap<String, usize>,
    /// What agents said of the limits of their workers.
    pub limits_told: Vec<wire::LimitsInForce>,
    /// Everything that broke the contract.
    pub broken: Vec<String>,
    pub bundle: Option<SignedBundle>,
    /// Answer results with this instead of taking them.
    pub refuse_results: Option<(StatusCode, &'static str)>,
    /// Fail on every request that holds a result of this module, as a server does that cannot store it.
    pub fails_on_module: Option<String>,
    /// Answer polls with this.
    pub refuse_polls: Option<(StatusCode, &'static str)>,
    /// Take results, then be this long about the answer.
    pub slow_answer: Duration,
    /// What the server's clock is ahead.
    pub clock_ahead: TimeDelta,
    pub lease: Duration,
}

struct Agent {
    digest: [u8; 32],
    key: VerifyingKey,
    id: Uuid,
    seen: HashSet<u64>,
}

struct Job {
    sent: wire::AgentJob,
    leased_until: Option<Instant>,
    is_done: bool,
}

impl Platform {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + self.clock_ahead
    }

    /// Asks for a run of a module.
    pub fn enqueue(&mut self, module: &Module) -> Uuid {
        self.enqueue_with(module, BTreeMap::new())
    }

    /// Asks for a run of a module with these parameters.
    pub fn enqueue_with(&mut self, module: &Module, parameters: BTreeMap<String, Value>) -> Uuid {
        let run_id = Uuid::now_v7();
        let job = wire::AgentJob {
            job_id: Uuid::new_v4(),
            run_id,
            module: module.slug.clone(),
            version: module.version.to_string(),
            parameters,
            profile: Profile::BaselineFast,
            lease_seconds: 60,
        };
        self.jobs.push(Job { sent: job, leased_until: None, is_done: false });
        run_id
    }

    /// The server loses what it knew of every module's facts.
    pub fn forget_facts(&mut self) {
        self.facts.clear();
    }

    /// The server loses every enrolment.
    pub fn forget_agents(&mut self) {
        self.agents.clear();
        self.facts.clear();
    }

    pub fn requests_to(&self, path: &str) -> usize {
        self.requests.get(path).copied().unwrap_or_default()
    }

    fn finish(&mut self, run_id: Uuid) {
        if let Some(job) = self.jobs.iter_mut().find(|job| job.sent.run_id == run_id) {
            job.is_done = true;
        }
    }

    fn lease(&mut self, most: u32) -> Vec<wire::AgentJob> {
        let (now, lease) = (Instant::now(), self.lease);
        let free = self.jobs.iter_mut().filter(|job| !job.is_done && job.leased_until.is_none_or(|until| until < now));
        free.take(most as usize)
            .map(|job| {
                job.leased_until = Some(now + lease);
                job.sent.clone()
            })
            .collect()
    }

    fn checksum(&self) -> String {
        self.bundle.as_ref().map(|bundle| bundle.checksum.clone()).unwrap_or_default()
    }

    fn config(&self, have: Option<&str>) -> wire::AgentConfig {
        wire::AgentConfig {
            version: "1".to_owned(),
            poll_seconds: 5,
            bundle_checksum: self.checksum(),
            bundle: self.bundle.clone().filter(|bundle| Some(bundle.checksum.as_str()) != have),
            modules_profile: Profile::BaselineFull,
        }
    }

    fn take(&mut self, result: &wire::SubmittedResult) -> wire::ResultAck {
        let envelope = &result.envelope;
        let held = self.facts.get(&envelope.module);
        let held_id = held.map(|facts| snapshot_id(facts.keys().map(String::as_str)));
        let refuse = |code: &str| wire::ResultAck {
            run_id: envelope.run_id,
            duplicate: false,
            accepted: false,
            snapshot: held_id.clone(),
            error: Some(wire::ResultError { code: code.to_owned(), message: "refused".to_owned() }),
        };
        if self.accepted.contains_key(&envelope.run_id) {
            self.repeats += 1;
            return wire::ResultAck {
                run_id: envelope.run_id,
                duplicate: true,
                accepted: true,
                snapshot: held_id,
                error: None,
            };
        }
        if let Some(contradiction) = envelope.contradiction() {
            self.broken.push(contradiction);
        }
        if envelope.facts.base.is_some() && envelope.facts.base != held_id {
            return refuse(codes::SNAPSHOT_MISMATCH);
        }
        let mut facts = if envelope.facts.base.is_some() { held.cloned().unwrap_or_default() } else { BTreeMap::new() };
        self.whole += usize::from(envelope.facts.base.is_none());
        for removed in &envelope.facts.removed {
            if facts.remove(&removed.hash).is_none() {
                self.broken.push(format!("{}: removed a fact that was not there", envelope.module));
            }
        }
        facts.extend(envelope.facts.added.iter().map(|fact| (fact.hash(), fact.table.clone())));
        let snapshot = snapshot_id(facts.keys().map(String::as_str));
        if snapshot != envelope.facts.snapshot {
            self.broken.push(format!("{}: the snapshot is not that of the facts", envelope.module));
        }
        self.facts.insert(envelope.module.clone(), facts);
        self.accepted.insert(envelope.run_id, envelope.clone());
        self.finish(envelope.run_id);
        wire::ResultAck {
            run_id: envelope.run_id,
            duplicate: false,
            accepted: true,
            snapshot: Some(snapshot),
            error: None,
        }
    }
}

/// A running server.
#[derive(Clone)]
pub struct Server {
    platform: Arc<Mutex<Platform>>,
    bundle_key: SigningKey,
    pub address: SocketAddr,
    pub ca_file: PathBuf,
}

impl Server {
    /// Starts it with a certificate of its own, whose CA lies in `folder`.
    pub async fn start(folder: &Path, modules: &[Module]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let ca_file = folder.join("ca.crt");
        std::fs::write(&ca_file, certificate.cert.pem()).unwrap();
        let tls = axum_server::tls_rustls::RustlsConfig::from_pem(
            certificate.cert.pem().into_bytes(),
            certificate.signing_key.serialize_pem().into_bytes(),
        )
        .await
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let bundle_key = SigningKey::from_bytes(&rand::random());
        let server = Server { platform: Arc::new(Mutex::new(Platform::default())), bundle_key, address, ca_file };
        server.lock().lease = Duration::from_secs(2);
        server.publish(modules);
        let router = axum::Router::new()
            .route("/v1/agents/enroll/self", post(enroll))
            .route("/v1/agents/config/{id}", get(config))
            .route("/v1/agents/jobs/next", post(poll))
            .route("/v1/agents/results", post(results))
            .with_state(server.clone());
        tokio::spawn(axum_server::from_tcp_rustls(listener, tls).unwrap().serve(router.into_make_service()));
        server
    }

    pub fn lock(&self) -> MutexGuard<'_, Platform> {
        self.platform.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Signs a bundle of these modules and hands it out from now on.
    pub fn publish(&self, modules: &[Module]) {
        self.lock().bundle = Some(sign(&Bundle::of(modules), &self.bundle_key).unwrap());
    }

    /// Waits until `done`, at most `seconds`; says what is there otherwise.
    pub async fn until(&self, seconds: u64, what: &str, mut done: impl FnMut(&mut Platform) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        while !done(&mut self.lock()) {
            assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Who sent a request, if everything about it is right.
    fn authenticate(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Uuid, Box<Response>> {
        let mut platform = self.lock();
        *platform.requests.entry(path.split('?').next().unwrap_or_default().to_owned()).or_default() += 1;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token: wire::AgentToken = header("authorization")
            .trim_start_matches("Bearer ")
            .parse()
            .map_err(|_| refusal(StatusCode::UNAUTHORIZED, codes::UNKNOWN_CREDENTIAL))?;
        let now = platform.now();
        let timestamp: i64 = header(wire::TIMESTAMP_HEADER).parse().unwrap_or_default();
        let sequence: u64 = header(wire::SEQUENCE_HEADER).parse().unwrap_or_default();
        let Some(agent) = platform.agents.get_mut(&token.credential_id()) else {
            return Err(refusal(StatusCode::UNAUTHORIZED, codes::UNKNOWN_CREDENTIAL).into());
        };
        if agent.digest != token.secret_digest() {
            return Err(refusal(StatusCode::UNAUTHORIZED, codes::UNKNOWN_CREDENTIAL).into());
        }
        let signature = header(wire::SIGNATURE_HEADER);
        if wire::verify_request(&agent.key, signature, method.as_str(), path, timestamp, sequence, body).is_err() {
            platform.broken.push(format!("{path}: bad signature"));
            return Err(refusal(StatusCode::UNAUTHORIZED, codes::BAD_SIGNATURE).into());
        }
        if (now.timestamp_millis() - timestamp).abs() > wire::MAX_CLOCK_SKEW_MS {
            let details = json!({ "code": codes::CLOCK_SKEW, "message": "wrong clock", "details": { "server_time": now }, "trace_id": "t" });
            return Err((StatusCode::UNAUTHORIZED, Json(details)).into_response().into());
        }
        if !agent.seen.insert(sequence) {
            platform.replays += 1;
            return Err(refusal(StatusCode::UNAUTHORIZED, codes::REPLAYED).into());
        }
        Ok(agent.id)
    }
}

fn refusal(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({ "code": code, "message": format!("{code} it is"), "details": {}, "trace_id": "t" })))
        .into_response()
}

async fn enroll(State(server): State<Server>, body: Bytes) -> Response {
    let request: wire::EnrollRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            server.lock().broken.push(error.to_string());
            return refusal(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        }
    };
    let (wire::EnrollCredential::EnrollmentToken { token } | wire::EnrollCredential::ServiceAccount { token }) =
        &request.credential;
    if token != ENROLL_TOKEN {
        return refusal(StatusCode::UNAUTHORIZED, "bad_token");
    }
    let key: [u8; 32] = STANDARD.decode(&request.public_key).unwrap().try_into().unwrap();
    let token = wire::AgentToken::new(Uuid::new_v4(), rand::random());
    let agent_id = Uuid::new_v4();
    let mut platform = server.lock();
    *platform.requests.entry("/v1/agents/enroll/self".to_owned()).or_default() += 1;
    let agent = Agent {
        digest: token.secret_digest(),
        key: VerifyingKey::from_bytes(&key).unwrap(),
        id: agent_id,
        seen: HashSet::new(),
    };
    platform.agents.insert(token.credential_id(), agent);
    let response = wire::EnrollResponse {
        agent_id,
        asset_id: Uuid::new_v4(),
        tenant: wire::TenantInfo { id: Uuid::from_u128(7), slug: "acme".to_owned() },
        token: token.expose(),
        sequence_start: rand::random_range(1..1_u64 << 62),
        server_time: platform.now(),
        bundle_public_key: STANDARD.encode(server.bundle_key.verifying_key().as_bytes()),
        config: platform.config(None),
    };
    (StatusCode::CREATED, Json(response)).into_response()
}

async fn config(State(server): State<Server>, OriginalUri(uri): OriginalUri, headers: HeaderMap) -> Response {
    let path = uri.path_and_query().unwrap().as_str().to_owned();
    match server.authenticate(&Method::GET, &path, &headers, &Bytes::new()) {
        Err(response) => *response,
        Ok(agent) if !path.contains(&agent.to_string()) => refusal(StatusCode::FORBIDDEN, "other_agent"),
        Ok(_) => Json(server.lock().config(path.split_once("have=").map(|(_, have)| have))).into_response(),
    }
}

async fn poll(
    State(server): State<Server>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(response) = server.authenticate(&Method::POST, uri.path(), &headers, &body) {
        return *response;
    }
    let request: wire::PollRequest = match parse(&headers, &body) {
        Ok(request) => request,
        Err(reason) => {
            server.lock().broken.push(reason);
            return refusal(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
        }
    };
    let mut rejected_runs = Vec::new();
    {
        let mut platform = server.lock();
        if let Some((status, code)) = platform.refuse_polls {
            return refusal(status, code);
        }
        platform.limits_told.extend(request.state.limits);
        let renewed = Instant::now() + platform.lease;
        for job in &mut platform.jobs {
            if request.running.contains(&job.sent.job_id) {
                job.leased_until = Some(renewed);
            }
        }
        for run in &request.unchanged {
            let held = platform.facts.get(&run.module).map(|facts| snapshot_id(facts.keys().map(String::as_str)));
            if held.as_ref() == Some(&run.base) {
                platform.finish(run.run_id);
                platform.unchanged.push(run.run_id);
            } else {
                rejected_runs.push(run.run_id);
            }
        }
    }
    let deadline = Instant::now() + Duration::from_secs(request.wait_seconds.into());
    loop {
        {
            let mut platform = server.lock();
            let jobs = platform.lease(request.max_jobs);
            if !jobs.is_empty() || !rejected_runs.is_empty() || Instant::now() >= deadline {
                return Json(wire::PollResponse {
                    jobs,
                    rejected_runs,
                    bundle_checksum: platform.checksum(),
                    config_version: "1".to_owned(),
                    server_time: platform.now(),
                })
                .into_response();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn results(
    State(server): State<Server>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(response) = server.authenticate(&Method::POST, uri.path(), &headers, &body) {
        return *response;
    }
    let parsed: Result<serde_json::Value, String> = parse(&headers, &body);
    let (acks, slow) = {
        let mut platform = server.lock();
        if let Some((status, code)) = platform.refuse_results {
            return refusal(status, code);
        }
        let value = match parsed {
            Ok(value) => value,
            Err(reason) => {
                platform.broken.push(reason);
                return refusal(StatusCode::UNPROCESSABLE_ENTITY, "invalid");
            }
        };
        for result in value["results"].as_array().into_iter().flatten() {
            if let Err(violation) = validate_json(&result["envelope"]) {
                platform.broken.push(violation.to_string());
            }
        }
        let request: wire::ResultsRequest = serde_json::from_value(value).unwrap();
        if request.results.iter().any(|result| platform.fails_on_module.as_ref() == Some(&result.envelope.module)) {
            return refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal");
        }
        let acks = request.results.iter().map(|result| platform.take(result)).collect();
        (acks, platform.slow_answer)
    };
    tokio::time::sleep(slow).await;
    Json(wire::ResultsResponse { results: acks }).into_response()
}

fn parse<T: serde::de::DeserializeOwned>(headers: &HeaderMap, body: &Bytes) -> Result<T, String> {
    let is_packed = headers.get("content-encoding").is_some_and(|encoding| encoding == "zstd");
    let plain = if is_packed {
        zstd::bulk::decompress(body, 32 << 20).map_err(|error| error.to_string())?
    } else {
        body.to_vec()
    };
    serde_json::from_slice(&plain).map_err(|error| error.to_string())
}
