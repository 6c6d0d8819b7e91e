//! How to reach a cluster and as whom. It is read once, by the program's own command, and goes whole to a worker, which has
//! neither the file nor a resolver. Plain HTTP is taken only where there is nothing to lose on the way: no credentials.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::kubeconfig;
use crate::redact::redact;

/// Where a pod finds its own account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Why a cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is longer than a kubeconfig, a certificate or a token can be.
    #[error("{0} is longer than 1 MiB; that is no file about one cluster")]
    TooLong(PathBuf),
    /// The file is not a kubeconfig.
    #[error("{path} is no kubeconfig: {reason}")]
    NotKubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file has no such context, cluster or user.
    #[error("the kubeconfig has no {kind} \"{name}\"; it has {known}")]
    Unknown {
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No context is chosen.
    #[error("the kubeconfig has no current context: name one with --context")]
    NoContext,
    /// Something of the file is refused, and what to do instead.
    #[error("{0}")]
    Refused(String),
    /// The address of the API server is wrong.
    #[error("\"{server}\" is no address of an API server: {reason}")]
    Server {
        /// As written.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// The name of the API server has no address.
    #[error("the API server {host} has no address: {source}")]
    Name {
        /// The host.
        host: String,
        /// What the resolver said.
        source: std::io::Error,
    },
    /// A certificate or a key is broken.
    #[error("the {what} cannot be used: {reason}")]
    Certificate {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// This is no pod.
    #[error("this program does not run in a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")]
    NotInCluster,
}

/// A text that does not print.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[secret]")
    }
}

/// Whose certificates are believed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Trust {
    /// Those of the authorities in this PEM, and no other.
    Only(String),
    /// The public authorities.
    Public,
    /// Anybody's: asked for by name.
    Anybody,
}

/// A certificate of a client with its key, in PEM.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClientCertificate {
    pub chain: String,
    pub key: Secret,
}

/// The way to one cluster. It prints without its secrets; written out for a worker it holds them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Access {
    pub(super) context: String,
    pub(super) server: String,
    pub(super) host: String,
    /// In front of every path, without a slash at its end.
    pub(super) prefix: String,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) is_plain: bool,
    /// The name in the server's certificate, where it is another one than the host.
    pub(super) server_name: Option<String>,
    pub(super) trust: Trust,
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) token: Option<Secret>,
}

/// What a kubeconfig or a pod says, before it is looked at.
#[derive(Debug)]
pub(super) struct Stated {
    pub context: String,
    pub server: String,
    pub server_name: Option<String>,
    pub trust: Trust,
    pub certificate: Option<ClientCertificate>,
    pub token: Option<Secret>,
}

impl Access {
    /// Reads a kubeconfig; without `context`, its current one. `may_skip_verification` believes any certificate of the
    /// server, and without it a file that asks for that is refused. Resolves the server's name.
    pub fn from_kubeconfig(
        path: &Path,
        context: Option<&str>,
        may_skip_verification: bool,
    ) -> Result<Self, AccessError> {
        Self::of(kubeconfig::read(path, context, may_skip_verification)?)
    }

