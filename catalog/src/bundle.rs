//! Modules as agents get them: zstd over JSON, signed with Ed25519.
//!
//! The fixtures stay behind (agents do not run them). The same modules give the same bytes, so every replica of the API
//! hands out the same checksum. The signature is checked before anything is unpacked.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::module::Module;

/// Largest bundle after unpacking, in bytes.
const MAX_UNPACKED_BYTES: u64 = 32 * 1024 * 1024;
const COMPRESSION_LEVEL: i32 = 9;

/// The modules an agent may run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// Sorted by slug, then version.
    pub modules: Vec<Module>,
}

impl Bundle {
    /// A bundle of these modules without their fixtures. What is made for clusters only stays behind: an agent on a host is
    /// given none.
    pub fn of<'a>(modules: impl IntoIterator<Item = &'a Module>) -> Self {
        let for_hosts = modules.into_iter().filter(|module| !module.platforms.is_cluster_only());
        let mut modules: Vec<Module> = for_hosts.map(|module| Module { tests: Vec::new(), ..module.clone() }).collect();
        modules.sort_by(|a, b| (&a.slug, &a.version).cmp(&(&b.slug, &b.version)));
        Self { modules }
    }

    /// The module with this slug and version.
    pub fn module(&self, slug: &str, version: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.slug == slug && module.version.to_string() == version)
    }
}

/// A bundle on its way: nothing in it is to be believed before [`verify`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignedBundle {
    /// SHA-256 of the packed bytes, in hexadecimal.
    pub checksum: String,
    /// Base64 of the Ed25519 signature over `tenantra-bundle-v1\n<checksum>`.
    pub signature: String,
    /// Base64 of the packed bytes: JSON of the bundle, compressed with zstd.
    pub content: String,
}

/// Why a bundle cannot be made or believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The modules cannot be written as JSON.
    #[error("the bundle cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// zstd failed while packing.
    #[error("the bundle cannot be compressed")]
    Compress(#[source] std::io::Error),
    /// A field is not base64.
    #[error("the bundle's {field} is not base64")]
    Base64 {
        /// `signature` or `content`.
        field: &'static str,
        /// What the decoder said.
        #[source]
        source: base64::DecodeError,
    },
    /// The bytes are not those that the checksum names.
    #[error("the bundle's content has the checksum {actual}, not {expected}")]
    Checksum {
        /// As delivered.
        expected: String,
        /// As computed.
        actual: String,
    },
    /// The signature was not made with the key, or not over this bundle.
    #[error("the bundle is not signed by the platform's key")]
    Signature(#[source] ed25519_dalek::SignatureError),
    /// zstd failed while unpacking.
    #[error("the bundle cannot be unpacked")]
    Unpack(#[source] std::io::Error),
    /// It unpacks to more than 32 MiB.
    #[error("the bundle unpacks to more than {MAX_UNPACKED_BYTES} bytes")]
    TooLarge,
    /// The unpacked bytes are no bundle that this version knows.
    #[error("the bundle does not hold modules that this version understands")]
    Decode(#[source] serde_json::Error),
}

/// Packs and signs.
pub fn sign(bundle: &Bundle, key: &SigningKey) -> Result<SignedBundle, Error> {
    let json = serde_json::to_vec(bundle).map_err(Error::Encode)?;
    let packed = zstd::bulk::compress(&json, COMPRESSION_LEVEL).map_err(Error::Compress)?;
    let checksum = hex::encode(Sha256::digest(&packed));
    let signature = STANDARD.encode(key.sign(&signed_bytes(&checksum)).to_bytes());
    Ok(SignedBundle { checksum, signature, content: STANDARD.encode(packed) })
}

/// Checks the signature, then unpacks.
pub fn verify(signed: &SignedBundle, key: &VerifyingKey) -> Result<Bundle, Error> {
    unpack(&authenticate(signed, key)?)
}

/// The packed bytes, once their checksum and signature are right. Nothing is unpacked.
pub fn authenticate(signed: &SignedBundle, key: &VerifyingKey) -> Result<Vec<u8>, Error> {
    let packed = STANDARD.decode(&signed.content).map_err(|source| Error::Base64 { field: "content", source })?;
    let signature =
        STANDARD.decode(&signed.signature).map_err(|source| Error::Base64 { field: "signature", source })?;
    let actual = hex::encode(Sha256::digest(&packed));
    if actual != signed.checksum {
        return Err(Error::Checksum { expected: signed.checksum.clone(), actual });
    }
    let signature = Signature::from_slice(&signature).map_err(Error::Signature)?;
    key.verify_strict(&signed_bytes(&actual), &signature).map_err(Error::Signature)?;
    Ok(packed)
}

fn unpack(packed: &[u8]) -> Result<Bundle, Error> {
    let mut json = Vec::new();
    zstd::stream::read::Decoder::new(packed)
        .map_err(Error::Unpack)?
        .take(MAX_UNPACKED_BYTES + 1)
        .read_to_end(&mut json)
        .map_err(Error::Unpack)?;
    if json.len() as u64 > MAX_UNPACKED_BYTES {
        return Err(Error::TooLarge);
    }
    serde_json::from_slice(&json).map_err(Error::Decode)
}

fn signed_bytes(checksum: &str) -> Vec<u8> {
    format!("tenantra-bundle-v1\n{checksum}").into_bytes()
}
