//! The four kinds on a real API server: only that checks the cost of rules, prunes, fills in defaults and answers with
//! tables. One control plane serves all of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod bad;
mod full;

use std::collections::BTreeSet;

use bad::{Bad, UPDATES, refused};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, CustomResourceExt, ResourceExt};
use serde_json::{Value, json};
use tests::harness::Cluster;

const NAMESPACE: &str = "tenant-acme";
const KINDS: [&str; 4] = ["Tenant", "ScanSchedule", "AlertRule", "CloudAccount"];

#[tokio::test]
async fn the_kinds_are_installed_and_do_what_their_rules_say() {
    let cluster = Cluster::start().await.unwrap();
    cluster.install_crds().await.unwrap();
    let client = cluster.client.clone();
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    let params = PatchParams::apply("tenantra-tests");
    Api::<Namespace>::all(client.clone()).patch(NAMESPACE, &params, &Patch::Apply(namespace)).await.unwrap();

    bad_manifests_are_refused_with_a_sentence(&client).await;
    minimal_manifests_get_their_defaults(&client).await;
    full_manifests_are_stored_as_written(&client).await;
    the_examples_are_accepted(&client).await;
    what_is_immutable_stays(&client).await;
    a_status_is_written_apart_from_its_spec(&client).await;
    all_kinds_are_found_under_one_category(&client).await;
    tables_have_the_columns(&client).await;
}

fn resource(kind: &str) -> ApiResource {
    match kind {
        "Tenant" => crds::tenant::Tenant::api_resource(),
        "ScanSchedule" => crds::scan_schedule::ScanSchedule::api_resource(),
        "AlertRule" => crds::alert_rule::AlertRule::api_resource(),
        "CloudAccount" => crds::cloud_account::CloudAccount::api_resource(),
        other => panic!("no kind {other}"),
    }
}

fn api(client: &Client, kind: &str) -> Api<DynamicObject> {
    match kind {
        "Tenant" => Api::all_with(client.clone(), &resource(kind)),
        _ => Api::namespaced_with(client.clone(), NAMESPACE, &resource(kind)),
    }
}

/// What the API server answers to `kubectl apply --server-side --dry-run=server` of a document: the object, or the
/// sentence that refuses it.
async fn applied(client: &Client, document: &Value, dry_run: bool) -> Result<Value, String> {
    let kind = document["kind"].as_str().unwrap();
    let name = document["metadata"]["name"].as_str().unwrap();
    let mut params = PatchParams::apply("tenantra-tests").force();
    params.dry_run = dry_run;
    params.field_validation = Some(ValidationDirective::Strict);
    match api(client, kind).patch(name, &params, &Patch::Apply(document)).await {
        Ok(object) => Ok(serde_json::to_value(object).unwrap()),
        Err(kube::Error::Api(status)) => Err(status.message),
        Err(other) => panic!("{other}"),
    }
}

async fn bad_manifests_are_refused_with_a_sentence(client: &Client) {
    let mut said = String::new();
    let mut wrong = Vec::new();
    let table = refused();
    assert!(table.len() >= 40);
    for Bad { what, document, sentence } in &table {
        match applied(client, document, true).await {
            Ok(_) => wrong.push(format!("{what}: accepted")),
            Err(answer) if !answer.contains(sentence) => wrong.push(format!("{what}: not '{sentence}' but '{answer}'")),
            Err(answer) => said.push_str(&answer),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

    // Each rule has been broken at least once.
    let mut sentences = BTreeSet::new();
    for definition in crds::manifests::definitions().unwrap() {
        collect_messages(&serde_json::to_value(definition).unwrap(), &mut sentences);
    }
    let unseen: Vec<_> = sentences.iter().filter(|one| !said.contains(*one)).collect();
    let of_updates: Vec<_> = UPDATES.iter().map(|(_, sentence)| *sentence).collect();
    assert!(unseen.iter().all(|one| of_updates.contains(&one.as_str())), "no manifest breaks these rules: {unseen:#?}");
}

fn collect_messages(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for rule in map.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
                into.insert(rule["message"].as_str().unwrap().to_owned());
            }
            map.values().for_each(|child| collect_messages(child, into));
        }
        Value::Array(items) => items.iter().for_each(|child| collect_messages(child, into)),
        _ => {}
    }
}

async fn minimal_manifests_get_their_defaults(client: &Client) {
    for (kind, written, expected) in full::minimal() {
        let document = full::object(kind, "minimal", written);
        let stored = applied(client, &document, true).await.unwrap();
        assert_eq!(stored["spec"], expected, "{kind}");
    }
    // And the Rust types read what the server filled in.
    let tenant =
        applied(client, &full::object("Tenant", "minimal", json!({ "displayName": "M" })), true).await.unwrap();
    let tenant: crds::tenant::Tenant = serde_json::from_value(tenant).unwrap();
    let ours = crds::tenant::Tenant::new("minimal", serde_json::from_value(json!({ "displayName": "M" })).unwrap());
    assert_eq!(tenant.spec, ours.spec, "the defaults of the schema are those of the types");
}

