//! TLS 1.3 with HTTP/2, from two PEM files that may be replaced while the program runs (cert-manager does).

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum_server::tls_rustls::RustlsConfig;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at. A mounted Secret itself lags by up to a minute.
const RELOAD_EVERY: Duration = Duration::from_secs(30);

/// Why the certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or is not PEM.
    #[error("{path} cannot be used for TLS: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or the key is of an unknown kind.
    #[error("the TLS certificate and its key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// The two files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// Reads both.
    ///
    /// # Errors
    /// A file that cannot be used, or two that do not belong together.
    pub fn load(&self) -> Result<RustlsConfig, Error> {
        Ok(RustlsConfig::from_config(Arc::new(self.server_config()?)))
    }

    fn server_config(&self) -> Result<ServerConfig, Error> {
        let of = |path: &PathBuf| {
            let path = path.clone();
            move |source| Error::File { path, source }
        };
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(of(&self.certificate))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(of(&self.key))?;
        let mut config = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    /// Takes up a new certificate when the files change; a broken pair is logged and the old one kept.
    pub async fn reload_on_change(self, config: RustlsConfig, shutdown: CancellationToken) {
        let mut seen = self.fingerprint().await;
        while shutdown.run_until_cancelled(tokio::time::sleep(RELOAD_EVERY)).await.is_some() {
            let now = self.fingerprint().await;
            if now == seen {
                continue;
            }
            match self.server_config() {
                Ok(fresh) => {
                    config.reload_from_config(Arc::new(fresh));
                    seen = now;
                    tracing::info!("the TLS certificate was replaced");
                }
                Err(error) => tracing::error!(%error, "the new TLS certificate cannot be used; the old one is kept"),
            }
        }
    }

    async fn fingerprint(&self) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        (tokio::fs::read(&self.certificate).await.ok(), tokio::fs::read(&self.key).await.ok())
    }
}
