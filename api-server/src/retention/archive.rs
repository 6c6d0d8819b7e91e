//! The archive: rows as JSON lines under zstd, in a folder or in object storage that speaks S3, each object with a manifest.
//!
//! An object's name is made of its rows (the moment of the first, the digest of all), so the same rows are written to the same
//! place however often a run is ended half way, and no object is ever replaced by another content. What was written is read
//! back and compared before its rows are deleted. Names are made of a slug, a UUID, the name of a table and digits alone.

use std::{sync::Arc, time::Duration};

use object_store::{
    ClientOptions, GetOptions, ObjectStore, PutOptions,
    aws::AmazonS3Builder,
    client::{HttpClient, HttpConnector},
    local::LocalFileSystem,
    path::Path,
};
use reqwest::Certificate;
use serde::Serialize;
use sha2::{Digest, Sha256};
use store::{
    TenantRef,
    retention::{Key, Table},
};
use tokio::{task, time::timeout};
use url::Url;

use crate::config::{self, Config};

/// Writing or reading one object of some MiB.
const LIMIT: Duration = Duration::from_mins(1);
/// Connecting to the store.
const CONNECT: Duration = Duration::from_secs(10);
/// zstd's own default: rows shrink to a tenth, at some 300 MB a second.
const LEVEL: i32 = 3;

/// Why rows were not archived. They are not deleted then.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rows could not be packed.
    #[error("the rows cannot be packed: {0}")]
    Pack(#[from] std::io::Error),
    /// The task that packs them ended.
    #[error("the rows cannot be packed: {0}")]
    Task(#[from] task::JoinError),
    /// A manifest could not be written as JSON.
    #[error("a manifest cannot be written: {0}")]
    Manifest(#[from] serde_json::Error),
    /// The store does not take or give the object.
    #[error("the archive has no {object}: {source}")]
    Store {
        /// Its name.
        object: String,
        /// Why.
        source: object_store::Error,
    },
    /// The store does not answer.
    #[error("the archive did not take or give {object} within {} s", LIMIT.as_secs())]
    TimedOut {
        /// The object's name.
        object: String,
    },
    /// What the store has is not what was written.
    #[error("the archive has {object} with another content than was written")]
    Differs {
        /// The object's name.
        object: String,
    },
}

/// What an object holds, beside it under its name and `.manifest.json`.
#[derive(Debug, Serialize)]
struct Manifest<'a> {
    format: u32,
    tenant: &'a str,
    tenant_id: uuid::Uuid,
    table: &'static str,
    rows: usize,
    first_at: chrono::DateTime<chrono::Utc>,
    last_at: chrono::DateTime<chrono::Utc>,
    /// Places in the chain, of rows of the audit log.
    first_sequence: Option<i64>,
    last_sequence: Option<i64>,
    /// Of the lines before they were packed.
    bytes: usize,
    sha256: &'a str,
    object: &'a str,
    object_bytes: usize,
    object_sha256: &'a str,
}

/// Where rows are archived.
#[derive(Debug, Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    root: Path,
}

impl Archive {
    /// The archive that the configuration names; none if it names none.
    ///
    /// # Errors
    /// A value that cannot work.
    pub fn open(config: &Config) -> Result<Option<Self>, config::Error> {
        let Some(url) = &config.archive_url else { return Ok(None) };
        match url.scheme() {
            "file" => folder(url).map(Some),
            "s3" => bucket(url, config).map(Some),
            _ => Err(invalid("is neither file:///folder nor s3://bucket/prefix")),
        }
    }

