//! The agent's side of the API: one kept HTTP/2 connection, every request after enrolment signed, every answer bounded in time
//! and size. A wrong clock and a used sequence number are mended here; everything else is the caller's to judge.

use std::time::Duration;

use catalog::wire::{
    self, AgentConfig, EnrollRequest, EnrollResponse, PollRequest, PollResponse, ResultsRequest, ResultsResponse, codes,
};
use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use reqwest::{Method, RequestBuilder, Response, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::state::registration::Registration;
use crate::state::sequence::Sequence;

mod error;
mod tls;

pub use error::{Error, Remedy};
pub use tls::{Error as TrustError, Trust};

const CONNECT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(30);
/// A result of the largest size over a slow line.
const LONG: Duration = Duration::from_mins(2);
/// The kernel asks a silent peer whether it is there: that costs this process nothing, while pings of HTTP/2 would wake it.
const KEEP_ALIVE: Duration = Duration::from_mins(2);
const KEEP_ALIVE_AGAIN: Duration = Duration::from_secs(15);
const KEEP_ALIVE_TRIES: u32 = 4;
/// What was sent and not acknowledged for so long finds a connection that is cut.
const UNACKNOWLEDGED: Duration = Duration::from_mins(1);
/// The largest answer is a bundle of modules.
const MAX_ANSWER_BYTES: usize = 48 << 20;
/// Below this, compression costs more than it saves.
const COMPRESS_FROM_BYTES: usize = 512;
const COMPRESSION_LEVEL: i32 = 6;
/// How far to go on when the server has seen later numbers; more than its window.
const SKIP: u64 = 4 * wire::SEQUENCE_WINDOW;

/// The connection to a server, without an identity.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
}

impl Client {
    /// A client of `server` that trusts what `trust` says.
    pub fn new(server: Url, trust: &Trust) -> Result<Self, Error> {
        let build = |only_shipped: bool| {
            let builder = reqwest::Client::builder()
                .user_agent(concat!("tenantra-agent/", env!("CARGO_PKG_VERSION")))
                .https_only(true)
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(CONNECT)
                .pool_idle_timeout(None)
                .pool_max_idle_per_host(1)
                .tcp_keepalive(KEEP_ALIVE)
                .tcp_keepalive_interval(KEEP_ALIVE_AGAIN)
                .tcp_keepalive_retries(KEEP_ALIVE_TRIES)
                .tcp_user_timeout(UNACKNOWLEDGED);
            trust.apply(builder, only_shipped).build()
        };
        // An image without CA files cannot build the first.
        let http = build(false).or_else(|_| build(true)).map_err(Error::Setup)?;
        Ok(Client { http, server })
    }

    /// The server's address.
    pub fn server(&self) -> &Url {
        &self.server
    }

    /// Enrols this host.
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollResponse, Error> {
        let body = serde_json::to_vec(request).map_err(Error::Encode)?;
        let request = self
            .http
            .post(self.url("/v1/agents/enroll/self"))
            .header(header::CONTENT_TYPE, "application/json")
            .timeout(SHORT)
            .body(body);
        decode(send(request).await?).await
    }

    fn url(&self, path: &str) -> Url {
        // A path of ours always joins; the server's address was parsed with a host.
        self.server.join(path).unwrap_or_else(|_| self.server.clone())
    }
}

/// The connection of an enrolled agent.
#[derive(Debug)]
pub struct Session {
    client: Client,
    key: SigningKey,
    registration: Registration,
    sequence: Sequence,
    clock_offset_ms: i64,
}

impl Session {
    /// A session of the agent that `registration` names.
    pub fn new(client: Client, key: SigningKey, registration: Registration, sequence: Sequence) -> Self {
        Session { client, key, registration, sequence, clock_offset_ms: 0 }
    }

    /// Who this agent is.
    pub fn registration(&self) -> &Registration {
        &self.registration
    }

    /// What to add to this host's clock to get the server's, in milliseconds.
    pub fn clock_offset_ms(&self) -> i64 {
        self.clock_offset_ms
    }

    /// Reports the agent's state and asks for jobs.
    pub async fn poll(&mut self, request: &PollRequest) -> Result<PollResponse, Error> {
        let time_limit = SHORT + Duration::from_secs(request.wait_seconds.into());
        self.post("/v1/agents/jobs/next", request, time_limit).await
    }

