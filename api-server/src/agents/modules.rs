//! What agents may run: the catalog as the database has it, cut to what the tenant's plan and spec enable, as a signed
//! bundle. The catalog is read anew when it changes (`jobs::catalog`), not for each request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use catalog::{
    bundle::{Bundle, SignedBundle},
    lifecycle::State,
    module::{Module, Os, Profile},
    wire::AgentConfig,
};
use chrono::Utc;
use crds::{scan_schedule::ScanProfile, tenant::TenantSpec};
use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey};
use sha2::{Digest, Sha256};
use store::{Db, modules::Schedulable};

use crate::{
    error::{Error, Result},
    tenants::plan::is_module_enabled,
};

/// Different sets of modules kept signed. Most tenants share one of a few sets; a set is some hundred KiB.
const MAX_BUNDLES: usize = 64;
const NOT_READ: &str = "The catalog has not been read from the database yet. Try again in a moment.";

/// The catalog and its signed bundles.
#[derive(Debug)]
pub struct Modules {
    key: SigningKey,
    public_key: String,
    poll_seconds: u32,
    served: RwLock<Option<Arc<Snapshot>>>,
    bundles: Mutex<HashMap<Vec<String>, Arc<SignedBundle>>>,
}

/// Why the catalog cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key is none.
    #[error("TENA_BUNDLE_KEY is not an Ed25519 key in PKCS#8 PEM; `openssl genpkey -algorithm ed25519` makes one")]
    Key(#[source] ed25519_dalek::pkcs8::Error),
}

/// Every module version that may run, as it was at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    fingerprint: String,
    versions: Vec<Schedulable>,
}

impl Snapshot {
    /// The newest released version of every module, by slug.
    pub fn current(&self) -> impl Iterator<Item = &Module> {
        self.versions
            .chunk_by(|a, b| a.module.slug == b.module.slug)
            .filter_map(|versions| versions.iter().rfind(|one| one.state == State::Released))
            .map(|one| &one.module)
    }

    /// The newest released version of a module.
    pub fn newest(&self, slug: &str) -> Option<&Module> {
        self.versions.iter().rfind(|one| one.module.slug == slug && one.state == State::Released).map(|one| &one.module)
    }

    /// The newest released version of each module that the tenant may use.
    pub fn enabled<'a>(&'a self, spec: &'a TenantSpec) -> impl Iterator<Item = &'a Module> {
        self.current().filter(|module| is_module_enabled(spec, module))
    }

    /// What runs on an agent without being asked for: every enabled module up to the tenant's profile that is made for Linux,
    /// which every agent runs on. Those for Windows are for disks that someone mounts.
    pub fn baseline<'a>(&'a self, spec: &'a TenantSpec) -> impl Iterator<Item = &'a Module> {
        let most = profile(spec);
        self.enabled(spec).filter(move |module| module.profile <= most && module.platforms.os.contains(&Os::Linux))
    }

    /// Why no job for this version is handed to the tenant's agents; none if one may be.
    pub fn refusal(&self, spec: &TenantSpec, slug: &str, version: &str) -> Option<String> {
        let found =
            self.versions.iter().find(|one| one.module.slug == slug && one.module.version.to_string() == version);
        match found {
            Some(one) if !one.state.is_schedulable(one.sunset_at, Utc::now()) => {
                Some(format!("{slug} {version} is past its sunset"))
            }
            Some(one) if !is_module_enabled(spec, &one.module) => {
                Some(format!("{slug} is not enabled for the tenant, by its plan or its spec"))
            }
            Some(_) => None,
            None => Some(format!("{slug} {version} is not in the catalog, or not released, or retired")),
        }
    }

    /// What a bundle for the tenant holds: of every enabled module the versions that may run.
    fn bundled<'a>(&'a self, spec: &'a TenantSpec) -> impl Iterator<Item = &'a Module> {
        let now = Utc::now();
        self.versions
            .iter()
            .filter(move |one| one.state.is_schedulable(one.sunset_at, now) && is_module_enabled(spec, &one.module))
            .map(|one| &one.module)
    }
}

impl Modules {
    /// Nothing is read yet.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn new(key_pem: &str, poll_seconds: u32) -> Result<Self, StartError> {
        let key = SigningKey::from_pkcs8_pem(key_pem).map_err(StartError::Key)?;
        let public_key = BASE64_STANDARD.encode(key.verifying_key().as_bytes());
        Ok(Self { key, public_key, poll_seconds, served: RwLock::default(), bundles: Mutex::default() })
    }

    /// Base64 of the key that agents pin.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Reads the catalog if it has changed; says whether it had.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn refresh(&self, db: &Db) -> Result<bool> {
        let mut tx = db.platform().await?;
        // First: what changes after it is seen by the next look.
        let fingerprint = store::modules::fingerprint(&mut tx).await?;
        if self.known().is_some_and(|snapshot| snapshot.fingerprint == fingerprint) {
            tx.rollback().await?;
            return Ok(false);
        }
        let served = store::modules::schedulable(&mut tx).await?;
        tx.rollback().await?;
        for module in &served.unreadable {
            tracing::warn!(%module, "a module of the catalog is left out: a newer program wrote it");
        }
        tracing::info!(versions = served.versions.len(), "the catalog was read");
        let snapshot = Arc::new(Snapshot { fingerprint, versions: served.versions });
        *self.served.write().unwrap_or_else(PoisonError::into_inner) = Some(snapshot);
        Ok(true)
    }

    fn known(&self) -> Option<Arc<Snapshot>> {
        self.served.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The catalog as it was read last.
    ///
    /// # Errors
    /// It was not read yet.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>> {
        self.known().ok_or(Error::Unavailable(NOT_READ))
    }

    /// What is missing before agents can be served, in a sentence.
    pub fn problem(&self) -> Option<&'static str> {
        self.known().is_none().then_some("the catalog has not been read yet")
    }

    /// How the tenant's agents behave; the bundle is left out where the agent has it.
    ///
    /// # Errors
    /// The bundle cannot be made.
    pub fn config(&self, spec: &TenantSpec, have: Option<&str>) -> Result<AgentConfig> {
        let bundle = self.bundle(spec)?;
        Ok(AgentConfig {
            version: self.version(spec, &bundle),
            poll_seconds: self.poll_seconds,
            bundle_checksum: bundle.checksum.clone(),
            bundle: (have != Some(bundle.checksum.as_str())).then(|| bundle.as_ref().clone()),
            modules_profile: profile(spec),
        })
    }

    /// The version of that configuration and the checksum of its bundle.
    ///
    /// # Errors
    /// The bundle cannot be made.
    pub fn current(&self, spec: &TenantSpec) -> Result<(String, String)> {
        let bundle = self.bundle(spec)?;
        Ok((self.version(spec, &bundle), bundle.checksum.clone()))
    }

    fn version(&self, spec: &TenantSpec, bundle: &SignedBundle) -> String {
        let what = format!("{}\n{}\n{}", self.poll_seconds, bundle.checksum, profile(spec).as_str());
        hex::encode(&Sha256::digest(what)[..8])
    }

    fn bundle(&self, spec: &TenantSpec) -> Result<Arc<SignedBundle>> {
        let snapshot = self.snapshot()?;
        // What was released does not change, so the names say all.
        let set: Vec<String> = snapshot.bundled(spec).map(Module::reference).collect();
        if let Some(known) = self.bundles.lock().unwrap_or_else(PoisonError::into_inner).get(&set) {
            return Ok(known.clone());
        }
        let signed = catalog::bundle::sign(&Bundle::of(snapshot.bundled(spec)), &self.key).map_err(Error::internal)?;
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
