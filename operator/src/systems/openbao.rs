//! A thin client of OpenBao (or Vault): paths in, JSON out, a time limit on each call, and the token kept fresh. Raw HTTP
//! instead of a client library, because a tenant costs ten small calls and the breaker has to tell "no answer" from "no".

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::{Certificate, Client, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::runtime::config::{self, Config};
use crate::runtime::lead::{Lead, NotLeading};

/// One call may take so long.
pub const REQUEST_LIMIT: Duration = Duration::from_secs(2);

/// What can go wrong with OpenBao.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer: down, unreachable, sealed, or too slow.
    #[error("OpenBao did not answer {what}: {why}")]
    Silent {
        /// What was asked.
        what: String,
        /// Why, without addresses that hold secrets.
        why: String,
    },
    /// It refused.
    #[error("OpenBao refused {what} with {status}: {why}")]
    Refused {
        /// What was asked.
        what: String,
        /// The HTTP status.
        status: u16,
        /// Its own words.
        why: String,
    },
    /// The client cannot be made from the configuration.
    #[error("the client of OpenBao cannot be made: {0}")]
    Setup(String),
    /// The configuration names a file that cannot be read.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The lead is gone.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
}

impl Error {
    /// Whether there was no answer at all.
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Silent { .. })
    }
}

/// How the operator signs in.
#[derive(Debug, Clone)]
enum Login {
    Token(SecretString),
    TokenFile(PathBuf),
    Kubernetes { mount: String, role: String, token_file: PathBuf },
}

/// Where the engines are mounted.
#[derive(Debug, Clone)]
pub struct Mounts {
    /// KV v2.
    pub kv: String,
    /// Transit.
    pub transit: String,
    /// PKI.
    pub pki: String,
    /// The Kubernetes auth method.
    pub kubernetes: String,
}

/// The client.
#[derive(Clone)]
pub struct OpenBao {
    inner: Arc<Inner>,
}

struct Inner {
    http: Client,
    base: Url,
    login: Login,
    token: RwLock<Option<SecretString>>,
    mounts: Mounts,
    lead: Lead,
}

impl OpenBao {
    /// The client that `config` asks for; `None` where it names no address.
    pub fn new(config: &Config, lead: Lead) -> Result<Option<Self>, Error> {
        let Some(base) = config.vault_addr.clone() else { return Ok(None) };
        let login = match (&config.vault_token, &config.vault_token_file, &config.vault_k8s_role) {
            (Some(token), ..) => Login::Token(token.clone()),
            (_, Some(path), _) => Login::TokenFile(path.clone()),
            (.., Some(role)) => Login::Kubernetes {
                mount: config.vault_k8s_mount.clone(),
                role: role.clone(),
                token_file: config.vault_k8s_token_file.clone(),
            },
            _ => {
                let sentence = "set TENA_VAULT_TOKEN, TENA_VAULT_TOKEN_FILE or TENA_VAULT_K8S_ROLE: TENA_VAULT_ADDR alone opens nothing";
                return Err(config::Error::Incomplete(sentence).into());
            }
        };
        let mounts = Mounts {
            kv: config.vault_kv_mount.clone(),
            transit: config.vault_transit_mount.clone(),
            pki: config.vault_pki_mount.clone(),
            kubernetes: config.vault_k8s_mount.clone(),
        };
        let http = http_client(&base, config)?;
        Ok(Some(Self { inner: Arc::new(Inner { http, base, login, token: RwLock::new(None), mounts, lead }) }))
    }

    /// Where the engines are mounted.
    pub fn mounts(&self) -> &Mounts {
        &self.inner.mounts
    }

