//! What an agent may run: the embedded catalog, cut to what the tenant's plan and spec enable, as a signed bundle.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use catalog::{
    Catalog,
    bundle::{Bundle, SignedBundle},
    module::{Module, Profile},
    wire::AgentConfig,
};
use crds::{scan_schedule::ScanProfile, tenant::TenantSpec};
use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    tenants::plan::is_module_enabled,
};

/// Different sets of modules kept signed. Most tenants share one of a few sets; a set is some hundred KiB.
const MAX_BUNDLES: usize = 64;

/// The catalog and its signed bundles.
#[derive(Debug)]
pub struct Modules {
    catalog: Catalog,
    key: SigningKey,
    public_key: String,
    poll_seconds: u32,
    bundles: Mutex<HashMap<Vec<String>, Arc<SignedBundle>>>,
}

/// Why the catalog cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key is none.
    #[error("TENA_BUNDLE_KEY is not an Ed25519 key in PKCS#8 PEM; `openssl genpkey -algorithm ed25519` makes one")]
    Key(#[source] ed25519_dalek::pkcs8::Error),
    /// The catalog in this program is broken.
    #[error("the embedded catalog cannot be read: {0}")]
    Catalog(String),
}

impl Modules {
    /// Reads the embedded catalog.
    ///
    /// # Errors
    /// The key or the catalog cannot be used.
    pub fn new(key_pem: &str, poll_seconds: u32) -> Result<Self, StartError> {
        let key = SigningKey::from_pkcs8_pem(key_pem).map_err(StartError::Key)?;
        let catalog = Catalog::embedded().map_err(|error| StartError::Catalog(crate::error::chain(&error)))?;
        let public_key = BASE64_STANDARD.encode(key.verifying_key().as_bytes());
        Ok(Self { catalog, key, public_key, poll_seconds, bundles: Mutex::default() })
    }

    /// Base64 of the key that agents pin.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The modules that the tenant may use.
    pub fn enabled<'a>(&'a self, spec: &'a TenantSpec) -> impl Iterator<Item = &'a Module> {
        self.catalog.latest().map(|entry| &entry.module).filter(|module| is_module_enabled(spec, module))
    }

    /// The module of that slug and version, if this program has it.
    pub fn get(&self, slug: &str, version: &str) -> Option<&Module> {
        self.catalog.module(slug, Some(version)).map(|entry| &entry.module)
    }

    /// What runs on an agent without being asked for: every enabled module up to the tenant's profile.
    pub fn baseline<'a>(&'a self, spec: &'a TenantSpec) -> impl Iterator<Item = &'a Module> {
        let most = profile(spec);
        self.enabled(spec).filter(move |module| module.profile <= most)
    }

    /// How the tenant's agents behave; the bundle is left out where the agent has it.
    ///
    /// # Errors
    /// The bundle cannot be made.
    pub fn config(&self, spec: &TenantSpec, have: Option<&str>) -> Result<AgentConfig> {
        let bundle = self.bundle(spec)?;
        let modules_profile = profile(spec);
        let version = {
            let what = format!("{}\n{}\n{}", self.poll_seconds, bundle.checksum, modules_profile.as_str());
            hex::encode(&Sha256::digest(what)[..8])
        };
        Ok(AgentConfig {
            version,
            poll_seconds: self.poll_seconds,
            bundle_checksum: bundle.checksum.clone(),
            bundle: (have != Some(bundle.checksum.as_str())).then(|| bundle.as_ref().clone()),
            modules_profile,
        })
    }

    fn bundle(&self, spec: &TenantSpec) -> Result<Arc<SignedBundle>> {
        let set: Vec<String> = self.enabled(spec).map(Module::reference).collect();
        if let Some(known) = self.bundles.lock().unwrap_or_else(PoisonError::into_inner).get(&set) {
            return Ok(known.clone());
        }
        let signed = catalog::bundle::sign(&Bundle::of(self.enabled(spec)), &self.key).map_err(Error::internal)?;
        let signed = Arc::new(signed);
        let mut bundles = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        if bundles.len() >= MAX_BUNDLES {
            bundles.clear();
        }
        bundles.insert(set, signed.clone());
        Ok(signed)
    }
}

/// The dearest profile that runs by itself on the tenant's agents.
fn profile(spec: &TenantSpec) -> Profile {
    match spec.agent.modules_profile {
        ScanProfile::BaselineFast => Profile::BaselineFast,
        ScanProfile::BaselineFull => Profile::BaselineFull,
        ScanProfile::DeepScan => Profile::DeepScan,
    }
}