    /// Writes rows of a tenant's table, given in their order as lines of JSON, reads them back and compares.
    ///
    /// # Errors
    /// They are not in the archive, or not for sure.
    pub async fn keep(&self, tenant: &TenantRef, table: Table, keys: &[Key], lines: Vec<u8>) -> Result<(), Error> {
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Ok(()) };
        let Packed { bytes, digest, object, object_digest } = task::spawn_blocking(move || pack(&lines)).await??;
        let name = format!("{}-{}.jsonl.zst", first.at.format("%Y%m%dT%H%M%S%.6fZ"), &digest[..16]);
        let folder = self.root.clone().join(tenant.slug.as_str()).join(tenant.id.to_string()).join(table.name());
        let manifest = serde_json::to_vec_pretty(&Manifest {
            format: 1,
            tenant: tenant.slug.as_str(),
            tenant_id: tenant.id,
            table: table.name(),
            rows: keys.len(),
            first_at: first.at,
            last_at: last.at,
            first_sequence: first.sequence,
            last_sequence: last.sequence,
            bytes,
            sha256: &digest,
            object: &name,
            object_bytes: object.len(),
            object_sha256: &object_digest,
        })?;
        let manifest_digest = hex::encode(Sha256::digest(&manifest));
        let beside = folder.clone().join(format!("{name}.manifest.json"));
        self.write(&folder.join(name.as_str()), object, &object_digest).await?;
        self.write(&beside, manifest, &manifest_digest).await
    }

    async fn write(&self, path: &Path, content: Vec<u8>, digest: &str) -> Result<(), Error> {
        let cannot = |source: object_store::Error| Error::Store { object: path.to_string(), source };
        let timed_out = |_| Error::TimedOut { object: path.to_string() };
        let put = self.store.put_opts(path, content.into(), PutOptions::default());
        timeout(LIMIT, put).await.map_err(timed_out)?.map_err(cannot)?;
        let read = async { self.store.get_opts(path, GetOptions::default()).await?.bytes().await };
        let stored = timeout(LIMIT, read).await.map_err(timed_out)?.map_err(cannot)?;
        if hex::encode(Sha256::digest(&stored)) == digest {
            Ok(())
        } else {
            Err(Error::Differs { object: path.to_string() })
        }
    }
}

struct Packed {
    bytes: usize,
    digest: String,
    object: Vec<u8>,
    object_digest: String,
}

fn pack(lines: &[u8]) -> Result<Packed, std::io::Error> {
    let object = zstd::stream::encode_all(lines, LEVEL)?;
    Ok(Packed {
        bytes: lines.len(),
        digest: hex::encode(Sha256::digest(lines)),
        object_digest: hex::encode(Sha256::digest(&object)),
        object,
    })
}

fn invalid(problem: &str) -> config::Error {
    config::Error::Invalid { variable: "TENA_ARCHIVE_URL", problem: problem.to_owned() }
}

fn folder(url: &Url) -> Result<Archive, config::Error> {
    let path = url
        .to_file_path()
        .map_err(|()| invalid("names no folder; write three slashes in front of the path: file:///var/lib/tenantra"))?;
    let cannot = |error: &dyn std::fmt::Display| invalid(&format!("names a folder that cannot be used: {error}"));
    std::fs::create_dir_all(&path).map_err(|error| cannot(&error))?;
    let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| cannot(&error))?.with_fsync(true);
    Ok(Archive { store: Arc::new(store), root: Path::default() })
}

fn bucket(url: &Url, config: &Config) -> Result<Archive, config::Error> {
    let name = url.host_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| invalid("names no bucket; write s3://bucket/prefix"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("holds a key; give it as TENA_ARCHIVE_ACCESS_KEY_ID and TENA_ARCHIVE_SECRET_ACCESS_KEY"));
    }
    let root = Path::from_url_path(url.path()).map_err(|error| invalid(&format!("has a bad prefix: {error}")))?;
    let is_plain = config.archive_endpoint.as_ref().is_some_and(|endpoint| endpoint.scheme() == "http");
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(name)
        .with_allow_http(is_plain)
        .with_http_connector(Connector(client(is_plain)?));
    if let Some(endpoint) = &config.archive_endpoint {
        builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/'));
    }
    if let Some(region) = &config.archive_region {
        builder = builder.with_region(region);
    }
    match (&config.archive_access_key_id, &config.archive_secret_access_key) {
        (Some(id), Some(secret)) => {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
        }
        (None, None) => {}
        _ => return Err(invalid("needs TENA_ARCHIVE_ACCESS_KEY_ID and TENA_ARCHIVE_SECRET_ACCESS_KEY, both or none")),
    }
    let store = builder.build().map_err(|error| invalid(&format!("cannot be used: {error}")))?;
    Ok(Archive { store: Arc::new(store), root })
}

