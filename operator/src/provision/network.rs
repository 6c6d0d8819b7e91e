//! NetworkPolicies of a tenant's namespace: deny by default, then what each isolation level allows. One small function
//! for each policy, which says why it exists.

use serde_json::{Value, json};
use store::TenantRef;

use crate::names::LABEL_NAMESPACE_NAME;
use crate::provision::children::{self, Change, Observed};
use crate::provision::{Error, Note, Provisioner, Stage, Systems};
use crate::runtime::gate::System;
use crate::systems::child::{Child, Kind};
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;
use crds::tenant::NetworkIsolation;

/// What the API's container calls its port.
const API_PORT: &str = "https";

/// Provisions the policies.
pub struct Network;

impl Provisioner for Network {
    const CONDITION: ConditionType = ConditionType::NetworkReady;
    const SYSTEM: System = System::Kubernetes;
    const NEEDS: &'static [ConditionType] = &[ConditionType::NamespaceReady];
    const WIDTH: usize = 3;
    type Desired = Vec<Child>;
    type Observed = Observed;
    type Change = Change;

    fn desired(tenant: &ValidTenant) -> Vec<Child> {
        let namespace = &tenant.namespace;
        match tenant.network {
            NetworkIsolation::None => vec![],
            // No egress policy here: the first one would close all egress.
            NetworkIsolation::Baseline => vec![deny_ingress(tenant, namespace), allow_within(tenant, namespace, false)],
            NetworkIsolation::Strict => {
                let mut policies = vec![
                    deny_all(tenant, namespace),
                    allow_within(tenant, namespace, true),
                    allow_dns(tenant, namespace),
                    allow_api(tenant, namespace),
                ];
                policies.extend(allow_listed(tenant, namespace));
                policies
            }
        }
    }

    fn digest(desired: &Vec<Child>) -> String {
        children::digest(desired)
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<Observed, Error> {
        Ok(children::observe(systems, &tenant.namespace, &[Kind::NetworkPolicy], &tenant.reference))
    }

    fn plan(desired: Vec<Child>, observed: &Observed) -> Result<Vec<Change>, Error> {
        Ok(children::plan(desired, observed))
    }

    async fn apply(systems: &Systems, tenant: &TenantRef, change: Change) -> Result<(), Error> {
        children::apply(systems, tenant, change).await
    }

    async fn remove(_: &Systems, _: &TenantRef, _: Stage) -> Result<(), Error> {
        // They go with the namespace; until then it stays closed.
        Ok(())
    }

    fn note(tenant: &ValidTenant) -> Note {
        match tenant.network {
            NetworkIsolation::None => {
                Note { reason: "NoIsolation", message: "spec.isolation.networkPolicy is None".into() }
            }
            NetworkIsolation::Baseline => Note::succeeded("ingress is closed but from within, egress is open"),
            NetworkIsolation::Strict => Note::succeeded("ingress and egress are closed but for what Strict lists"),
        }
    }
}

/// The policies of the agents' namespace: agents serve nobody, and talk to DNS and Tenantra's API only.
pub fn for_agents(tenant: &ValidTenant) -> Vec<Child> {
    let namespace = &tenant.agent_namespace;
    vec![deny_all(tenant, namespace), allow_dns(tenant, namespace), allow_api(tenant, namespace)]
}

/// Nobody outside reaches a tenant's pods; a policy that selects them and allows nothing closes them.
fn deny_ingress(tenant: &ValidTenant, namespace: &str) -> Child {
    policy(tenant, namespace, "deny-ingress", &json!({ "podSelector": {}, "policyTypes": ["Ingress"] }))
}

/// Nothing comes in and nothing goes out but what another policy allows.
fn deny_all(tenant: &ValidTenant, namespace: &str) -> Child {
    policy(tenant, namespace, "deny-all", &json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] }))
}

/// A tenant's own pods may talk to each other; where egress is closed, both ends have to be opened.
fn allow_within(tenant: &ValidTenant, namespace: &str, also_egress: bool) -> Child {
    let within = json!([{ "podSelector": {} }]);
    let mut spec = json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": within }] });
    if also_egress {
        spec["policyTypes"] = json!(["Ingress", "Egress"]);
        spec["egress"] = json!([{ "to": within }]);
    }
    policy(tenant, namespace, "allow-within", &spec)
}