    /// Sends results.
    pub async fn results(&mut self, request: &ResultsRequest) -> Result<ResultsResponse, Error> {
        self.post("/v1/agents/results", request, LONG).await
    }

    /// Fetches the configuration, with the bundle unless its checksum is `have`.
    pub async fn config(&mut self, have: Option<&str>) -> Result<AgentConfig, Error> {
        let mut path = format!("/v1/agents/config/{}", self.registration.agent_id);
        if let Some(checksum) = have {
            path.push_str("?have=");
            path.push_str(checksum);
        }
        self.call(&Method::GET, &path, Vec::new(), LONG).await
    }

    async fn post<B: Serialize, R: DeserializeOwned>(
        &mut self,
        path: &str,
        body: &B,
        limit: Duration,
    ) -> Result<R, Error> {
        let body = serde_json::to_vec(body).map_err(Error::Encode)?;
        self.call(&Method::POST, path, body, limit).await
    }

    /// Signs and sends; once more with the server's time or a later number if that is what it asks for.
    async fn call<R: DeserializeOwned>(
        &mut self,
        method: &Method,
        path: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<R, Error> {
        let (body, is_compressed) = pack(body);
        let mut is_mended = false;
        loop {
            let request = self.sign(method, path, &body, is_compressed)?.timeout(limit);
            match send(request).await {
                Err(error) if !is_mended && self.mend(&error)? => is_mended = true,
                Err(error) => return Err(error),
                Ok(response) => return decode(response).await,
            }
        }
    }

    fn mend(&mut self, error: &Error) -> Result<bool, Error> {
        match error.code() {
            Some(codes::CLOCK_SKEW) => {
                let Some(server_time) = error.server_time() else { return Ok(false) };
                self.clock_offset_ms = server_time.timestamp_millis() - Utc::now().timestamp_millis();
                tracing::warn!(
                    error_code = codes::CLOCK_SKEW,
                    offset_ms = self.clock_offset_ms,
                    "this host's clock is wrong; requests carry the server's time"
                );
                Ok(true)
            }
            Some(codes::REPLAYED) => {
                tracing::warn!(
                    error_code = codes::REPLAYED,
                    "the server has seen later sequence numbers; going on after them"
                );
                self.sequence.skip(SKIP)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn sign(&mut self, method: &Method, path: &str, body: &[u8], is_compressed: bool) -> Result<RequestBuilder, Error> {
        let sequence = self.sequence.take()?;
        let timestamp = Utc::now().timestamp_millis().saturating_add(self.clock_offset_ms);
        let signature = wire::sign_request(&self.key, method.as_str(), path, timestamp, sequence, body);
        let mut request = self
            .client
            .http
            .request(method.clone(), self.client.url(path))
            .bearer_auth(self.registration.token.expose())
            .header(wire::TIMESTAMP_HEADER, timestamp)
            .header(wire::SEQUENCE_HEADER, sequence)
            .header(wire::SIGNATURE_HEADER, signature);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        if is_compressed {
            request = request.header(header::CONTENT_ENCODING, "zstd");
        }
        Ok(request)
    }
}

/// Compresses what gains from it. The signature covers the bytes as sent.
fn pack(body: Vec<u8>) -> (Vec<u8>, bool) {
    if body.len() < COMPRESS_FROM_BYTES {
        return (body, false);
    }
    match zstd::bulk::compress(&body, COMPRESSION_LEVEL) {
        Ok(packed) => (packed, true),
        Err(_) => (body, false),
    }
}

async fn send(request: RequestBuilder) -> Result<Response, Error> {
    let response = request.send().await.map_err(|error| Error::from_transport(&error))?;
    if response.status().is_success() { Ok(response) } else { Err(Error::from_answer(response).await) }
}

async fn decode<R: DeserializeOwned>(response: Response) -> Result<R, Error> {
    let body = read_bounded(response, MAX_ANSWER_BYTES).await?;
    serde_json::from_slice(&body).map_err(Error::NotUnderstood)
}

async fn read_bounded(mut response: Response, limit: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::from_transport(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(Error::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A moment as the API writes it: RFC 3339, or milliseconds since 1970.
fn moment(value: &serde_json::Value) -> Option<DateTime<Utc>> {
    match value {
        serde_json::Value::String(text) => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
        serde_json::Value::Number(number) => DateTime::from_timestamp_millis(number.as_i64()?),
        _ => None,
    }
}
