//! What the daemon and `enroll` are told by flags and environment, checked before anything starts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use catalog::wire::EnrollCredential;
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Where the state lies if nothing else is said.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/tenantra/agent";
/// Results that wait for the server, in bytes, if nothing else is said: weeks of changes, an hour of full inventories.
const DEFAULT_SPOOL_BYTES: u64 = 64 << 20;

/// How to reach the platform.
#[derive(Debug, Clone, Args)]
pub struct ServerArgs {
    /// Address of the API, such as <https://tenantra.example.com>
    #[arg(long = "server", env = "TENA_API_URL", value_name = "URL")]
    pub server: Option<String>,
    /// CA that signed the API's certificate (PEM); with it no other CA is believed
    #[arg(long, env = "TENA_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Folder for the key, the credential and results not yet sent; for one agent alone
    #[arg(long, env = "TENA_STATE_DIR", value_name = "DIR", default_value = DEFAULT_STATE_DIR)]
    pub state_dir: PathBuf,
    /// Root of the host that is scanned
    #[arg(long, env = "TENA_HOST_ROOT", value_name = "DIR", default_value = "/")]
    pub host_root: PathBuf,
    /// Enrolment token that an administrator made
    #[arg(long, env = "TENA_ENROLL_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<SecretString>,
    /// File with a Kubernetes `ServiceAccount` token of the audience tenantra; read anew for each attempt
    #[arg(long, env = "TENA_ENROLL_SA_TOKEN_FILE", value_name = "FILE")]
    pub service_account_token_file: Option<PathBuf>,
    /// Labels of this host, such as env=prod,team=web
    #[arg(long, env = "TENA_LABELS", value_name = "KEY=VALUE,…", default_value = "")]
    pub labels: String,
    /// Name of the Kubernetes node, which becomes the host's name
    #[arg(long, env = "TENA_NODE_NAME", value_name = "NAME", hide = true)]
    pub node_name: Option<String>,
    /// UID of the Kubernetes node, a part of the host's identity
    #[arg(long, env = "TENA_NODE_UID", value_name = "UID", hide = true)]
    pub node_uid: Option<String>,
}

/// How the daemon behaves.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// How to reach the platform
    #[command(flatten)]
    pub server: ServerArgs,
    /// Bytes of results that may wait for the server; beyond it no new job is taken
    #[arg(long, env = "TENA_SPOOL_BYTES", value_name = "BYTES", default_value_t = DEFAULT_SPOOL_BYTES)]
    pub spool_bytes: u64,
    /// Seconds that a poll is held, unless the server says otherwise
    #[arg(long, env = "TENA_POLL_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=300), hide = true)]
    pub poll_seconds: Option<u32>,
    /// Stop when no job is left and every result is acknowledged
    #[arg(long)]
    pub once: bool,
    /// Where the content of modules that the host's OpenSCAP decides lies
    #[arg(long, env = "TENA_SCAP_CONTENT", value_name = "DIR", default_value = crate::oscap::CONTENT)]
    pub scap_content: PathBuf,
    /// Run although the kernel cannot forbid this agent to write on the host
    #[arg(long)]
    pub insecure_no_landlock: bool,
}

/// What cannot be right in the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address at all.
    #[error("where is the API? Give its address with --server or TENA_API_URL, such as https://tenantra.example.com")]
    NoServer,
    /// Not an address.
    #[error("\"{given}\" is not an address ({reason}); write it like https://tenantra.example.com:8443")]
    NotUrl {
        /// What was given.
        given: String,
        /// What is wrong.
        reason: String,
    },
    /// Not TLS.
    #[error("{0} is not reached over TLS; the agent's credential would be readable on the way: write https://…")]
    NotTls(String),
    /// More than an address.
    #[error(
        "{0} has a path, query or user name; give only the scheme, the host and the port: the agent adds /v1 itself"
    )]
    NotOrigin(String),
    /// A label is not `key=value`.
    #[error("the label \"{0}\" is not written key=value; separate several with commas")]
    Label(String),
    /// The token file cannot be read.
    #[error("cannot read the ServiceAccount token {path}: {source}")]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The host's root is no folder.
    #[error("the host's root {0} is not a folder that can be read; give it with --host-root or TENA_HOST_ROOT")]
    HostRoot(PathBuf),
    /// Nothing to enrol with.
    #[error(
        "this agent is not enrolled, and has nothing to enrol with: give --token (POST /v1/agents/enrollment-tokens makes one), or --service-account-token-file in Kubernetes"
    )]
    NoCredential,
}

