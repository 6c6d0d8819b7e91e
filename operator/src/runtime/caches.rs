//! What the watches know: tenants whole, their children and nodes as metadata. A pass reads only here, so that a thousand
//! tenants cost one LIST for each kind and no GET.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::{StreamExt, pin_mut};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use store::Slug;
use uuid::Uuid;

use crate::names::MANAGED_SELECTOR;
use crate::runtime::trigger::Triggers;
use crate::systems::child::{Child, Key, Kind, Seen};
use crds::names::LABEL_TENANT;

/// How many UIDs of lost children are remembered, so that one whose label was taken away is known again.
const REMEMBERED: usize = 1024;

/// The children of all tenants.
#[derive(Debug, Default)]
pub struct Children {
    /// In the order of kind, namespace, name, so that the children of one namespace are a range.
    by_key: RwLock<BTreeMap<Key, Existing>>,
    lost: Mutex<HashMap<Key, String>>,
}

/// A child as it is.
#[derive(Debug, Clone)]
pub struct Existing {
    /// What its metadata says.
    pub seen: Seen,
    /// Digest and fields right after our own apply, where the fields are not what the manifest implies.
    accepted: Option<(String, String)>,
}

impl Existing {
    /// Whether it is as `child` wants it: applied in this form, and none of its fields taken since.
    pub fn is_intact(&self, child: &Child) -> bool {
        let accepted = self
            .accepted
            .as_ref()
            .is_some_and(|(digest, fields)| *digest == child.digest && *fields == self.seen.fields);
        self.seen.digest == child.digest && (self.seen.fields == child.fields || accepted)
    }
}

