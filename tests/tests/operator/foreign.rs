//! What is not ours is never adopted, and the condition says so.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;

use crate::stage::{Stage, says};

#[tokio::test]
async fn a_foreign_namespace_schema_or_path_is_not_adopted() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);

    stage.namespace("tenant-squat").await;
    stage.apply("squat", json!({})).await;
    let tenant = stage.wait("squat", "NamespaceReady", "False", "NamespaceTaken").await;
    assert_eq!(says(&tenant, "Stalled"), Some(("True".into(), "NamespaceTaken".into())));
    stage.wait("squat", "Ready", "False", "NamespaceTaken").await;
    let namespace = Api::<Namespace>::all(stage.client.clone()).get("tenant-squat").await.unwrap();
    assert!(!namespace.metadata.labels.unwrap().keys().any(|key| key.starts_with("tenantra.io")));
    // One that fails does not stop the others.
    stage.wait("squat", "DatabaseReady", "True", "").await;
    stage.wait("squat", "SecretsReady", "True", "").await;

    stage.sql("CREATE SCHEMA tenant_other; ").await;
    stage.apply("other", json!({})).await;
    stage.wait("other", "Stalled", "True", "SchemaTaken").await;
    stage.wait("other", "NamespaceReady", "True", "").await;
    assert_eq!(stage.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'tenant_other'").await, "0");

    let theirs = json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" });
    stage.bao("POST", "sys/policies/acl/tenant_third_policy", Some(theirs)).await.unwrap();
    stage.apply("third", json!({})).await;
    stage.wait("third", "Stalled", "True", "PathTaken").await;
    let kept = stage.bao("GET", "sys/policies/acl/tenant_third_policy", None).await.unwrap();
    assert!(kept["data"]["policy"].as_str().unwrap().starts_with("path \"secret/*\""));

    // It heals when what was in the way is gone.
    stage.sql("DROP SCHEMA tenant_other").await;
    stage.ready("other").await;
    stage.bao("DELETE", "sys/policies/acl/tenant_third_policy", None).await.unwrap();
    stage.ready("third").await;
}

#[tokio::test]
async fn parents_have_to_exist_and_not_to_form_a_circle() {
    let stage = Stage::new().await;
    let _operator = stage.operator("one", &[]);
    stage.apply("child", json!({ "parent": "msp" })).await;
    stage.wait("child", "Stalled", "True", "ParentMissing").await;
    stage.apply("msp", json!({})).await;
    stage.ready("child").await;
    let tenant = stage.ready("msp").await;
    assert_eq!(tenant.status.unwrap().children, Some(1));
    stage.apply("msp", json!({ "parent": "child" })).await;
    stage.wait("msp", "Stalled", "True", "ParentCycle").await;

    // A tenant with children is not offboarded before them.
    stage.apply("msp", json!({})).await;
    stage.ready("msp").await;
    stage.delete("msp").await;
    stage.wait("msp", "Stalled", "True", "HasChildren").await;
    stage.delete("child").await;
    stage.gone("child").await;
    stage.gone("msp").await;
}
