//! The tenant's namespace, with its Pod Security level. A namespace without our mark is never adopted, whatever it is
//! called: it may hold somebody's data.

use serde_json::json;
use store::TenantRef;

use crate::provision::children::{self, Change, Observed};
use crate::provision::{Error, Provisioner, Stage, Systems};
use crate::runtime::gate::System;
use crate::systems::child::{Child, Key, Kind};
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;
use crds::names::tenant_namespace;

/// Provisions the namespace.
pub struct Namespace;

impl Provisioner for Namespace {
    const CONDITION: ConditionType = ConditionType::NamespaceReady;
    const SYSTEM: System = System::Kubernetes;
    type Desired = Child;
    type Observed = (TenantRef, Observed);
    type Change = Change;

    fn desired(tenant: &ValidTenant) -> Child {
        manifest(&tenant.reference, &tenant.namespace, tenant.pod_security.as_str())
    }

    fn digest(desired: &Child) -> String {
        desired.digest.clone()
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<Self::Observed, Error> {
        Ok((tenant.reference.clone(), find(systems, &tenant.namespace)))
    }

    fn plan(desired: Child, (tenant, observed): &Self::Observed) -> Result<Vec<Change>, Error> {
        Ok(children::plan_namespace(desired, tenant, observed)?.into_iter().collect())
    }

    async fn apply(systems: &Systems, tenant: &TenantRef, change: Change) -> Result<(), Error> {
        children::apply(systems, tenant, change).await
    }

    async fn remove(systems: &Systems, tenant: &TenantRef, stage: Stage) -> Result<(), Error> {
        match stage {
            Stage::Revoke | Stage::Workloads => Ok(()),
            Stage::Purge => children::remove_namespace(systems, tenant, &tenant_namespace(tenant.slug.as_str())).await,
        }
    }
}

/// The manifest of a namespace at a Pod Security level.
pub fn manifest(tenant: &TenantRef, name: &str, level: &str) -> Child {
    let labels = [
        ("pod-security.kubernetes.io/enforce", level),
        ("pod-security.kubernetes.io/audit", level),
        ("pod-security.kubernetes.io/warn", level),
    ];
    Child::new(Kind::Namespace, tenant, "", name, &labels, &json!({}))
}

/// The namespace of that name, if it carries a tenant's label.
pub fn find(systems: &Systems, name: &str) -> Observed {
    let key = Key::namespace(name);
    systems.cluster.children().get(&key).map(|existing| (key, existing)).into_iter().collect()
}