impl ServerArgs {
    /// The server's address, reduced to scheme, host and port.
    pub fn server(&self) -> Result<Option<Url>, Error> {
        let Some(given) = self.server.as_deref().map(str::trim).filter(|given| !given.is_empty()) else {
            return Ok(None);
        };
        let url =
            Url::parse(given).map_err(|error| Error::NotUrl { given: given.to_owned(), reason: error.to_string() })?;
        if url.scheme() != "https" {
            return Err(Error::NotTls(given.to_owned()));
        }
        let is_origin = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if is_origin { Ok(Some(url)) } else { Err(Error::NotOrigin(given.to_owned())) }
    }

    /// The labels, parsed.
    pub fn labels(&self) -> Result<BTreeMap<String, String>, Error> {
        let pairs = self.labels.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
                _ => Err(Error::Label(pair.to_owned())),
            })
            .collect()
    }

    /// What to enrol with now: Kubernetes replaces the token's file every hour.
    pub fn credential(&self) -> Result<EnrollCredential, Error> {
        if let Some(path) = &self.service_account_token_file {
            let token = fs::read_to_string(path).map_err(|source| Error::TokenFile { path: path.clone(), source })?;
            return Ok(EnrollCredential::ServiceAccount { token: token.trim().to_owned() });
        }
        match &self.token {
            Some(token) => Ok(EnrollCredential::EnrollmentToken { token: token.expose_secret().trim().to_owned() }),
            None => Err(Error::NoCredential),
        }
    }

    /// Whether an enrolment can be repeated without a person.
    pub fn can_enroll_again(&self) -> bool {
        self.service_account_token_file.is_some()
    }

    /// Refuses a root that is not there.
    pub fn check_host_root(&self) -> Result<&Path, Error> {
        if fs::read_dir(&self.host_root).is_ok() {
            Ok(&self.host_root)
        } else {
            Err(Error::HostRoot(self.host_root.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        server: ServerArgs,
    }

    fn args(given: &[&str]) -> ServerArgs {
        Cli::parse_from([&["agent"], given].concat()).server
    }

    #[test]
    fn a_wrong_address_is_refused_with_what_to_write() {
        for (given, says) in [
            ("tenantra.example.com", "https://"),
            ("http://tenantra.example.com", "TLS"),
            ("https://tenantra.example.com/v1", "only the scheme"),
            ("https://user@tenantra.example.com", "only the scheme"),
        ] {
            let message = args(&["--server", given]).server().unwrap_err().to_string();
            assert!(message.contains(says), "{given}: {message}");
        }
        let url = args(&["--server", "https://tenantra.example.com:8443"]).server().unwrap().unwrap();
        assert_eq!(url.as_str(), "https://tenantra.example.com:8443/");
    }

    #[test]
    fn labels_are_pairs() {
        let labels = args(&["--labels", "env=prod, team=web,"]).labels().unwrap();
        assert_eq!(labels, BTreeMap::from([("env".into(), "prod".into()), ("team".into(), "web".into())]));
        assert!(args(&["--labels", "prod"]).labels().unwrap_err().to_string().contains("key=value"));
    }

    #[test]
    fn a_token_file_is_read_anew_for_each_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "one\n").unwrap();
        let args = args(&["--service-account-token-file", path.to_str().unwrap()]);
        assert_eq!(args.credential().unwrap(), EnrollCredential::ServiceAccount { token: "one".into() });
        fs::write(&path, "two\n").unwrap();
        assert_eq!(args.credential().unwrap(), EnrollCredential::ServiceAccount { token: "two".into() });
    }
}
