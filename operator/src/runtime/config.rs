//! Configuration: environment variables with the prefix `TENA_`, each also a flag. A bad value stops the start with a
//! sentence that names the variable.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use secrecy::SecretString;
use url::Url;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Whether submounts of a node's root are read-only for the agent too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RecursiveReadOnly {
    /// Where the container runtime can.
    #[value(name = "IfPossible")]
    IfPossible,
    /// Always; the pod does not start where the runtime cannot.
    #[value(name = "Enabled")]
    Enabled,
    /// Never: for runtimes that do not know it (containerd 1.6).
    #[value(name = "Disabled")]
    Disabled,
}

impl fmt::Display for RecursiveReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IfPossible => "IfPossible",
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
        })
    }
}

/// The operator's configuration.
#[derive(Debug, Clone, Parser)]
#[command(name = "tenantra-operator", version, about = "Reconciles tenants and everything they need")]
pub struct Config {
    /// Postgres as `tenantra_owner`: <postgres://user:password@host:5432/database>
    #[arg(long, env = "TENA_DB_OWNER_URL", hide_env_values = true)]
    pub db_owner_url: Option<SecretString>,
    /// A file that holds the database URL
    #[arg(long, env = "TENA_DB_OWNER_URL_FILE", conflicts_with = "db_owner_url")]
    pub db_owner_url_file: Option<PathBuf>,
    /// Postgres connections at most
    #[arg(long, env = "TENA_DB_CONNECTIONS", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub db_connections: u32,

    /// OpenBao or Vault, as <https://host:8200>; without it, tenants get no secrets and no condition for them
    #[arg(long, env = "TENA_VAULT_ADDR")]
    pub vault_addr: Option<Url>,
    /// The token the operator uses there
    #[arg(long, env = "TENA_VAULT_TOKEN", hide_env_values = true)]
    pub vault_token: Option<SecretString>,
    /// A file that holds the token; read again when it is refused
    #[arg(long, env = "TENA_VAULT_TOKEN_FILE", conflicts_with = "vault_token")]
    pub vault_token_file: Option<PathBuf>,
    /// Sign in with the pod's ServiceAccount under this role of the Kubernetes auth method
    #[arg(long, env = "TENA_VAULT_K8S_ROLE", conflicts_with_all = ["vault_token", "vault_token_file"])]
    pub vault_k8s_role: Option<String>,
    /// The ServiceAccount token for that
    #[arg(
        long,
        env = "TENA_VAULT_K8S_TOKEN_FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    )]
    pub vault_k8s_token_file: PathBuf,
    /// The CA of its certificate, in PEM
    #[arg(long, env = "TENA_VAULT_CA_FILE")]
    pub vault_ca_file: Option<PathBuf>,
    /// Mount of the KV v2 engine
    #[arg(long, env = "TENA_VAULT_KV_MOUNT", default_value = "secret", value_parser = mount)]
    pub vault_kv_mount: String,
    /// Mount of the transit engine
    #[arg(long, env = "TENA_VAULT_TRANSIT_MOUNT", default_value = "transit", value_parser = mount)]
    pub vault_transit_mount: String,
    /// Mount of the PKI engine
    #[arg(long, env = "TENA_VAULT_PKI_MOUNT", default_value = "pki", value_parser = mount)]
    pub vault_pki_mount: String,
    /// Mount of the Kubernetes auth method
    #[arg(long, env = "TENA_VAULT_K8S_MOUNT", default_value = "kubernetes", value_parser = mount)]
    pub vault_k8s_mount: String,

    /// The namespace this program and the API run in
    #[arg(long, env = "TENA_NAMESPACE", default_value = "tenantra-system", value_parser = dns_label)]
    pub namespace: String,
    /// Who this process is in the Lease; a pod's name, so that a restarted container continues at once
    #[arg(long, env = "TENA_POD_NAME")]
    pub pod_name: Option<String>,
    /// The Lease that the replicas elect their leader by
    #[arg(long, env = "TENA_LEASE_NAME", default_value = "tenantra-operator", value_parser = dns_label)]
    pub lease_name: String,
    /// How long a leader that died holds the lead, in seconds
    #[arg(long, env = "TENA_LEASE_SECONDS", default_value_t = 12, value_parser = clap::value_parser!(u64).range(10..=60))]
    pub lease_seconds: u64,

    /// The installation's base domain; a tenant's default host name lies below it
    #[arg(long, env = "TENA_BASE_DOMAIN", default_value = "tenantra.local")]
    pub base_domain: String,
    /// Image of the agent
    #[arg(long, env = "TENA_AGENT_IMAGE", default_value = "tenantra/agent:latest")]
    pub agent_image: String,
    /// `Always`, `IfNotPresent` or `Never`
    #[arg(long, env = "TENA_AGENT_IMAGE_PULL_POLICY", default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub agent_image_pull_policy: String,
    /// Resources of the agent's container as JSON, unless the tenant sets its own
    #[arg(long, env = "TENA_AGENT_RESOURCES", default_value = r#"{"requests":{"cpu":"10m","memory":"32Mi"},"limits":{"memory":"160Mi"}}"#, value_parser = resources)]
    pub agent_resources: serde_json::Value,
    /// Whether submounts of the node's root are read-only for the agent
    #[arg(long, env = "TENA_AGENT_RECURSIVE_READ_ONLY", default_value = "IfPossible")]
    pub agent_recursive_read_only: RecursiveReadOnly,
    /// Where agents find the API
    #[arg(long, env = "TENA_API_URL_FOR_AGENTS")]
    pub api_url_for_agents: Option<Url>,
    /// The CA of the API's certificate, in PEM
    #[arg(long, env = "TENA_API_CA_FILE")]
    pub api_ca_file: Option<PathBuf>,

