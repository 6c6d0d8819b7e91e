//! From the raw spec to a [`ValidTenant`]; after it nobody reads the raw spec. What one object can say about itself the
//! API server has checked already, so this is about its place among others.

use std::collections::BTreeMap;
use std::sync::Arc;

use store::TenantRef;

use crate::runtime::config::{Config, RecursiveReadOnly};
use crate::systems::openbao::Mounts;
use crds::names::{ANNOTATION_SUSPENDED_BY, LABEL_TENANT, agent_namespace, tenant_namespace};
use crds::tenant::{Agent, EgressRule, Limits, NetworkIsolation, PodSecurity, Tenant};

/// Managed service providers and their customers, at most so many levels.
const MAX_DEPTH: usize = 5;

/// What all tenants of this installation share.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The chart's namespace.
    pub namespace: String,
    /// Where agents find the API.
    pub api_url: String,
    /// The CA of its certificate.
    pub api_ca: String,
    /// The agent's image.
    pub agent_image: String,
    /// When it is pulled.
    pub agent_image_pull_policy: String,
    /// Resources of the agent's container.
    pub agent_resources: serde_json::Value,
    /// Whether submounts of the node's root are read-only.
    pub agent_recursive_read_only: RecursiveReadOnly,
    /// Below which default host names lie.
    pub base_domain: String,
    /// The mounts of OpenBao; none where the installation has no OpenBao.
    pub mounts: Option<Mounts>,
}

impl Installation {
    /// What the configuration says of it.
    pub fn of(config: &Config) -> Result<Self, crate::runtime::config::Error> {
        let mounts = config.vault_addr.as_ref().map(|_| Mounts {
            kv: config.vault_kv_mount.clone(),
            transit: config.vault_transit_mount.clone(),
            pki: config.vault_pki_mount.clone(),
            kubernetes: config.vault_k8s_mount.clone(),
        });
        Ok(Self {
            namespace: config.namespace.clone(),
            api_url: config.api_url(),
            api_ca: config.api_ca()?,
            agent_image: config.agent_image.clone(),
            agent_image_pull_policy: config.agent_image_pull_policy.clone(),
            agent_resources: config.agent_resources.clone(),
            agent_recursive_read_only: config.agent_recursive_read_only,
            base_domain: config.base_domain.clone(),
            mounts,
        })
    }
}

/// A tenant that can be provisioned.
#[derive(Debug, Clone)]
pub struct ValidTenant {
    /// Slug and UUID.
    pub reference: TenantRef,
    /// What it shares with all others.
    pub installation: Arc<Installation>,
    /// Its namespace.
    pub namespace: String,
    /// The namespace of its agents.
    pub agent_namespace: String,
    /// Its host name.
    pub host: String,
    /// Its Pod Security level.
    pub pod_security: PodSecurity,
    /// Its network isolation.
    pub network: NetworkIsolation,
    /// What stays reachable where that is Strict.
    pub egress: Vec<EgressRule>,
    /// Upper bounds.
    pub limits: Option<Limits>,
    /// Its agents.
    pub agent: Agent,
    /// The nodes they run on; always those that carry the tenant's label.
    pub agent_node_selector: BTreeMap<String, String>,
    /// Whether it is suspended.
    pub is_suspended: bool,
}

impl ValidTenant {
    /// Its path in the KV engine, where there is one.
    pub fn vault_path(&self) -> Option<String> {
        self.installation.mounts.as_ref().map(|mounts| format!("{}/data/tenants/{}", mounts.kv, self.reference.slug))
    }
}

/// Why a tenant cannot be provisioned; a person has to act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The tenant above it does not exist.
    #[error("the parent '{0}' does not exist; create it, or correct spec.parent")]
    ParentMissing(String),
    /// The tenants above it lead back to it.
    #[error("the parents form a circle: {0}; take spec.parent from one of them")]
    ParentCycle(String),
    /// There are too many above it.
    #[error("there are more than {MAX_DEPTH} levels: {0}")]
    ParentTooDeep(String),
    /// The instance is not one of this installation's.
    #[error("spec.database.instance '{0}' is not configured in this installation; use 'default'")]
    UnknownInstance(String),
}

impl Invalid {
    /// The condition's reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ParentMissing(_) => "ParentMissing",
            Self::ParentCycle(_) => "ParentCycle",
            Self::ParentTooDeep(_) => "ParentTooDeep",
            Self::UnknownInstance(_) => "UnknownInstance",
        }
    }
}

/// Whether the product's switch is off, by the spec or in an emergency by annotation.
pub fn is_suspended(tenant: &Tenant) -> bool {
    let annotated = tenant.metadata.annotations.as_ref().and_then(|a| a.get(ANNOTATION_SUSPENDED_BY));
    tenant.spec.suspend || annotated.is_some_and(|by| !by.is_empty())
}

