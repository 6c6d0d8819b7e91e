//! The agents on the tenant's nodes: a DaemonSet in a namespace of its own, because whoever runs there sees the whole
//! node. The nodeSelector always holds the tenant's label, which only the platform sets; the spec can only narrow it.

use serde_json::{Value, json};
use store::TenantRef;

use crate::names::{CA_CONFIG_MAP, TOKEN_AUDIENCE};
use crate::provision::children::{self, Change, Observed};
use crate::provision::{Error, Provisioner, Stage, Systems, namespace, network};
use crate::runtime::gate::System;
use crate::systems::child::{Child, Kind};
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;
use crds::names::{AGENT, agent_namespace};

const KINDS: [Kind; 4] = [Kind::ServiceAccount, Kind::ConfigMap, Kind::NetworkPolicy, Kind::DaemonSet];

/// Provisions the agents.
pub struct Agents;

/// The agents' namespace and what is in it.
pub struct Desired {
    namespace: Child,
    children: Vec<Child>,
}

/// The same as it is.
pub struct Existing {
    tenant: TenantRef,
    namespace: Observed,
    children: Observed,
}

impl Provisioner for Agents {
    const CONDITION: ConditionType = ConditionType::AgentsReady;
    const SYSTEM: System = System::Kubernetes;
    type Desired = Option<Desired>;
    type Observed = Existing;
    type Change = Change;

    fn desired(tenant: &ValidTenant) -> Option<Desired> {
        tenant.agent.enabled.then(|| {
            let mut children = vec![account(tenant), ca(tenant)];
            children.extend(network::for_agents(tenant));
            // Last, so that its pods find everything they mount.
            children.push(daemon_set(tenant));
            Desired {
                namespace: namespace::manifest(&tenant.reference, &tenant.agent_namespace, "privileged"),
                children,
            }
        })
    }

    fn digest(desired: &Option<Desired>) -> String {
        desired
            .as_ref()
            .map(|d| format!("{},{}", d.namespace.digest, children::digest(&d.children)))
            .unwrap_or_default()
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<Existing, Error> {
        Ok(Existing {
            tenant: tenant.reference.clone(),
            namespace: namespace::find(systems, &tenant.agent_namespace),
            children: children::observe(systems, &tenant.agent_namespace, &KINDS, &tenant.reference),
        })
    }

    fn plan(desired: Option<Desired>, observed: &Existing) -> Result<Vec<Change>, Error> {
        let Some(desired) = desired else {
            // Switched off: the whole namespace goes, if it is ours.
            let ours = observed
                .namespace
                .iter()
                .filter(|(_, there)| there.seen.tenant_id == Some(observed.tenant.id) && !there.seen.is_leaving);
            return Ok(ours.map(|(key, there)| Change::Delete(key.clone(), there.seen.clone())).collect());
        };
        let namespace = children::plan_namespace(desired.namespace, &observed.tenant, &observed.namespace)?;
        Ok(namespace.into_iter().chain(children::plan(desired.children, &observed.children)).collect())
    }

    async fn apply(systems: &Systems, tenant: &TenantRef, change: Change) -> Result<(), Error> {
        children::apply(systems, tenant, change).await
    }

    async fn remove(systems: &Systems, tenant: &TenantRef, stage: Stage) -> Result<(), Error> {
        match stage {
            Stage::Revoke => Ok(()),
            Stage::Workloads | Stage::Purge => {
                children::remove_namespace(systems, tenant, &agent_namespace(tenant.slug.as_str())).await
            }
        }
    }
}

fn account(tenant: &ValidTenant) -> Child {
    // The token the agent enrols with is projected for one audience; one for the API server is not mounted at all.
    child(tenant, Kind::ServiceAccount, AGENT, &json!({ "automountServiceAccountToken": false }))
}

fn ca(tenant: &ValidTenant) -> Child {
    child(tenant, Kind::ConfigMap, CA_CONFIG_MAP, &json!({ "data": { "ca.crt": tenant.installation.api_ca } }))
}

fn daemon_set(tenant: &ValidTenant) -> Child {
    let labels = json!({ "app.kubernetes.io/name": AGENT, crds::names::LABEL_TENANT: tenant.reference.slug.as_str() });
    let spec = json!({
        "selector": { "matchLabels": labels },
        "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": "10%" } },
        "template": { "metadata": { "labels": labels }, "spec": pod(tenant) },
    });
    child(tenant, Kind::DaemonSet, AGENT, &json!({ "spec": spec }))
}

fn pod(tenant: &ValidTenant) -> Value {
    let mut pod = json!({
        "serviceAccountName": AGENT,
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        // Processes, their sockets and the node's network are read through the node's /proc.
        "hostPID": true,
        "nodeSelector": tenant.agent_node_selector,
        "terminationGracePeriodSeconds": 30,
        "containers": [container(tenant)],
        "volumes": volumes(tenant),
    });
    if !tenant.agent.tolerations.is_empty() {
        pod["tolerations"] = json!(tenant.agent.tolerations);
    }
    pod
}