/// Connections with our limits, on the one TLS of the program.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

fn client(is_plain: bool) -> Result<reqwest::Client, config::Error> {
    // Objects are compared as they are stored.
    let builder = || reqwest::Client::builder().timeout(LIMIT).connect_timeout(CONNECT).no_gzip();
    let shipped = || {
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok());
        builder().tls_certs_only(roots).build()
    };
    // Without CA files, as in an empty image, the first cannot be made; plain HTTP needs none.
    let made = if is_plain { shipped() } else { builder().build().or_else(|_| shipped()) };
    made.map_err(|error| invalid(&format!("cannot be reached: {error}")))
}

#[cfg(test)]
mod tests {
    use store::Slug;
    use uuid::Uuid;

    use super::*;

    fn opened(flags: &[&str]) -> Result<Option<Archive>, config::Error> {
        Archive::open(&Config::from_flags(flags.iter().copied()).unwrap())
    }

    #[test]
    fn an_address_that_cannot_work_is_a_sentence() {
        for (address, sentence) in [
            ("https://bucket.example/x", "neither file:///folder nor s3://bucket/prefix"),
            ("s3:///prefix", "names no bucket"),
            ("s3://key:secret@bucket/prefix", "holds a key"),
            ("file://host/folder", "names no folder"),
        ] {
            let error = opened(&[&format!("--archive-url={address}")]).unwrap_err().to_string();
            assert!(error.starts_with("TENA_ARCHIVE_URL") && error.contains(sentence), "{address}: {error}");
        }
        assert!(opened(&[]).unwrap().is_none());
    }

    #[tokio::test]
    async fn the_same_rows_are_written_to_the_same_place_and_can_be_read_without_us() {
        let folder = std::env::temp_dir().join(format!("tenantra-archive-{}", Uuid::now_v7()));
        let archive = opened(&[&format!("--archive-url=file://{}", folder.display())]).unwrap().unwrap();
        let tenant = TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::from_u128(7) };
        let at = chrono::DateTime::from_timestamp(1_700_000_000, 5_000).unwrap();
        let keys = [Key { at, id: Uuid::nil(), sequence: Some(1) }, Key { at, id: Uuid::max(), sequence: Some(2) }];
        let lines = b"{\"a\": 1}\n{\"a\": 2}\n".to_vec();
        for _ in 0..2 {
            archive.keep(&tenant, Table::AuditLog, &keys, lines.clone()).await.unwrap();
        }
        let place = folder.join("acme").join(tenant.id.to_string()).join("audit_log");
        let mut names: Vec<String> =
            place.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let digest = hex::encode(Sha256::digest(&lines));
        let object = format!("20231114T221320.000005Z-{}.jsonl.zst", &digest[..16]);
        assert_eq!(names, [object.clone(), format!("{object}.manifest.json")]);
        let packed = std::fs::read(place.join(&object)).unwrap();
        assert_eq!(zstd::stream::decode_all(packed.as_slice()).unwrap(), lines);
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(place.join(&names[1])).unwrap()).unwrap();
        assert_eq!(
            (&manifest["rows"], &manifest["sha256"], &manifest["last_sequence"]),
            (&2.into(), &digest.as_str().into(), &2.into())
        );
        assert_eq!(manifest["object_sha256"], hex::encode(Sha256::digest(&packed)));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
