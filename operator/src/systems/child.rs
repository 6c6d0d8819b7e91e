//! A Kubernetes object that belongs to a tenant: as it should be ([`Child`]), and what is remembered of it as it is
//! ([`Seen`]), which is a few short strings, because there are thousands of them.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::{ApiResource, DynamicObject};
use serde::Serialize;
use serde_json::{Value, json};
use store::TenantRef;
use uuid::Uuid;

use crate::names::{ANNOTATION_APPLIED, LABEL_NAMESPACE_NAME};
use crate::systems::fields;
use crds::names::{LABEL_MANAGED_BY, LABEL_TENANT, LABEL_TENANT_ID, OPERATOR};

/// The kinds of Kubernetes object that a tenant is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `Namespace`
    Namespace,
    /// `ResourceQuota`
    ResourceQuota,
    /// `LimitRange`
    LimitRange,
    /// `NetworkPolicy`
    NetworkPolicy,
    /// `Role`
    Role,
    /// `RoleBinding`
    RoleBinding,
    /// `ServiceAccount`
    ServiceAccount,
    /// `ConfigMap`
    ConfigMap,
    /// `DaemonSet`
    DaemonSet,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Namespace,
        Self::ResourceQuota,
        Self::LimitRange,
        Self::NetworkPolicy,
        Self::Role,
        Self::RoleBinding,
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::DaemonSet,
    ];

    /// Group, version, kind and plural.
    const fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::ResourceQuota => ("", "v1", "ResourceQuota", "resourcequotas"),
            Self::LimitRange => ("", "v1", "LimitRange", "limitranges"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::Role => ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
            Self::RoleBinding => ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
        }
    }

    /// The kind's `kind`.
    pub const fn as_str(self) -> &'static str {
        self.names().2
    }

    /// How the API server calls it.
    pub fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: if group.is_empty() { version.into() } else { format!("{group}/{version}") },
            kind: kind.into(),
            plural: plural.into(),
        }
    }
}

/// Which object; cluster-scoped ones have an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Key {
    /// The key of a namespace.
    pub fn namespace(name: &str) -> Self {
        Self { kind: Kind::Namespace, namespace: String::new(), name: name.to_owned() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind.as_str(), self.name)
        } else {
            write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
        }
    }
}

/// A child as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Which object.
    pub key: Key,
    /// The manifest, complete: labels, digest and all.
    pub manifest: Value,
    /// The digest of the manifest, also within it.
    pub digest: String,
    /// The digest of the fields that applying it makes ours.
    pub fields: String,
}

impl Child {
    /// Makes the manifest of `object` one of our children: kind, labels of ownership, digest. `labels` come on top.
    pub fn new<K: Serialize>(
        kind: Kind,
        tenant: &TenantRef,
        namespace: &str,
        name: &str,
        labels: &[(&str, &str)],
        object: &K,
    ) -> Self {
        let mut manifest = serde_json::to_value(object).unwrap_or(Value::Null);
        let resource = kind.resource();
        let mut metadata = json!({
            "name": name,
            "labels": { LABEL_TENANT: tenant.slug.as_str(), LABEL_TENANT_ID: tenant.id, LABEL_MANAGED_BY: OPERATOR },
        });
        for (label, value) in labels {
            metadata["labels"][*label] = (*value).into();
        }
        if !namespace.is_empty() {
            metadata["namespace"] = namespace.into();
        }
        if !manifest.is_object() {
            manifest = json!({});
        }
        manifest["apiVersion"] = resource.api_version.into();
        manifest["kind"] = resource.kind.into();
        manifest["metadata"] = metadata;
        let digest = fields::short_digest(manifest.to_string().as_bytes());
        manifest["metadata"]["annotations"] = json!({ ANNOTATION_APPLIED: digest });
        let fields = fields::implied(&manifest);
        let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
        Self { key, manifest, digest, fields }
    }

    /// The manifest as the client sends it.
    pub fn object(&self) -> Result<DynamicObject, serde_json::Error> {
        serde_json::from_value(self.manifest.clone())
    }
}

/// What is remembered of a child as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its UID.
    pub uid: String,
    /// Its resourceVersion, as the number it is in every API server.
    pub version: u64,
    /// Whose it says it is.
    pub tenant_id: Option<Uuid>,
    /// The slug it says it belongs to.
    pub slug: String,
    /// The digest of what was last applied.
    pub digest: String,
    /// The digest of the fields that are ours.
    pub fields: String,
    /// Whether it is on its way out.
    pub is_leaving: bool,
}

impl Seen {
    /// What is worth remembering of an object's metadata.
    pub fn of(meta: &ObjectMeta) -> Self {
        let label = |key: &str| meta.labels.as_ref().and_then(|labels| labels.get(key));
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            version: meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
            tenant_id: label(LABEL_TENANT_ID).and_then(|id| id.parse().ok()),
            slug: label(LABEL_TENANT).cloned().unwrap_or_default(),
            digest: meta.annotations.as_ref().and_then(|a| a.get(ANNOTATION_APPLIED)).cloned().unwrap_or_default(),
            fields: fields::owned(meta.managed_fields.as_deref().unwrap_or_default(), OPERATOR),
            is_leaving: meta.deletion_timestamp.is_some(),
        }
    }

    /// Whether it says the same as `other`, whatever else of the object changed.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.tenant_id == other.tenant_id
            && self.digest == other.digest
            && self.fields == other.fields
            && self.is_leaving == other.is_leaving
    }
}

/// The key of a typed object.
pub fn key_of<K: Resource>(kind: Kind, object: &K) -> Key {
    key_of_meta(kind, object.meta())
}

/// The key of an object by its metadata.
pub fn key_of_meta(kind: Kind, meta: &ObjectMeta) -> Key {
    Key { kind, namespace: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
}

/// The label that selects a namespace by its name.
pub fn namespace_label(name: &str) -> (&'static str, &str) {
    (LABEL_NAMESPACE_NAME, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::Slug;

    #[test]
    fn a_child_carries_the_mark_and_a_digest_that_follows_its_content() {
        let tenant = TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::nil() };
        let one = Child::new(
            Kind::ResourceQuota,
            &tenant,
            "tenant-acme",
            "q",
            &[],
            &json!({ "spec": { "hard": { "pods": "1" } } }),
        );
        let two = Child::new(
            Kind::ResourceQuota,
            &tenant,
            "tenant-acme",
            "q",
            &[],
            &json!({ "spec": { "hard": { "pods": "2" } } }),
        );
        assert_eq!(one.manifest["metadata"]["labels"][LABEL_TENANT_ID], Uuid::nil().to_string());
        assert_eq!(one.manifest["metadata"]["annotations"][ANNOTATION_APPLIED], one.digest);
        assert_ne!(one.digest, two.digest);
        assert_eq!(one.fields, two.fields);
        assert_eq!(one.key.to_string(), "ResourceQuota tenant-acme/q");
    }
}