fn container(tenant: &ValidTenant) -> Value {
    let installation = &tenant.installation;
    let resources =
        tenant.agent.resources.as_ref().map_or_else(|| installation.agent_resources.clone(), |own| json!(own));
    json!({
        "name": "agent",
        "image": installation.agent_image,
        "imagePullPolicy": installation.agent_image_pull_policy,
        "args": ["run"],
        "env": [
            { "name": "TENA_API_URL", "value": installation.api_url },
            { "name": "TENA_CA_FILE", "value": "/etc/tenantra/ca.crt" },
            { "name": "TENA_ENROLL_SA_TOKEN_FILE", "value": "/var/run/secrets/tenantra/token" },
            { "name": "TENA_STATE_DIR", "value": "/var/lib/tenantra" },
            { "name": "TENA_HOST_ROOT", "value": "/host" },
            { "name": "TENA_NODE_NAME", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
        ],
        "resources": resources,
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"], "add": ["DAC_READ_SEARCH", "SYS_PTRACE"] },
            // The agent puts itself under seccomp and landlock; the default profile of older runtimes refuses landlock.
            "seccompProfile": { "type": "Unconfined" },
            // The profile of container runtimes forbids to look into processes outside of it, whatever the capabilities.
            "appArmorProfile": { "type": "Unconfined" },
        },
        "volumeMounts": mounts(tenant),
    })
}

fn mounts(tenant: &ValidTenant) -> Vec<Value> {
    let mut host = json!({ "name": "host", "mountPath": "/host", "readOnly": true, "mountPropagation": "None" });
    // readOnly alone leaves what is mounted below it writable. Kubernetes refuses the field where the feature is off, so
    // an installation can leave it out.
    if let Some(policy) = installation_read_only(tenant) {
        host["recursiveReadOnly"] = policy.into();
    }
    let mut mounts = vec![
        host,
        json!({ "name": "state", "mountPath": "/var/lib/tenantra" }),
        json!({ "name": "token", "mountPath": "/var/run/secrets/tenantra", "readOnly": true }),
        json!({ "name": "ca", "mountPath": "/etc/tenantra", "readOnly": true }),
        json!({ "name": "tmp", "mountPath": "/tmp" }),
    ];
    if tenant.agent.container_socket {
        mounts.push(json!({ "name": "runtime", "mountPath": "/run/containerd/containerd.sock" }));
    }
    mounts
}

fn volumes(tenant: &ValidTenant) -> Vec<Value> {
    let state = format!("/var/lib/tenantra/{}", tenant.reference.id);
    let token =
        json!({ "serviceAccountToken": { "audience": TOKEN_AUDIENCE, "expirationSeconds": 3600, "path": "token" } });
    let mut volumes = vec![
        json!({ "name": "host", "hostPath": { "path": "/", "type": "Directory" } }),
        json!({ "name": "state", "hostPath": { "path": state, "type": "DirectoryOrCreate" } }),
        json!({ "name": "token", "projected": { "sources": [token] } }),
        json!({ "name": "ca", "configMap": { "name": CA_CONFIG_MAP } }),
        json!({ "name": "tmp", "emptyDir": { "medium": "Memory", "sizeLimit": "16Mi" } }),
    ];
    if tenant.agent.container_socket {
        volumes.push(
            json!({ "name": "runtime", "hostPath": { "path": "/run/containerd/containerd.sock", "type": "Socket" } }),
        );
    }
    volumes
}

fn installation_read_only(tenant: &ValidTenant) -> Option<String> {
    use crate::runtime::config::RecursiveReadOnly;
    match tenant.installation.agent_recursive_read_only {
        RecursiveReadOnly::Disabled => None,
        policy => Some(policy.to_string()),
    }
}

fn child(tenant: &ValidTenant, kind: Kind, name: &str, object: &Value) -> Child {
    Child::new(kind, &tenant.reference, &tenant.agent_namespace, name, &[], object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::validate::tests::tenant_with;

    fn daemon(spec: Value) -> Value {
        Agents::desired(&tenant_with(spec)).unwrap().children.pop().unwrap().manifest
    }

    #[test]
    fn the_nodes_are_the_tenants_whatever_the_spec_says() {
        let spec = json!({ "displayName": "A", "agent": { "nodeSelector": { "tenantra.io/tenant": "other", "disk": "ssd" } } });
        let selector = &daemon(spec)["spec"]["template"]["spec"]["nodeSelector"];
        assert_eq!(*selector, json!({ "disk": "ssd", "tenantra.io/tenant": "acme" }));
    }

    #[test]
    fn the_socket_is_mounted_only_when_asked_for() {
        assert!(!daemon(json!({ "displayName": "A" })).to_string().contains("containerd.sock"));
        let asked = json!({ "displayName": "A", "agent": { "containerSocket": true } });
        assert!(daemon(asked).to_string().contains("containerd.sock"));
    }

    #[test]
    fn the_host_is_read_only_and_the_token_bound_to_one_audience() {
        let daemon = daemon(json!({ "displayName": "A" }));
        let pod = &daemon["spec"]["template"]["spec"];
        let host = &pod["containers"][0]["volumeMounts"][0];
        assert_eq!((host["readOnly"].as_bool(), host["mountPropagation"].as_str()), (Some(true), Some("None")));
        assert_eq!(pod["volumes"][2]["projected"]["sources"][0]["serviceAccountToken"]["audience"], "tenantra");
        assert_eq!(
            pod["containers"][0]["securityContext"]["capabilities"]["add"],
            json!(["DAC_READ_SEARCH", "SYS_PTRACE"])
        );
        let unconfined = json!({ "type": "Unconfined" });
        assert_eq!(pod["containers"][0]["securityContext"]["appArmorProfile"], unconfined);
    }

    #[test]
    fn agents_switched_off_leave_no_namespace() {
        let off = tenant_with(json!({ "displayName": "A", "agent": { "enabled": false } }));
        assert!(Agents::desired(&off).is_none());
    }
}