    /// Whether it answers and is open.
    pub async fn ping(&self) -> Result<(), Error> {
        let url = self.url("sys/health");
        let answer = self.inner.http.get(url).query(&[("standbyok", "true"), ("perfstandbyok", "true")]).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                Err(Error::Silent { what: "a ping".into(), why: format!("its state is {}", answer.status()) })
            }
            Err(error) => Err(Error::Silent { what: "a ping".into(), why: reason(&error) }),
        }
    }

    /// Reads a path; `None` where there is nothing.
    pub async fn read(&self, path: &str) -> Result<Option<Value>, Error> {
        self.call(Method::GET, path, None).await
    }

    /// Lists the keys below a path; none where there is nothing.
    pub async fn list(&self, path: &str) -> Result<Vec<String>, Error> {
        let answer = self.call(Method::GET, &format!("{path}?list=true"), None).await?;
        let keys = answer.as_ref().and_then(|a| a.pointer("/data/keys")).and_then(Value::as_array);
        Ok(keys.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Writes a path.
    pub async fn write(&self, path: &str, body: &Value) -> Result<Option<Value>, Error> {
        self.inner.lead.permit(REQUEST_LIMIT)?;
        self.call(Method::POST, path, Some(body)).await
    }

    /// Deletes a path; nothing there is well.
    pub async fn delete(&self, path: &str) -> Result<(), Error> {
        self.inner.lead.permit(REQUEST_LIMIT)?;
        self.call(Method::DELETE, path, None).await.map(|_| ())
    }

    /// Mounts the engines that are missing, where the token may. Idempotent.
    pub async fn prepare(&self) -> Result<(), Error> {
        let mounts = self.inner.mounts.clone();
        let engines = self.read("sys/mounts").await?.unwrap_or_default();
        let methods = self.read("sys/auth").await?.unwrap_or_default();
        let has = |mounted: &Value, path: &str| mounted.get(format!("{path}/")).is_some();
        for (path, kind) in [(&mounts.kv, "kv-v2"), (&mounts.transit, "transit"), (&mounts.pki, "pki")] {
            if !has(&engines, path) {
                self.write(&format!("sys/mounts/{path}"), &json!({ "type": kind })).await?;
            }
        }
        if !has(&methods, &mounts.kubernetes) {
            self.write(&format!("sys/auth/{}", mounts.kubernetes), &json!({ "type": "kubernetes" })).await?;
        }
        Ok(())
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Option<Value>, Error> {
        let what = format!("{method} {path}");
        let known = self.inner.token.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_fresh = known.is_none();
        let token = match known {
            Some(token) => token,
            None => self.sign_in().await?,
        };
        match self.send(method.clone(), path, body, &token, &what).await {
            // The token may have ended or been replaced: sign in once more, then believe it.
            Err(Error::Refused { status: 403, .. }) if !is_fresh => {
                let token = self.sign_in().await?;
                self.send(method, path, body, &token, &what).await
            }
            answer => answer,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        token: &SecretString,
        what: &str,
    ) -> Result<Option<Value>, Error> {
        let is_read = method != Method::POST;
        let mut request = self.inner.http.request(method, self.url(path)).header("x-vault-request", "true");
        if !token.expose_secret().is_empty() {
            request = request.header("x-vault-token", token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let silent = |error: &reqwest::Error| Error::Silent { what: what.to_owned(), why: reason(error) };
        let answer = request.send().await.map_err(|e| silent(&e))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| silent(&e))?;
        match status {
            // An engine that is not mounted gives reasons; a path where nothing is gives none.
            StatusCode::NOT_FOUND if is_read && !has_reason(&text) => Ok(None),
            // Sealed, in recovery, no active node, rate limit: nobody is at home.
            _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Error::Silent { what: what.to_owned(), why: format!("{status}: {}", said(&text)) })
            }
            _ if !status.is_success() => {
                Err(Error::Refused { what: what.to_owned(), status: status.as_u16(), why: said(&text) })
            }
            _ if text.trim().is_empty() => Ok(None),
            _ => serde_json::from_str(&text)
                .map(Some)
                .map_err(|e| Error::Silent { what: what.to_owned(), why: format!("its answer is not JSON: {e}") }),
        }
    }

    async fn sign_in(&self) -> Result<SecretString, Error> {
        let token = match &self.inner.login {
            Login::Token(token) => token.clone(),
            Login::TokenFile(path) => config::read_secret("TENA_VAULT_TOKEN_FILE", path)?,
            Login::Kubernetes { mount, role, token_file } => {
                let jwt = config::read_secret("TENA_VAULT_K8S_TOKEN_FILE", token_file)?;
                let body = json!({ "role": role, "jwt": jwt.expose_secret() });
                let path = format!("auth/{mount}/login");
                let answer = self.send(Method::POST, &path, Some(&body), &String::new().into(), "the sign-in").await?;
                let token = answer.as_ref().and_then(|a| a.pointer("/auth/client_token")).and_then(Value::as_str);
                let missing = || Error::Silent { what: "the sign-in".into(), why: "the answer holds no token".into() };
                token.ok_or_else(missing)?.to_owned().into()
            }
        };
        *self.inner.token.write().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    fn url(&self, path: &str) -> String {
        format!("{}/v1/{path}", self.inner.base.as_str().trim_end_matches('/'))
    }
}

fn http_client(base: &Url, config: &Config) -> Result<Client, Error> {
    let builder = Client::builder().timeout(REQUEST_LIMIT).connect_timeout(REQUEST_LIMIT).no_proxy();
    let builder = match &config.vault_ca_file {
        Some(path) => {
            let file = |source| config::Error::File { variable: "TENA_VAULT_CA_FILE", path: path.clone(), source };
            let pem = std::fs::read(path).map_err(file)?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|e| Error::Setup(format!("TENA_VAULT_CA_FILE: {e}")))?;
            builder.tls_certs_only(certificates)
        }
        // An empty image has no CA files, and plain HTTP needs none; reqwest would refuse to start.
        None if base.scheme() == "http" => builder.tls_certs_only(Vec::new()),
        None => builder,
    };
    builder.build().map_err(|e| Error::Setup(e.to_string()))
}

fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        format!("no answer within {} s", REQUEST_LIMIT.as_secs())
    } else if error.is_connect() {
        "it cannot be reached".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

fn reasons(text: &str) -> Vec<String> {
    let parsed: Option<Value> = serde_json::from_str(text).ok();
    let errors = parsed.as_ref().and_then(|v| v.get("errors")).and_then(Value::as_array);
    errors.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn has_reason(text: &str) -> bool {
    !reasons(text).is_empty()
}

/// What an error answer says, cut to a line.
fn said(text: &str) -> String {
    let line = reasons(text).join("; ").replace(['\n', '\t'], " ");
    if line.is_empty() { "no reason given".to_owned() } else { line.chars().take(300).collect() }
}
