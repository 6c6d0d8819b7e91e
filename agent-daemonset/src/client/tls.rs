//! Whose certificates the agent believes: the CA it was given and no other, else the host's, else the public ones.

use std::fs;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, ClientBuilder};

/// Why a CA file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the CA file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It holds no certificate.
    #[error("the CA file {0} holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")]
    Empty(PathBuf),
    /// A certificate in it is broken.
    #[error("the CA file {path} holds a certificate that cannot be used: {source}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: reqwest::Error,
    },
}

/// Whose certificates are believed.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Only these.
    Only(Vec<Certificate>),
    /// The host's; in an image that has none, the public ones that ship with the program.
    Host,
}

impl Trust {
    /// Trusts the CA of the file alone if one is given.
    pub fn from_file(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else { return Ok(Trust::Host) };
        let pem = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let certificates =
            Certificate::from_pem_bundle(&pem).map_err(|source| Error::Broken { path: path.to_owned(), source })?;
        if certificates.is_empty() {
            return Err(Error::Empty(path.to_owned()));
        }
        Ok(Trust::Only(certificates))
    }

    pub(super) fn apply(&self, builder: ClientBuilder, only_shipped: bool) -> ClientBuilder {
        match self {
            Trust::Only(certificates) => builder.tls_certs_only(certificates.iter().cloned()),
            Trust::Host if only_shipped => builder.tls_certs_only(
                webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok()),
            ),
            Trust::Host => builder,
        }
    }
}