async fn full_manifests_are_stored_as_written(client: &Client) {
    for kind in KINDS {
        let document = full::object(kind, "full", full::spec(kind));
        let stored = applied(client, &document, true).await.unwrap();
        assert_eq!(stored["spec"], document["spec"], "{kind}");
        // Nothing gets lost on the way through the Rust types either.
        let back = match kind {
            "Tenant" => serde_json::to_value(serde_json::from_value::<crds::tenant::Tenant>(stored).unwrap().spec),
            "ScanSchedule" => {
                serde_json::to_value(serde_json::from_value::<crds::scan_schedule::ScanSchedule>(stored).unwrap().spec)
            }
            "AlertRule" => {
                serde_json::to_value(serde_json::from_value::<crds::alert_rule::AlertRule>(stored).unwrap().spec)
            }
            _ => {
                serde_json::to_value(serde_json::from_value::<crds::cloud_account::CloudAccount>(stored).unwrap().spec)
            }
        };
        assert_eq!(back.unwrap(), document["spec"], "{kind}");
    }
}

async fn the_examples_are_accepted(client: &Client) {
    for file in ["acme.yaml", "msp.yaml", "acme-operations.yaml"] {
        let path = format!("{}/../examples/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert!(!documents.is_empty());
        for document in documents {
            let answer = applied(client, &document, true).await;
            assert!(answer.is_ok(), "{file}: {answer:?}");
        }
    }
}

async fn what_is_immutable_stays(client: &Client) {
    let before = full::object("CloudAccount", "frozen", full::spec("CloudAccount"));
    applied(client, &before, false).await.unwrap();
    let mut after = before.clone();
    after["spec"]["provider"] = json!("gcp");
    after["spec"]["accountId"] = json!("acme-prod-1234");
    let answer = applied(client, &after, true).await.unwrap_err();
    for (_, sentence) in UPDATES {
        assert!(answer.contains(sentence), "{answer}");
    }
    let mut after = before.clone();
    after["spec"]["syncInterval"] = json!("2h");
    applied(client, &after, true).await.unwrap();
}

async fn a_status_is_written_apart_from_its_spec(client: &Client) {
    let mut document = full::object("Tenant", "with-status", json!({ "displayName": "With Status" }));
    document["status"] = json!({ "score": 1 });
    let stored = applied(client, &document, false).await.unwrap();
    assert!(stored["status"].is_null(), "a status in a manifest is dropped: {stored}");

    let tenants: Api<crds::tenant::Tenant> = Api::all(client.clone());
    let mut tenant = tenants.get("with-status").await.unwrap();
    let generation = tenant.metadata.generation;
    tenant.status = Some(serde_json::from_value(full::tenant_status()).unwrap());
    tenants.replace_status("with-status", &PostParams::default(), &tenant).await.unwrap();
    let after = tenants.get("with-status").await.unwrap();
    assert_eq!(after.metadata.generation, generation, "a status moves no generation");
    assert_eq!(serde_json::to_value(after.status).unwrap(), full::tenant_status());
}

async fn all_kinds_are_found_under_one_category(client: &Client) {
    let served = client.list_api_group_resources("tenantra.io/v1alpha1").await.unwrap();
    for kind in KINDS {
        let found = served.resources.iter().find(|one| one.kind == kind && !one.name.contains('/')).unwrap();
        assert_eq!(found.categories, Some(vec!["tenantra".to_owned()]), "{kind}");
        assert_eq!(found.namespaced, kind != "Tenant");
        let status = format!("{}/status", found.name);
        assert!(served.resources.iter().any(|one| one.name == status), "{kind} has no status of its own");
    }
}

async fn tables_have_the_columns(client: &Client) {
    let request = http::Request::get("/apis/tenantra.io/v1alpha1/tenants")
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .unwrap();
    let table: Value = client.request(request).await.unwrap();
    let columns: Vec<_> = table["columnDefinitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| format!("{}:{}", column["name"].as_str().unwrap(), column["priority"]))
        .collect();
    assert_eq!(columns, ["Name:0", "PLAN:0", "READY:0", "REASON:1", "SCORE:0", "AGENTS:0", "SUSPENDED:1", "AGE:0"]);
    let row = table["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["cells"][0] == "with-status")
        .expect("the tenant with a status is listed");
    assert_eq!(
        row["cells"].as_array().unwrap()[1..7],
        [json!("Free"), json!("True"), json!("Succeeded"), json!(87), json!(3), json!(false)]
    );
    for name in ["with-status", "frozen"] {
        for kind in ["Tenant", "CloudAccount"] {
            let found = api(client, kind).get_opt(name).await.unwrap();
            if let Some(object) = found {
                api(client, kind).delete(&object.name_any(), &kube::api::DeleteParams::default()).await.unwrap();
            }
        }
    }
}
