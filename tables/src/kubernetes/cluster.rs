//! One cluster: a question over TLS, a connection each, and the lists that are kept for a short while, because the checks of a
//! run ask for the same ones dozens of times.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};

use super::access::{Access, AccessError, Trust};
use super::packed::Packed;
use crate::budget::Budget;
use crate::http::{self, Bounds, Request};
use crate::reader::Warning;
use crate::value::Row;

/// Until a connection stands: an API server may be on another continent.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// Between two pieces of an answer.
const READ_PATIENCE: Duration = Duration::from_secs(15);
/// 500 pods are some 3 MB; what is longer is asked for in smaller pieces.
const BOUNDS: Bounds = Bounds { body_bytes: 4 << 20, patience: Duration::from_secs(30) };

/// As long as other kept rows (see `kept`).
const MAX_AGE: Duration = Duration::from_secs(30);
/// All kept lists together, as much as all other kept rows.
pub(super) const MAX_KEPT_BYTES: usize = 12 << 20;
const MAX_KEPT_LISTS: usize = 256;
/// Questions for a part of a list before the whole is read instead: a join asks once for each row of the other table.
const MAX_PARTS: u32 = 4;

/// A cluster that tables can ask.
#[derive(Debug)]
pub struct Cluster {
    access: Access,
    tls: OnceLock<Result<Option<Arc<ClientConfig>>, String>>,
    lists: Mutex<Lists>,
}

/// What is known of the lists.
#[derive(Debug, Default)]
struct Lists {
    by_key: HashMap<String, List>,
    /// Parts of a table that were asked for, and since when they are counted.
    parts: HashMap<&'static str, (Instant, u32)>,
}

#[derive(Debug)]
struct List {
    since: Instant,
    /// None if it is too long.
    kept: Option<Kept>,
}

/// The rows of a list; those of a long one are packed.
#[derive(Debug, Clone)]
pub(super) enum KeptRows {
    Plain(Arc<Vec<Row>>),
    Packed(Arc<Packed>),
}

/// A list with what was said while it was read.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub rows: KeptRows,
    pub warnings: Vec<Warning>,
    pub bytes: usize,
    /// Nothing broke off and nothing was refused.
    pub is_whole: bool,
}

impl Cluster {
    /// Connects to nothing yet.
    pub fn new(access: Access) -> Self {
        Cluster { access, tls: OnceLock::new(), lists: Mutex::default() }
    }

    /// How it is reached.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// The body of an answer. `path` is below the server's own.
    pub(super) fn get(&self, path: &str, budget: &Budget) -> Result<Vec<u8>, http::Error> {
        let path = format!("{}{path}", self.access.prefix);
        let authorization = self.access.token.as_ref().map(|token| format!("Bearer {}", token.0));
        let headers: Vec<(&str, &str)> = authorization.iter().map(|value| ("Authorization", value.as_str())).collect();
        let request = Request { method: "GET", host: &self.access.host, path: &path, headers: &headers };
        let stream = self.connect(budget)?;
        http::ask_within(stream, request, budget, BOUNDS)
    }

    fn connect(&self, budget: &Budget) -> io::Result<Stream> {
        let tls = self.tls.get_or_init(|| self.access.tls().map_err(|error| error.to_string()));
        let tls = tls.as_ref().map_err(|reason| io::Error::other(reason.clone()))?;
        let mut problem = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in &self.access.addresses {
            let patience = CONNECT_PATIENCE.min(budget.left());
            if patience.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(address, patience) {
                Ok(stream) => {
                    let patience = READ_PATIENCE.min(budget.left()).max(Duration::from_millis(1));
                    stream.set_read_timeout(Some(patience))?;
                    stream.set_write_timeout(Some(patience))?;
                    stream.set_nodelay(true)?;
                    return match tls {
                        None => Ok(Stream::Plain(stream)),
                        Some(config) => Ok(Stream::Tls(Box::new(self.secured(stream, config)?))),
                    };
                }
                Err(error) => problem = error,
            }
        }
        Err(problem)
    }

    fn secured(
        &self,
        stream: TcpStream,
        config: &Arc<ClientConfig>,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = self.access.server_name.as_ref().unwrap_or(&self.access.host).clone();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    /// A list that was read a short while ago, by the name of its table or of a part.
    pub(super) fn kept(&self, key: &str) -> Option<Kept> {
        let lists = self.lists();
        let list = lists.by_key.get(key).filter(|list| list.since.elapsed() < MAX_AGE)?;
        list.kept.clone()
    }

    /// Whether a part of a list may be asked for, rather than all of it. Counts the question.
    pub(super) fn may_ask_for_a_part(&self, table: &'static str) -> bool {
        let mut lists = self.lists();
        // Where the whole is too long to keep, or may not be read at all, a part is all there is.
        let whole = lists.by_key.get(table).filter(|list| list.since.elapsed() < MAX_AGE);
        if whole.is_some_and(|list| list.kept.as_ref().is_none_or(|kept| !kept.is_whole)) {
            return true;
        }
        let (since, asked) = lists.parts.entry(table).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= MAX_AGE {
            (*since, *asked) = (Instant::now(), 0);
        }
        *asked += 1;
        *asked <= MAX_PARTS
    }

    /// Keeps a list, or that it is too long to be kept. Others make room for it, the oldest first.
    pub(super) fn keep(&self, key: String, kept: Option<Kept>) {
        let mut lists = self.lists();
        let size = |list: &List| list.kept.as_ref().map_or(0, |kept| kept.bytes);
        let bytes = kept.as_ref().map_or(0, |kept| kept.bytes);
        lists.by_key.remove(&key);
        while lists.by_key.len() >= MAX_KEPT_LISTS
            || lists.by_key.values().map(size).sum::<usize>() + bytes > MAX_KEPT_BYTES
        {
            let oldest = lists.by_key.iter().min_by_key(|(_, list)| list.since).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            lists.by_key.remove(&oldest);
        }
        lists.by_key.insert(key, List { since: Instant::now(), kept });
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(buffer),
            Stream::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

impl Access {
    /// How TLS is spoken with the server; none for plain HTTP.
    pub(super) fn tls(&self) -> Result<Option<Arc<ClientConfig>>, AccessError> {
        if self.is_plain {
            return Ok(None);
        }
        let wrong = |what, reason: String| AccessError::Certificate { what, reason };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("setup of TLS", error.to_string()))?;
        let builder = match &self.trust {
            Trust::Anybody => builder.dangerous().with_custom_certificate_verifier(Arc::new(BelievesAnybody(provider))),
            Trust::Public => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
                builder.with_root_certificates(roots)
            }
            Trust::Only(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("certificate authority", pem)? {
                    roots.add(certificate).map_err(|error| wrong("certificate authority", error.to_string()))?;
                }
                builder.with_root_certificates(roots)
            }
        };
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = certificates("client certificate", &own.chain)?;
                let key = PrivateKeyDer::from_pem_slice(own.key.0.as_bytes())
                    .map_err(|error| wrong("client key", error.to_string()))?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| wrong("client certificate", error.to_string()))?
            }
        };
        Ok(Some(Arc::new(config)))
    }
}

fn certificates(what: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let found = found.map_err(|error| AccessError::Certificate { what, reason: error.to_string() })?;
    if found.is_empty() {
        return Err(AccessError::Certificate { what, reason: "it holds no certificate in PEM".to_owned() });
    }
    Ok(found)
}

/// Takes any certificate. Only behind `--insecure-skip-tls-verify`; that the server has the key of what it shows is checked
/// all the same.
#[derive(Debug)]
struct BelievesAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelievesAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
