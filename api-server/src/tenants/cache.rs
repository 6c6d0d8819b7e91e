//! Every Tenant, kept by a watch. Suspension is decided from it, so it also says how old it is: a replica that has heard
//! nothing for 30 s fails closed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{names::ANNOTATION_SUSPENDED_BY, tenant::Tenant};
use futures::StreamExt;
use kube::{
    Api, ResourceExt,
    api::ListParams,
    runtime::{
        WatchStreamExt,
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use store::Slug;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, Result},
    events::Event,
    metrics::Metrics,
};

/// A watch that is older decides nothing any more.
const TOO_OLD: Duration = Duration::from_secs(30);
/// A watch that hears nothing may be idle or cut; asking tells them apart.
const PROBE_EVERY: Duration = Duration::from_secs(10);
/// How long a read waits for what its caller has just written.
const OWN_WRITE_WITHIN: Duration = Duration::from_secs(2);

/// The cache, as handlers read it.
#[derive(Clone)]
pub struct TenantCache {
    store: Store<Tenant>,
    /// The first list was complete. The store's own readiness wakes only the last of those who wait for it.
    synced: watch::Receiver<bool>,
    heard: watch::Receiver<Instant>,
}

/// Keeps the cache; one task owns it.
pub struct TenantWatch {
    client: kube::Client,
    writer: Writer<Tenant>,
    synced: watch::Sender<bool>,
    heard: watch::Sender<Instant>,
    events: broadcast::Sender<Event>,
    metrics: Arc<Metrics>,
}

/// A cache and the watch that fills it.
pub fn new(
    client: kube::Client,
    events: broadcast::Sender<Event>,
    metrics: Arc<Metrics>,
) -> (TenantCache, TenantWatch) {
    let (store, writer) = reflector::store();
    let (is_synced, synced) = watch::channel(false);
    // Before the first event nothing was heard; `synced` covers that.
    let (sender, heard) = watch::channel(Instant::now());
    let watch = TenantWatch { client, writer, synced: is_synced, heard: sender, events, metrics };
    (TenantCache { store, synced, heard }, watch)
}

impl TenantWatch {
    /// Watches until told to end; a broken watch is made again with back-off.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { client, writer, synced, heard, events, metrics } = self;
        let api: Api<Tenant> = Api::all(client);
        let probe = probe(api.clone(), heard.clone());
        let reader = writer.as_reader();
        let changes = watcher(api, watcher::Config::default()).default_backoff().reflect(writer).for_each(|event| {
            match event {
                Ok(event) => {
                    metrics.tenants.set(i64::try_from(reader.len()).unwrap_or(i64::MAX));
                    heard.send_replace(Instant::now());
                    if matches!(event, watcher::Event::InitDone) {
                        synced.send_replace(true);
                    }
                    publish(&events, &event);
                }
                Err(error) => tracing::warn!(error = %crate::error::chain(&error), "the watch on tenants broke"),
            }
            std::future::ready(())
        });
        tokio::select! {
            () = changes => tracing::error!("the watch on tenants ended by itself"),
            () = probe => {}
            () = shutdown.cancelled() => {}
        }
    }
}

async fn probe(api: Api<Tenant>, heard: watch::Sender<Instant>) {
    loop {
        tokio::time::sleep(PROBE_EVERY).await;
        // resourceVersion=0 and one item: answered from the API server's own cache.
        let any = ListParams::default().limit(1).match_any();
        if let Ok(Ok(_)) = tokio::time::timeout(PROBE_EVERY, api.list_metadata(&any)).await {
            heard.send_replace(Instant::now());
        }
    }
}

fn publish(events: &broadcast::Sender<Event>, event: &watcher::Event<Tenant>) {
    let event = match event {
        watcher::Event::Apply(tenant) => Event::tenant(tenant, false),
        watcher::Event::Delete(tenant) => Event::tenant(tenant, true),
        watcher::Event::Init | watcher::Event::InitApply(_) | watcher::Event::InitDone => return,
    };
    // No listener is not a failure.
    let _ = events.send(event);
}