/// Checks a tenant's place among others. `parent_of` gives the parent of a tenant that exists.
pub fn validate(
    raw: &Tenant,
    reference: TenantRef,
    installation: &Arc<Installation>,
    parent_of: impl Fn(&str) -> Option<Option<String>>,
) -> Result<ValidTenant, Invalid> {
    check_parents(reference.slug.as_str(), raw.spec.parent.as_deref(), parent_of)?;
    // Taken apart without `..`, so that a new field of the spec cannot be forgotten here.
    let crds::tenant::TenantSpec {
        display_name: _,
        plan: _,
        parent: _,
        contact: _,
        domain,
        branding: _,
        limits,
        isolation,
        features: _,
        modules: _,
        frameworks: _,
        risk: _,
        retention: _,
        database,
        identity: _,
        agent,
        admin: _,
        suspend: _,
        deletion_policy: _,
        purge_after: _,
    } = &raw.spec;
    if database.instance != "default" {
        return Err(Invalid::UnknownInstance(database.instance.clone()));
    }
    let slug = reference.slug.as_str();
    let mut agent_node_selector = agent.node_selector.clone();
    agent_node_selector.insert(LABEL_TENANT.to_owned(), slug.to_owned());
    Ok(ValidTenant {
        namespace: tenant_namespace(slug),
        agent_namespace: agent_namespace(slug),
        host: domain.clone().unwrap_or_else(|| format!("{slug}.{}", installation.base_domain)),
        pod_security: isolation.pod_security,
        network: isolation.network_policy,
        egress: isolation.egress.clone(),
        limits: limits.clone(),
        agent: agent.clone(),
        agent_node_selector,
        is_suspended: is_suspended(raw),
        installation: installation.clone(),
        reference,
    })
}

fn check_parents(
    slug: &str,
    parent: Option<&str>,
    parent_of: impl Fn(&str) -> Option<Option<String>>,
) -> Result<(), Invalid> {
    let mut line = vec![slug.to_owned()];
    let mut next = parent.map(str::to_owned);
    while let Some(name) = next {
        if line.contains(&name) {
            line.push(name);
            return Err(Invalid::ParentCycle(line.join(" → ")));
        }
        line.push(name.clone());
        if line.len() > MAX_DEPTH {
            return Err(Invalid::ParentTooDeep(line.join(" → ")));
        }
        next = parent_of(&name).ok_or(Invalid::ParentMissing(name))?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};
    use store::Slug;
    use uuid::Uuid;

    pub(crate) fn installation() -> Arc<Installation> {
        Arc::new(Installation {
            namespace: "tenantra-system".into(),
            api_url: "https://tenantra-api.tenantra-system.svc:8443".into(),
            api_ca: "CA".into(),
            agent_image: "tenantra/agent:1".into(),
            agent_image_pull_policy: "IfNotPresent".into(),
            agent_resources: json!({}),
            agent_recursive_read_only: RecursiveReadOnly::IfPossible,
            base_domain: "tenantra.local".into(),
            mounts: None,
        })
    }

    pub(crate) fn raw(name: &str, spec: Value) -> Tenant {
        Tenant::new(name, serde_json::from_value(spec).unwrap())
    }

    pub(crate) fn tenant_with(spec: Value) -> ValidTenant {
        let reference = TenantRef { slug: Slug::parse("acme").unwrap(), id: Uuid::from_u128(7) };
        validate(&raw("acme", spec), reference, &installation(), |_| None).unwrap()
    }

    fn checked(slug: &str, parents: &[(&str, &str)]) -> Result<(), Invalid> {
        let parents: BTreeMap<&str, &str> = parents.iter().copied().collect();
        let own = parents.get(slug).copied();
        check_parents(slug, own, |name| {
            parents.get(name).map(|parent| (!parent.is_empty()).then(|| (*parent).to_owned()))
        })
    }

    #[test]
    fn parents_must_exist_end_and_not_be_too_many() {
        assert_eq!(checked("a", &[]), Ok(()));
        assert_eq!(checked("a", &[("a", "b"), ("b", "")]), Ok(()));
        assert_eq!(checked("a", &[("a", "b")]), Err(Invalid::ParentMissing("b".into())));
        assert_eq!(checked("a", &[("a", "b"), ("b", "a")]), Err(Invalid::ParentCycle("a → b → a".into())));
        let five = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "")];
        assert_eq!(checked("a", &five), Ok(()));
        let six = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("f", "")];
        assert!(matches!(checked("a", &six), Err(Invalid::ParentTooDeep(_))));
    }

    #[test]
    fn an_annotation_suspends_as_the_spec_does() {
        let mut tenant = raw("acme", json!({ "displayName": "A" }));
        assert!(!is_suspended(&tenant));
        tenant.metadata.annotations = Some([(ANNOTATION_SUSPENDED_BY.to_owned(), "ada".to_owned())].into());
        assert!(is_suspended(&tenant));
        assert!(is_suspended(&raw("acme", json!({ "displayName": "A", "suspend": true }))));
    }
}
