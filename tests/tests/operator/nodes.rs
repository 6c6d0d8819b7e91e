//! Which tenant a node belongs to is not the node's to say: who is root on it holds its kubelet's credentials.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tests::harness::until;

use crate::purge::install_policies;
use crate::stage::{LONG, Stage};

#[tokio::test]
async fn a_node_does_not_choose_its_tenant() {
    let stage = Stage::new().await;
    install_policies(&stage).await;
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
    nodes.patch("n1", &PatchParams::apply("tests"), &Patch::Apply(node)).await.unwrap();

    let kubelet = stage.world.cluster.client_as("system:node:n1", &["system:nodes"]).await.unwrap();
    let own: Api<Node> = Api::all(kubelet);
    let label = async |nodes: &Api<Node>, key: &str, value: &str| {
        let body = json!({ "metadata": { "labels": { key: value } } });
        nodes.patch("n1", &PatchParams::default(), &Patch::Merge(body)).await
    };
    // A dry run: one that came before the policy would leave the label, and the same again is no change to refuse.
    let probe = Patch::Merge(json!({ "metadata": { "labels": { "tenantra.io/tenant": "bravo" } } }));
    until(LONG, "the policy is in force", async || {
        let tried = own.patch("n1", &PatchParams::default().dry_run(), &probe).await;
        Ok(tried.is_err_and(|e| e.to_string().contains("choose its tenant")))
    })
    .await
    .unwrap();
    label(&nodes, "tenantra.io/tenant", "acme").await.unwrap();
    let moved = label(&own, "tenantra.io/tenant", "bravo").await.unwrap_err();
    assert!(moved.to_string().contains("as an administrator"), "{moved}");
    let labelled = label(&own, "example.org/rack", "r1").await.unwrap();
    assert_eq!(labelled.metadata.labels.unwrap()["tenantra.io/tenant"], "acme");
}