/// Names have to resolve. Policies see the pod's port, which is 5353 where the cluster's DNS may not bind below 1024.
fn allow_dns(tenant: &ValidTenant, namespace: &str) -> Child {
    let to = json!([{ "namespaceSelector": { "matchLabels": { LABEL_NAMESPACE_NAME: "kube-system" } }, "podSelector": { "matchLabels": { "k8s-app": "kube-dns" } } }]);
    let ports = json!([
        { "protocol": "UDP", "port": 53 }, { "protocol": "TCP", "port": 53 },
        { "protocol": "UDP", "port": 5353 }, { "protocol": "TCP", "port": 5353 },
    ]);
    egress(tenant, namespace, "allow-dns", &json!([{ "to": to, "ports": ports }]))
}

/// Tenantra's API, which is a workload of the chart; never the Kubernetes API server. Policies see the pod's port, which is
/// not the Service's: the name holds for both.
fn allow_api(tenant: &ValidTenant, namespace: &str) -> Child {
    let to = json!([{
        "namespaceSelector": { "matchLabels": { LABEL_NAMESPACE_NAME: tenant.installation.namespace } },
        "podSelector": { "matchLabels": { "app.kubernetes.io/name": "tenantra", "app.kubernetes.io/component": "api" } },
    }]);
    let ports = json!([{ "protocol": "TCP", "port": API_PORT }]);
    egress(tenant, namespace, "allow-api", &json!([{ "to": to, "ports": ports }]))
}

/// The networks that the tenant's spec opens.
fn allow_listed(tenant: &ValidTenant, namespace: &str) -> Option<Child> {
    let rules: Vec<Value> = tenant
        .egress
        .iter()
        .map(|rule| {
            let to = json!([{ "ipBlock": { "cidr": rule.cidr } }]);
            let ports: Vec<Value> = rule.ports.iter().map(|port| json!({ "protocol": "TCP", "port": port })).collect();
            // An empty list of ports would allow none; no list allows all.
            if ports.is_empty() { json!({ "to": to }) } else { json!({ "to": to, "ports": ports }) }
        })
        .collect();
    (!rules.is_empty()).then(|| egress(tenant, namespace, "allow-listed", &json!(rules)))
}

fn egress(tenant: &ValidTenant, namespace: &str, name: &str, rules: &Value) -> Child {
    policy(tenant, namespace, name, &json!({ "podSelector": {}, "policyTypes": ["Egress"], "egress": rules }))
}

fn policy(tenant: &ValidTenant, namespace: &str, name: &str, spec: &Value) -> Child {
    Child::new(Kind::NetworkPolicy, &tenant.reference, namespace, name, &[], &json!({ "spec": spec }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::validate::tests::tenant_with;

    fn names(isolation: &Value) -> Vec<String> {
        let tenant = tenant_with(json!({ "displayName": "A", "isolation": isolation }));
        Network::desired(&tenant).iter().map(|child| child.key.name.clone()).collect()
    }

    #[test]
    fn each_level_has_its_policies() {
        assert_eq!(names(&json!({ "networkPolicy": "None" })), Vec::<String>::new());
        assert_eq!(names(&json!({})), ["deny-ingress", "allow-within"]);
        assert_eq!(
            names(&json!({ "networkPolicy": "Strict" })),
            ["deny-all", "allow-within", "allow-dns", "allow-api"]
        );
        let opened = json!({ "networkPolicy": "Strict", "egress": [{ "cidr": "10.0.0.0/8", "ports": [443] }] });
        assert_eq!(names(&opened), ["deny-all", "allow-within", "allow-dns", "allow-api", "allow-listed"]);
    }

    #[test]
    fn baseline_leaves_egress_open() {
        let tenant = tenant_with(json!({ "displayName": "A" }));
        for child in Network::desired(&tenant) {
            assert_eq!(child.manifest["spec"]["policyTypes"], json!(["Ingress"]), "{}", child.key);
        }
    }

    #[test]
    fn a_rule_without_ports_opens_all_of_them() {
        let isolation = json!({ "networkPolicy": "Strict", "egress": [{ "cidr": "10.0.0.0/8" }] });
        let tenant = tenant_with(json!({ "displayName": "A", "isolation": isolation }));
        let listed = Network::desired(&tenant).pop().unwrap();
        assert!(listed.manifest["spec"]["egress"][0].get("ports").is_none());
    }
}