impl Children {
    /// The child `key` as it is.
    pub fn get(&self, key: &Key) -> Option<Existing> {
        self.by_key.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The children of `kinds` that say they belong to `slug`, in `namespace`.
    pub fn within(&self, namespace: &str, kinds: &[Kind], slug: &Slug) -> BTreeMap<Key, Existing> {
        let children = self.by_key.read().unwrap_or_else(PoisonError::into_inner);
        let first = |kind: Kind| Key { kind, namespace: namespace.to_owned(), name: String::new() };
        kinds
            .iter()
            .flat_map(|kind| {
                children.range(first(*kind)..).take_while(|(key, _)| key.kind == *kind && key.namespace == namespace)
            })
            .filter(|(_, entry)| entry.seen.slug == slug.as_str())
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect()
    }

    /// Remembers what a write answered.
    pub fn wrote(&self, key: &Key, meta: &ObjectMeta, child: Option<&Child>) {
        let seen = Seen::of(meta);
        let accepted =
            child.filter(|child| child.fields != seen.fields).map(|child| (child.digest.clone(), seen.fields.clone()));
        let mut children = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        if children.get(key).is_none_or(|entry| entry.seen.version <= seen.version || entry.seen.uid != seen.uid) {
            children.insert(key.clone(), Existing { seen, accepted });
        }
    }

    /// Whether an object without our mark is one that we made and somebody took the label from.
    pub fn was_ours(&self, key: &Key, meta: &ObjectMeta) -> bool {
        let unmarked = Seen::of(meta).tenant_id.is_none();
        unmarked && meta.uid.is_some() && self.lost().get(key) == meta.uid.as_ref()
    }

    fn lost(&self) -> MutexGuard<'_, HashMap<Key, String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what a watch saw; the slug of the tenant to look at, unless this is only the echo of our own write.
    fn saw(&self, key: Key, meta: &ObjectMeta) -> Option<String> {
        let seen = Seen::of(meta);
        let mut children = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        match children.get_mut(&key) {
            Some(entry) if entry.seen.uid == seen.uid && entry.seen.version >= seen.version => None,
            Some(entry) => {
                let changed = !entry.seen.says_the_same_as(&seen);
                let slug = seen.slug.clone();
                entry.seen = seen;
                changed.then_some(slug)
            }
            None => {
                let slug = seen.slug.clone();
                children.insert(key, Existing { seen, accepted: None });
                Some(slug)
            }
        }
    }

    fn gone(&self, key: &Key, meta: &ObjectMeta) -> Option<String> {
        let removed = {
            let mut children = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
            let is_same = children.get(key).is_some_and(|entry| Some(&entry.seen.uid) == meta.uid.as_ref());
            if is_same { children.remove(key) } else { None }
        }?;
        let mut lost = self.lost();
        if lost.len() >= REMEMBERED {
            lost.clear();
        }
        lost.insert(key.clone(), removed.seen.uid);
        Some(removed.seen.slug)
    }

    /// Forgets the children of a kind that a fresh LIST did not hold.
    fn keep_only(&self, kind: Kind, listed: &HashSet<Key>) -> Vec<String> {
        let mut children = self.by_key.write().unwrap_or_else(PoisonError::into_inner);
        let missing: Vec<Key> =
            children.keys().filter(|key| key.kind == kind && !listed.contains(*key)).cloned().collect();
        missing.iter().filter_map(|key| children.remove(key)).map(|entry| entry.seen.slug).collect()
    }
}

/// The nodes that carry a tenant's label, with their labels.
#[derive(Debug, Default)]
pub struct Nodes {
    by_name: RwLock<HashMap<String, BTreeMap<String, String>>>,
}

impl Nodes {
    /// The number of nodes that carry all of `labels`.
    pub fn matching(&self, labels: &BTreeMap<String, String>) -> usize {
        let nodes = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        nodes.values().filter(|node| labels.iter().all(|(key, value)| node.get(key) == Some(value))).count()
    }
}

/// Which watches have shown everything once.
#[derive(Debug, Clone, Default)]
pub struct Synced {
    inner: Arc<Mutex<BTreeMap<String, bool>>>,
}

impl Synced {
    /// Names a watch to wait for.
    pub fn expect(&self, what: &str) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned(), false);
    }

    /// The watch has shown everything.
    pub fn done(&self, what: &str) {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned(), true);
    }

    /// What is still waited for.
    pub fn missing(&self) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.iter().filter(|(_, done)| !**done).map(|(what, _)| what.clone()).collect()
    }

    /// Waits until nothing is waited for.
    pub async fn wait(&self) {
        while !self.missing().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

/// Watches one kind of children for as long as the program runs.
pub async fn watch_children<K>(client: Client, kind: Kind, children: Arc<Children>, triggers: Triggers, synced: Synced)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
{
    let api: Api<PartialObjectMeta<K>> = Api::all(client);
    let events = watcher(api, watcher::Config::default().labels(MANAGED_SELECTOR)).default_backoff();
    pin_mut!(events);
    let mut listed = HashSet::new();
    while let Some(event) = events.next().await {
        let touched = match event {
            Ok(Event::Init) => {
                listed.clear();
                vec![]
            }
            Ok(Event::InitApply(object)) => {
                let key = crate::systems::child::key_of(kind, &object);
                listed.insert(key.clone());
                children.saw(key, &object.metadata).into_iter().collect()
            }
            Ok(Event::InitDone) => {
                synced.done(kind.as_str());
                children.keep_only(kind, &std::mem::take(&mut listed))
            }
            Ok(Event::Apply(object)) => {
                let key = crate::systems::child::key_of(kind, &object);
                children.saw(key, &object.metadata).into_iter().collect()
            }
            Ok(Event::Delete(object)) => {
                let key = crate::systems::child::key_of(kind, &object);
                children.gone(&key, &object.metadata).into_iter().collect()
            }
            Err(error) => {
                tracing::warn!(%error, kind = kind.as_str(), "a watch was interrupted and starts again");
                vec![]
            }
        };
        for slug in touched {
            triggers.push(&slug);
        }
    }
}

/// Watches the nodes that belong to tenants for as long as the program runs.
pub async fn watch_nodes(client: Client, nodes: Arc<Nodes>, triggers: Triggers, synced: Synced) {
    let api: Api<PartialObjectMeta<k8s_openapi::api::core::v1::Node>> = Api::all(client);
    let events = watcher(api, watcher::Config::default().labels(LABEL_TENANT)).default_backoff();
    pin_mut!(events);
    let mut listed: HashMap<String, BTreeMap<String, String>> = HashMap::new();
    while let Some(event) = events.next().await {
        let mut touched = Vec::new();
        let mut owners = |labels: Option<&BTreeMap<String, String>>| {
            touched.extend(labels.and_then(|l| l.get(LABEL_TENANT)).cloned());
        };
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(node)) => {
                listed.insert(node.name_any(), node.labels().clone());
            }
            Ok(Event::InitDone) => {
                let fresh = std::mem::take(&mut listed);
                let mut by_name = nodes.by_name.write().unwrap_or_else(PoisonError::into_inner);
                for labels in fresh.values().chain(by_name.values()) {
                    owners(Some(labels));
                }
                *by_name = fresh;
                synced.done("Node");
            }
            Ok(Event::Apply(node)) => {
                let mut by_name = nodes.by_name.write().unwrap_or_else(PoisonError::into_inner);
                // A node's heartbeat changes no label.
                if by_name.get(&node.name_any()) != Some(node.labels()) {
                    owners(Some(node.labels()));
                    owners(by_name.insert(node.name_any(), node.labels().clone()).as_ref());
                }
            }
            Ok(Event::Delete(node)) => {
                owners(nodes.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(&node.name_any()).as_ref());
            }
            Err(error) => tracing::warn!(%error, "the watch of nodes was interrupted and starts again"),
        }
        for slug in touched {
            triggers.push(&slug);
        }
    }
}