    /// How often outside systems are read again, in seconds (with jitter)
    #[arg(long, env = "TENA_RESYNC_SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub resync_seconds: u64,
    /// How many tenants are reconciled side by side
    #[arg(long, env = "TENA_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// More deletions than this in an hour hold all of them
    #[arg(long, env = "TENA_MAX_OFFBOARDS_PER_HOUR", default_value_t = 10)]
    pub max_offboards_per_hour: usize,
    /// Where metrics and health are served
    #[arg(long, env = "TENA_LISTEN", default_value = "0.0.0.0:8080", value_parser = listen)]
    pub listen: SocketAddr,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter of tracing
    #[arg(long, env = "TENA_LOG_LEVEL", default_value = "info", value_parser = crate::runtime::log::filter)]
    pub log_level: String,
    /// How log lines look
    #[arg(long, env = "TENA_LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
}

/// A configuration that cannot work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that a variable names cannot be read.
    #[error("{variable} names {path}, which cannot be read: {source}")]
    File {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Two variables that only make sense together.
    #[error("{0}")]
    Incomplete(&'static str),
}

impl Config {
    /// The database URL, from the variable, its file, or the names of older installations.
    pub fn database_url(&self) -> Result<SecretString, Error> {
        if let Some(url) = &self.db_owner_url {
            return Ok(url.clone());
        }
        if let Some(path) = &self.db_owner_url_file {
            return read_secret("TENA_DB_OWNER_URL_FILE", path);
        }
        for alias in ["TENA_DB_URL", "DATABASE_URL"] {
            if let Ok(url) = std::env::var(alias) {
                tracing::info!(alias, "the database URL comes from {alias}; TENA_DB_OWNER_URL would win");
                return Ok(url.into());
            }
        }
        Err(Error::Incomplete(
            "set TENA_DB_OWNER_URL (or TENA_DB_OWNER_URL_FILE) to the URL of Postgres as tenantra_owner",
        ))
    }

    /// The PEM of the API's CA for the agents; empty where none is configured.
    pub fn api_ca(&self) -> Result<String, Error> {
        let Some(path) = &self.api_ca_file else { return Ok(String::new()) };
        std::fs::read_to_string(path).map_err(|source| Error::File {
            variable: "TENA_API_CA_FILE",
            path: path.clone(),
            source,
        })
    }

    /// The API's address for agents.
    pub fn api_url(&self) -> String {
        match &self.api_url_for_agents {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None => format!("https://tenantra-api.{}.svc:8443", self.namespace),
        }
    }

    /// How often outside systems are read again.
    pub fn resync(&self) -> Duration {
        Duration::from_secs(self.resync_seconds)
    }
}

/// Reads a secret from a file, without its line end.
pub fn read_secret(variable: &'static str, path: &std::path::Path) -> Result<SecretString, Error> {
    let text =
        std::fs::read_to_string(path).map_err(|source| Error::File { variable, path: path.to_owned(), source })?;
    Ok(text.trim().to_owned().into())
}

fn mount(value: &str) -> Result<String, String> {
    let valid = !value.is_empty()
        && value
            .split('/')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    if valid {
        Ok(value.to_owned())
    } else {
        Err("write the mount as in 'secret' or 'teams/secret', without slashes at the ends".into())
    }
}

fn dns_label(value: &str) -> Result<String, String> {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let inner = value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if value.len() <= 63 && inner && edge(value.bytes().next()) && edge(value.bytes().last()) {
        Ok(value.to_owned())
    } else {
        Err("write a Kubernetes name: at most 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
            .into())
    }
}

fn listen(value: &str) -> Result<SocketAddr, String> {
    let full = if value.starts_with(':') { format!("0.0.0.0{value}") } else { value.to_owned() };
    full.parse().map_err(|_| "write address and port, as in 0.0.0.0:8080".to_owned())
}

fn resources(value: &str) -> Result<serde_json::Value, String> {
    let parsed: serde_json::Value = serde_json::from_str(value).map_err(|e| format!("write resources as JSON: {e}"))?;
    let known = |map: &serde_json::Map<String, serde_json::Value>| map.keys().all(|k| k == "requests" || k == "limits");
    match parsed.as_object() {
        Some(map) if known(map) => Ok(parsed),
        _ => Err(r#"write an object with "requests" and "limits", as a pod does"#.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_refused_with_what_to_write() {
        for (flag, value, hint) in [
            ("--listen", "8080", "0.0.0.0:8080"),
            ("--vault-kv-mount", "/secret", "without slashes"),
            ("--namespace", "Tenantra", "a-z"),
            ("--agent-resources", "{\"cpu\":1}", "requests"),
            ("--lease-seconds", "2", "10..=60"),
            ("--log-level", "loud", "'loud' is no level"),
        ] {
            let error = Config::try_parse_from(["tenantra-operator", flag, value]).unwrap_err().to_string();
            assert!(error.contains(hint), "{flag} {value}: {error}");
        }
    }

    #[test]
    fn a_port_alone_listens_everywhere() {
        let config = Config::try_parse_from(["tenantra-operator", "--listen", ":9090"]).unwrap();
        assert_eq!(config.listen.to_string(), "0.0.0.0:9090");
    }
}
