//! Enrolment by a projected ServiceAccount token, against a real `TokenReview`: every link from the token to the node's
//! label has to hold. Pod and node are objects without a kubelet; the token is bound to them all the same.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, ServiceAccount};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::tenants::{Progress, TenantState};
use uuid::Uuid;

use crate::fixture::{Fixture, Host, enroll_request, expect};

const NAMESPACE: &str = "tenantra-agent-acme";
/// Of all nodes of the test; see [`daemon_set`].
const TAINT: &str = "tenantra.io/test";

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_the_tenants_daemon_set_enrols_and_no_other() -> Result<()> {
    let fixture = Fixture::start().await?;
    fixture.tenant("acme", json!({ "plan": "Enterprise" })).await?;
    let client = fixture.cluster.client.clone();
    create::<Namespace>(&Api::all(client.clone()), json!({ "metadata": { "name": NAMESPACE } })).await?;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    for name in ["tenantra-agent", "intruder"] {
        create(&accounts, json!({ "metadata": { "name": name } })).await?;
    }
    let nodes: Api<Node> = Api::all(client.clone());
    for (name, slug) in [("node-a", "acme"), ("node-b", "other"), ("node-c", "acme")] {
        let labels = BTreeMap::from([("tenantra.io/tenant", slug)]);
        let taints = json!([{ "key": TAINT, "effect": "NoSchedule" }]);
        create(&nodes, json!({ "metadata": { "name": name, "labels": labels }, "spec": { "taints": taints } })).await?;
    }
    let agents = daemon_set(&client, "tenantra-agent").await?;
    let others = daemon_set(&client, "another").await?;
    let pod = async |name: &str, account: &str, node: &str, set: Option<&DaemonSet>| -> Result<Pod> {
        let mut metadata = json!({ "name": name });
        if let Some(set) = set {
            metadata["labels"] = json!({ "app": set.name_any() });
            metadata["ownerReferences"] = json!([set.controller_owner_ref(&())]);
        }
        let object = json!({
            "metadata": metadata,
            "spec": { "serviceAccountName": account, "nodeName": node, "containers": [{ "name": "agent", "image": "agent" }] },
        });
        create(&Api::namespaced(client.clone(), NAMESPACE), object).await
    };
    let enroll = async |token: &str| -> Result<reqwest::Response> {
        let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
        let request = enroll_request(&json!({ "type": "service_account", "token": token }), &key, Uuid::new_v4());
        Ok(fixture.request(Method::POST, "/v1/agents/enroll/self").0.json(&request).send().await?)
    };
    let refused = async |token: &str, why: &str| -> Result<()> {
        let body = expect(enroll(token).await?, StatusCode::UNAUTHORIZED).await?;
        assert_eq!(body["code"], "enrolment_refused", "{body}");
        assert!(body["message"].as_str().unwrap().contains(why), "{why}: {body}");
        Ok(())
    };

    let good = pod("agent-a", "tenantra-agent", "node-a", Some(&agents)).await?;
    let good_token = token(&client, "tenantra-agent", "tenantra", Some(&good)).await?;
    let credential = json!({ "type": "service_account", "token": good_token });
    let host = Host::enroll(&fixture.http, &fixture.base, credential.clone(), Uuid::new_v4()).await?;
    assert_eq!(host.enrolled.tenant.slug, "acme");
    // The node is the identity: another state folder on it continues the same asset.
    let again = Host::enroll(&fixture.http, &fixture.base, credential, Uuid::new_v4()).await?;
    assert_eq!((again.agent_id, again.asset_id), (host.agent_id, host.asset_id));
    again.jobs(0, 1).await?;

    // What the row says holds for nodes too: the slug of a retained tenant lets none in.
    let mut tx = fixture.owner.begin().await?;
    for state in [TenantState::Retained, TenantState::Active] {
        let progress = Progress { state, step: String::new(), purge_after: None };
        store::tenants::set_progress(&mut tx, host.enrolled.tenant.id, &progress).await?;
        tx.commit().await?;
        let status = if state.is_served() { StatusCode::CREATED } else { StatusCode::FORBIDDEN };
        expect(enroll(&good_token).await?, status).await?;
        tx = fixture.owner.begin().await?;
    }
    tx.rollback().await?;

    refused("nonsense", "does not hold").await?;
    let foreign = token(&client, "tenantra-agent", "https://kubernetes.default.svc", Some(&good)).await?;
    refused(&foreign, "audience").await?;
    let unbound = token(&client, "tenantra-agent", "tenantra", None).await?;
    refused(&unbound, "not bound to a pod").await?;
    let intruder = pod("intruder", "intruder", "node-c", Some(&agents)).await?;
    refused(&token(&client, "intruder", "tenantra", Some(&intruder)).await?, "not of the ServiceAccount").await?;
    for (name, set) in [("alone", None), ("of-another-set", Some(&others))] {
        let strange = pod(name, "tenantra-agent", "node-a", set).await?;
        refused(&token(&client, "tenantra-agent", "tenantra", Some(&strange)).await?, "not owned").await?;
    }
    let elsewhere = pod("elsewhere", "tenantra-agent", "node-b", Some(&agents)).await?;
    refused(&token(&client, "tenantra-agent", "tenantra", Some(&elsewhere)).await?, "does not belong").await?;

    // The label is the platform's word: taken away, the node is nobody's.
    let unlabel = Patch::Merge(json!({ "metadata": { "labels": { "tenantra.io/tenant": null } } }));
    nodes.patch("node-a", &PatchParams::default(), &unlabel).await?;
    refused(&good_token, "does not belong").await?;
    Api::<Pod>::namespaced(client.clone(), NAMESPACE)
        .delete("agent-a", &DeleteParams::default().grace_period(0))
        .await?;
    Ok(())
}

/// A set whose pods the test makes itself, one on a node. Its controller leaves them alone whenever it looks: a taint keeps it
/// from placing pods but not those that are there from running, with `OnDelete` it replaces none, and their labels match, so
/// that it takes no owner away.
async fn daemon_set(client: &Client, name: &str) -> Result<DaemonSet> {
    let labels = json!({ "app": name });
    let object = json!({
        "metadata": { "name": name },
        "spec": {
            "selector": { "matchLabels": labels },
            "updateStrategy": { "type": "OnDelete" },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "agent", "image": "agent" }] },
            },
        },
    });
    create(&Api::namespaced(client.clone(), NAMESPACE), object).await
}

async fn create<K>(api: &Api<K>, object: Value) -> Result<K>
where
    K: Resource + Clone + DeserializeOwned + serde::Serialize + std::fmt::Debug,
{
    Ok(api.create(&PostParams::default(), &serde_json::from_value(object)?).await?)
}

/// A token as the kubelet would project it.
async fn token(client: &Client, account: &str, audience: &str, pod: Option<&Pod>) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), NAMESPACE);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: Some(600),
            bound_object_ref: pod.map(|pod| BoundObjectReference {
                kind: Some("Pod".to_owned()),
                api_version: Some("v1".to_owned()),
                name: pod.metadata.name.clone(),
                uid: pod.uid(),
            }),
        },
        ..TokenRequest::default()
    };
    let made = accounts.create_token_request(account, &PostParams::default(), &request).await?;
    Ok(made.status.context("no token was issued")?.token)
}
