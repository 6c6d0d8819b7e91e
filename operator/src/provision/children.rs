//! What the provisioners of Kubernetes objects share: children as they should be and as they are give a list of changes.

use std::collections::BTreeMap;
use std::fmt;

use store::TenantRef;

use crate::provision::{Error, Systems};
use crate::runtime::caches::Existing;
use crate::systems::child::{Child, Key, Kind, Seen};

/// Children as they are.
pub type Observed = BTreeMap<Key, Existing>;

/// One step towards the children as they should be.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Make it so.
    Apply(Box<Child>),
    /// Make it, if nobody else has that name.
    Claim(Box<Child>),
    /// Take it away.
    Delete(Key, Seen),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply(child) => write!(f, "apply {}", child.key),
            Self::Claim(child) => write!(f, "create {}", child.key),
            Self::Delete(key, _) => write!(f, "delete {key}"),
        }
    }
}

/// Observes the children of `kinds` in `namespace`.
pub fn observe(systems: &Systems, namespace: &str, kinds: &[Kind], tenant: &TenantRef) -> Observed {
    systems.cluster.children().within(namespace, kinds, &tenant.slug)
}

/// The changes that lead from `observed` to `desired`: what is missing, changed, or no longer wanted.
pub fn plan(desired: Vec<Child>, observed: &Observed) -> Vec<Change> {
    let unwanted = observed
        .iter()
        .filter(|(key, existing)| !existing.seen.is_leaving && !desired.iter().any(|child| child.key == **key));
    let mut changes: Vec<Change> =
        unwanted.map(|(key, existing)| Change::Delete(key.clone(), existing.seen.clone())).collect();
    let differing =
        desired.into_iter().filter(|child| observed.get(&child.key).is_none_or(|existing| !existing.is_intact(child)));
    changes.extend(differing.map(|child| Change::Apply(Box::new(child))));
    changes
}

/// The change that makes a namespace so; an error where the name is somebody else's, or the namespace is leaving.
pub fn plan_namespace(child: Child, tenant: &TenantRef, observed: &Observed) -> Result<Option<Change>, Error> {
    let Some(existing) = observed.get(&child.key) else { return Ok(Some(Change::Claim(Box::new(child)))) };
    if existing.seen.tenant_id != Some(tenant.id) {
        let owner = existing.seen.tenant_id.map(|id| format!("tenant {id}"));
        return Err(crate::systems::kubernetes::Error::Taken { key: child.key, owner }.into());
    }
    if existing.seen.is_leaving {
        return Err(Error::Leaving(child.key.to_string()));
    }
    Ok((!existing.is_intact(&child)).then(|| Change::Apply(Box::new(child))))
}

/// Takes one step.
pub async fn apply(systems: &Systems, tenant: &TenantRef, change: Change) -> Result<(), Error> {
    match change {
        Change::Apply(child) => systems.cluster.apply(&child).await?,
        Change::Claim(child) => systems.cluster.claim(&child, tenant.id).await?,
        Change::Delete(key, seen) => systems.cluster.delete(&key, &seen).await?,
    }
    Ok(())
}

/// Deletes a namespace if it carries the tenant's UUID.
pub async fn remove_namespace(systems: &Systems, tenant: &TenantRef, name: &str) -> Result<(), Error> {
    let key = Key::namespace(name);
    let Some(meta) = systems.cluster.metadata(&key).await? else { return Ok(()) };
    let seen = Seen::of(&meta);
    if seen.tenant_id == Some(tenant.id) && !seen.is_leaving {
        systems.cluster.delete(&key, &seen).await?;
    }
    Ok(())
}

/// The digest of a list of children.
pub fn digest(desired: &[Child]) -> String {
    desired.iter().map(|child| child.digest.as_str()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::caches::Children;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::json;
    use store::Slug;
    use uuid::Uuid;

    fn tenant() -> TenantRef {
        TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::from_u128(7) }
    }

    fn child(kind: Kind, namespace: &str, name: &str) -> Child {
        Child::new(kind, &tenant(), namespace, name, &[], &json!({}))
    }

    fn existing(child: &Child, change: impl FnOnce(&mut ObjectMeta)) -> Observed {
        let children = Children::default();
        let mut meta = child.object().unwrap().metadata;
        meta.uid = Some("u".into());
        change(&mut meta);
        children.wrote(&child.key, &meta, Some(child));
        BTreeMap::from([(child.key.clone(), children.get(&child.key).unwrap())])
    }

    #[test]
    fn nothing_changes_what_is_as_it_should_be() {
        let role = child(Kind::Role, "tenant-acme", "a");
        assert!(plan(vec![role.clone()], &existing(&role, |_| {})).is_empty());
    }

    #[test]
    fn what_is_missing_is_applied_and_what_is_unwanted_deleted() {
        let old = child(Kind::Role, "tenant-acme", "old");
        let new = child(Kind::Role, "tenant-acme", "new");
        let words: Vec<String> = plan(vec![new], &existing(&old, |_| {})).iter().map(ToString::to_string).collect();
        assert_eq!(words, ["delete Role tenant-acme/old", "apply Role tenant-acme/new"]);
    }

    #[test]
    fn a_namespace_is_claimed_kept_or_refused() {
        let namespace = child(Kind::Namespace, "", "tenant-acme");
        assert!(matches!(plan_namespace(namespace.clone(), &tenant(), &Observed::new()), Ok(Some(Change::Claim(_)))));
        assert!(matches!(plan_namespace(namespace.clone(), &tenant(), &existing(&namespace, |_| {})), Ok(None)));
        let foreign = existing(&namespace, |meta| {
            meta.labels.as_mut().unwrap().insert("tenantra.io/tenant-id".into(), Uuid::nil().to_string());
        });
        let refused = plan_namespace(namespace.clone(), &tenant(), &foreign).unwrap_err().report();
        assert_eq!(refused.reason, "NamespaceTaken");
        let leaving = existing(&namespace, |meta| {
            meta.deletion_timestamp =
                Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH));
        });
        assert_eq!(plan_namespace(namespace, &tenant(), &leaving).unwrap_err().report().reason, "Terminating");
    }
}
