//! What the tenant's own people may do in Kubernetes: Roles over the three kinds that live in their namespace, bound to
//! the groups `tenantra:<slug>:<role>` of the identity provider; and the ServiceAccount of their workloads.

use serde_json::json;
use store::TenantRef;

use crate::names::WORKLOAD_ACCOUNT;
use crate::provision::children::{self, Change, Observed};
use crate::provision::{Error, Provisioner, Stage, Systems};
use crate::runtime::gate::System;
use crate::systems::child::{Child, Kind};
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;

/// The groups and what they may do with the tenant's own custom resources.
const GROUPS: [(&str, &[&str]); 4] = [
    ("admin", &["get", "list", "watch", "create", "update", "patch", "delete"]),
    ("manager", &["get", "list", "watch", "create", "update", "patch"]),
    ("user", &["get", "list", "watch"]),
    ("auditor", &["get", "list", "watch"]),
];
const RESOURCES: [&str; 3] = ["scanschedules", "alertrules", "cloudaccounts"];

/// Provisions Roles and their bindings.
pub struct Access;

impl Provisioner for Access {
    const CONDITION: ConditionType = ConditionType::AccessReady;
    const SYSTEM: System = System::Kubernetes;
    const NEEDS: &'static [ConditionType] = &[ConditionType::NamespaceReady];
    const WIDTH: usize = 4;
    type Desired = Vec<Child>;
    type Observed = Observed;
    type Change = Change;

    fn desired(tenant: &ValidTenant) -> Vec<Child> {
        let account =
            child(tenant, Kind::ServiceAccount, WORKLOAD_ACCOUNT, &json!({ "automountServiceAccountToken": false }));
        let roles = GROUPS.iter().flat_map(|(group, verbs)| [role(tenant, group, verbs), binding(tenant, group)]);
        std::iter::once(account).chain(roles).collect()
    }

    fn digest(desired: &Vec<Child>) -> String {
        children::digest(desired)
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<Observed, Error> {
        let kinds = [Kind::Role, Kind::RoleBinding, Kind::ServiceAccount];
        Ok(children::observe(systems, &tenant.namespace, &kinds, &tenant.reference))
    }

    fn plan(desired: Vec<Child>, observed: &Observed) -> Result<Vec<Change>, Error> {
        Ok(children::plan(desired, observed))
    }

    async fn apply(systems: &Systems, tenant: &TenantRef, change: Change) -> Result<(), Error> {
        children::apply(systems, tenant, change).await
    }

    async fn remove(systems: &Systems, tenant: &TenantRef, stage: Stage) -> Result<(), Error> {
        if stage != Stage::Revoke {
            return Ok(());
        }
        let namespace = crds::names::tenant_namespace(tenant.slug.as_str());
        for (key, existing) in children::observe(systems, &namespace, &[Kind::RoleBinding], tenant) {
            if existing.seen.tenant_id == Some(tenant.id) {
                systems.cluster.delete(&key, &existing.seen).await?;
            }
        }
        Ok(())
    }
}

fn role(tenant: &ValidTenant, group: &str, verbs: &[&str]) -> Child {
    let rules = json!([{ "apiGroups": [crds::GROUP], "resources": RESOURCES, "verbs": verbs }]);
    child(tenant, Kind::Role, &format!("tenantra-{group}"), &json!({ "rules": rules }))
}

fn binding(tenant: &ValidTenant, group: &str) -> Child {
    let name = format!("tenantra-{group}");
    let subject = format!("tenantra:{}:{group}", tenant.reference.slug);
    let object = json!({
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": subject }],
    });
    child(tenant, Kind::RoleBinding, &name, &object)
}

fn child(tenant: &ValidTenant, kind: Kind, name: &str, object: &serde_json::Value) -> Child {
    Child::new(kind, &tenant.reference, &tenant.namespace, name, &[], object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::validate::tests::tenant_with;

    #[test]
    fn each_group_has_a_role_and_only_the_admin_deletes() {
        let made = Access::desired(&tenant_with(json!({ "displayName": "A" })));
        assert_eq!(made.len(), 1 + 2 * GROUPS.len());
        let deleting: Vec<_> = made
            .iter()
            .filter(|c| c.manifest.to_string().contains("\"delete\""))
            .map(|c| c.key.name.as_str())
            .collect();
        assert_eq!(deleting, ["tenantra-admin"]);
        assert!(made.iter().all(|child| !child.manifest.to_string().contains("\"*\"")));
    }
}