    /// The account of the pod that this program runs in.
    pub fn in_cluster() -> Result<Self, AccessError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let host = variable("KUBERNETES_SERVICE_HOST").ok_or(AccessError::NotInCluster)?;
        let port = variable("KUBERNETES_SERVICE_PORT").ok_or(AccessError::NotInCluster)?;
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let token = kubeconfig::text_of(&Path::new(ACCOUNT).join("token"))?;
        Self::of(Stated {
            context: "in-cluster".to_owned(),
            server: format!("https://{host}:{port}"),
            server_name: None,
            trust: Trust::Only(kubeconfig::text_of(&Path::new(ACCOUNT).join("ca.crt"))?),
            certificate: None,
            token: Some(Secret(token.trim().to_owned())),
        })
    }

    pub(super) fn of(stated: Stated) -> Result<Self, AccessError> {
        let Stated { context, server, server_name, trust, certificate, token } = stated;
        let wrong = |reason: &str| AccessError::Server { server: without_user(&server), reason: reason.to_owned() };
        let url = Url::parse(&server).map_err(|error| wrong(&error.to_string()))?;
        let is_plain = match url.scheme() {
            "https" => false,
            "http" if token.is_none() && certificate.is_none() => true,
            "http" => return Err(wrong("credentials are not sent over plain http; write https")),
            _ => return Err(wrong("write https://host:port")),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(wrong("it holds more than a host, a port and a path"));
        }
        let port = url.port_or_known_default().ok_or_else(|| wrong("it has no port"))?;
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(wrong("it has no host")),
        };
        let addresses: Vec<SocketAddr> = (host.as_str(), port)
            .to_socket_addrs()
            .map_err(|source| AccessError::Name { host: host.clone(), source })?
            .collect();
        if addresses.is_empty() {
            return Err(wrong("its name has no address"));
        }
        let is_header = |token: &Secret| token.0.bytes().all(|byte| byte.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !is_header(token)) {
            return Err(AccessError::Refused("the token has characters that no token has".to_owned()));
        }
        let prefix = url.path().trim_end_matches('/').to_owned();
        let access =
            Access { context, server, host, prefix, addresses, is_plain, server_name, trust, certificate, token };
        // What is wrong with a certificate is said now, and not by each table.
        access.tls()?;
        Ok(access)
    }

    /// The name of the context; `in-cluster` in a pod.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The address of the API server, as it was written.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The port of the API server: the only one that whoever reads this cluster connects to.
    pub fn port(&self) -> u16 {
        self.addresses.first().map_or(0, SocketAddr::port)
    }
}

/// An address as it may be shown: a name and a password in it are not repeated.
fn without_user(server: &str) -> String {
    server.rsplit_once('@').map_or_else(|| redact(server), |(_, rest)| format!("[secret]@{}", redact(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(server: &str, token: Option<&str>) -> Stated {
        Stated {
            context: "test".to_owned(),
            server: server.to_owned(),
            server_name: None,
            trust: Trust::Public,
            certificate: None,
            token: token.map(|token| Secret(token.to_owned())),
        }
    }

    #[test]
    fn a_server_is_a_host_a_port_and_a_path() {
        for (server, host, port, prefix) in [
            ("https://127.0.0.1:6443", "127.0.0.1", 6443, ""),
            ("https://[::1]/", "::1", 443, ""),
            ("https://127.0.0.1/k8s/clusters/c-1/", "127.0.0.1", 443, "/k8s/clusters/c-1"),
        ] {
            let access = Access::of(stated(server, Some("t"))).unwrap();
            assert_eq!((access.host.as_str(), access.port(), access.prefix.as_str()), (host, port, prefix), "{server}");
        }
    }

    #[test]
    fn nothing_is_sent_where_it_could_be_read() {
        for server in ["http://127.0.0.1:1", "ftp://127.0.0.1", "https://me:hunter22@127.0.0.1", "127.0.0.1:6443"] {
            let error = Access::of(stated(server, Some("t"))).unwrap_err().to_string();
            assert!(!error.contains("hunter22"), "{error}");
        }
        assert!(Access::of(stated("http://127.0.0.1:1", None)).is_ok());
        assert!(Access::of(stated("https://127.0.0.1", Some("a\r\nHost: x"))).is_err());
    }

    #[test]
    fn secrets_do_not_print() {
        let access = Access::of(stated("https://127.0.0.1", Some("hunter22"))).unwrap();
        assert!(!format!("{access:?}").contains("hunter22"));
        let again: Access = serde_json::from_str(&serde_json::to_string(&access).unwrap()).unwrap();
        assert_eq!(again.token.unwrap().0, "hunter22");
    }
}