impl std::fmt::Debug for TenantCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantCache").finish_non_exhaustive()
    }
}

impl TenantCache {
    /// Waits for the first complete list; false if the watch ended before.
    pub async fn wait_until_ready(&self) -> bool {
        self.synced.clone().wait_for(|is_synced| *is_synced).await.is_ok()
    }

    /// What is missing before the cache can be trusted, in a sentence.
    pub fn problem(&self) -> Option<&'static str> {
        if !*self.synced.borrow() {
            return Some("the watch on tenants has not synced yet");
        }
        (self.heard.borrow().elapsed() > TOO_OLD).then_some("the watch on tenants has heard nothing for 30 s")
    }

    /// Every tenant, by slug.
    pub fn list(&self) -> Vec<Arc<Tenant>> {
        let mut tenants = self.store.state();
        tenants.sort_by_key(|tenant| tenant.name_any());
        tenants
    }

    /// The tenant of that slug.
    pub fn get(&self, slug: &str) -> Option<Arc<Tenant>> {
        self.store.get(&ObjectRef::new(slug))
    }

    /// The tenant, if its resource lets its people and agents work; ask [`TenantCache::served`] before giving access.
    ///
    /// # Errors
    /// The watch is too old to know, there is no such tenant, or it is suspended or being deleted.
    pub fn active(&self, slug: &str) -> Result<Arc<Tenant>> {
        if self.problem().is_some() {
            return Err(Error::Unavailable(
                "Whether the tenant is active cannot be told just now. Try again in a moment.",
            ));
        }
        let tenant = self.get(slug).ok_or(Error::NotFound("tenant"))?;
        if is_suspended(&tenant) { Err(Error::TenantSuspended(slug.to_owned())) } else { Ok(tenant) }
    }

    /// The tenant of a row, if both its resource and the row let its people and agents work. Whether the row does is the
    /// caller's to say: each has read it for another reason already.
    ///
    /// # Errors
    /// As [`TenantCache::active`]; a row that is retained, offboarded or suspended is answered as a suspension is.
    pub fn served(&self, slug: &Slug, is_served: bool) -> Result<Arc<Tenant>> {
        let tenant = self.active(slug.as_str())?;
        if is_served { Ok(tenant) } else { Err(Error::TenantSuspended(slug.to_string())) }
    }

    /// Waits until the cache has the version that a write answered with.
    pub async fn wait_for(&self, slug: &str, resource_version: Option<&str>) {
        let has_it = || match (self.get(slug), resource_version) {
            (Some(tenant), Some(wanted)) => is_at_least(tenant.resource_version().as_deref(), wanted),
            (None, None) => true,
            _ => false,
        };
        let mut heard = self.heard.clone();
        let wait = async {
            while !has_it() {
                if heard.changed().await.is_err() {
                    return;
                }
            }
        };
        // Over the time, the reader gets what the cache has; the write itself has succeeded.
        let _ = tokio::time::timeout(OWN_WRITE_WITHIN, wait).await;
    }
}

/// Whether people and agents of the tenant are kept out.
pub fn is_suspended(tenant: &Tenant) -> bool {
    tenant.spec.suspend
        || tenant.metadata.deletion_timestamp.is_some()
        || tenant.annotations().contains_key(ANNOTATION_SUSPENDED_BY)
}

/// Versions of one kind are ordered numbers (Kubernetes 1.35 promises it; etcd's always were).
fn is_at_least(have: Option<&str>, wanted: &str) -> bool {
    match (have.and_then(|have| have.parse::<u64>().ok()), wanted.parse::<u64>()) {
        (Some(have), Ok(wanted)) => have >= wanted,
        _ => have == Some(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_at_least(Some("100"), "99"));
        assert!(!is_at_least(Some("99"), "100"));
        assert!(is_at_least(Some("x"), "x"));
        assert!(!is_at_least(None, "1"));
    }
}