/// Reads the children of one tenant once, for a plan that a person asked for.
pub async fn read_children(client: &Client, slug: &Slug, children: &Children) -> kube::Result<()> {
    let params = kube::api::ListParams::default().labels(&format!("{LABEL_TENANT}={slug}"));
    for kind in Kind::ALL {
        let api: Api<kube::core::DynamicObject> = Api::all_with(client.clone(), &kind.resource());
        for object in api.list_metadata(&params).await?.items {
            children.wrote(&crate::systems::child::key_of_meta(kind, &object.metadata), &object.metadata, None);
        }
    }
    Ok(())
}

/// Whether a namespace is a tenant's, by the cache: then the tenant's UUID.
pub fn tenant_of_namespace(children: &Children, namespace: &str) -> Option<(String, Uuid)> {
    let seen = children.get(&Key::namespace(namespace))?.seen;
    Some((seen.slug, seen.tenant_id?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use store::TenantRef;

    fn tenant() -> TenantRef {
        TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::nil() }
    }

    fn applied(child: &Child, version: &str) -> ObjectMeta {
        let object: kube::core::DynamicObject = child.object().unwrap();
        ObjectMeta { uid: Some("u".into()), resource_version: Some(version.into()), ..object.metadata }
    }

    #[test]
    fn the_echo_of_our_own_write_wakes_nobody_but_an_edit_does() {
        let children = Children::default();
        let child = Child::new(Kind::ResourceQuota, &tenant(), "tenant-acme", "q", &[], &json!({ "spec": {} }));
        let meta = applied(&child, "5");
        children.wrote(&child.key, &meta, Some(&child));
        assert_eq!(children.saw(child.key.clone(), &meta), None);
        let mut edited = applied(&child, "6");
        edited.annotations = None;
        assert_eq!(children.saw(child.key.clone(), &edited), Some("acme".into()));
        assert!(!children.get(&child.key).unwrap().is_intact(&child));
        assert_eq!(children.gone(&child.key, &edited), Some("acme".into()));
        assert!(children.get(&child.key).is_none());
    }

    #[test]
    fn fields_that_differ_from_what_the_manifest_implies_are_accepted_once_applied() {
        let children = Children::default();
        let child =
            Child::new(Kind::ResourceQuota, &tenant(), "tenant-acme", "q", &[], &json!({ "spec": { "hard": {} } }));
        // No managed fields in this answer: not what the manifest implies.
        let meta = applied(&child, "5");
        assert_eq!(children.saw(child.key.clone(), &meta), Some("acme".into()));
        assert!(!children.get(&child.key).unwrap().is_intact(&child));
        children.wrote(&child.key, &applied(&child, "6"), Some(&child));
        assert!(children.get(&child.key).unwrap().is_intact(&child));
    }
}
