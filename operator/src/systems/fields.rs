//! Which fields of an object are ours, read from its managed fields. When somebody edits or removes a field that we
//! applied, Kubernetes takes it from our list; so an object whose list is what our manifest implies has not been touched,
//! and that can be told from its metadata alone, also after a restart.
//!
//! The lists are computed from the manifest by the rules of structured merge diff. Where a cluster's schema should differ
//! from the table below, the child is applied once more after a restart and remembered: no harm, no loop.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Lists that are merged by a key, by the name of the field that holds them.
const KEYED_LISTS: [(&str, &str); 4] =
    [("containers", "name"), ("env", "name"), ("volumeMounts", "mountPath"), ("volumes", "name")];
/// Objects that are one value for Kubernetes.
const ATOMIC_OBJECTS: [&str; 5] = ["podSelector", "selector", "nodeSelector", "roleRef", "fieldRef"];
/// Fields that belong to nobody.
const UNOWNED: [&str; 2] = ["apiVersion", "kind"];

/// The digest of the fields that applying `object` makes ours.
pub fn implied(object: &Value) -> String {
    let mut paths = Vec::new();
    if let Value::Object(fields) = object {
        for (name, value) in fields.iter().filter(|(name, _)| !UNOWNED.contains(&name.as_str())) {
            if name == "metadata" {
                for part in ["labels", "annotations"] {
                    if let Some(value) = value.get(part) {
                        walk_value(&format!("f:metadata/f:{part}"), part, value, &mut paths);
                    }
                }
            } else {
                walk_value(&format!("f:{name}"), name, value, &mut paths);
            }
        }
    }
    digest(paths)
}

/// The digest of the fields that `manager` owns by what `entries` say.
pub fn owned(entries: &[ManagedFieldsEntry], manager: &str) -> String {
    let mut paths = Vec::new();
    let ours = entries.iter().filter(|e| e.manager.as_deref() == Some(manager) && e.subresource.is_none());
    for fields in ours.filter_map(|e| e.fields_v1.as_ref()) {
        walk_fields("", &fields.0, &mut paths);
    }
    digest(paths)
}

fn walk_value(path: &str, name: &str, value: &Value, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() && !ATOMIC_OBJECTS.contains(&name) => {
            for (child, value) in fields {
                walk_value(&format!("{path}/f:{child}"), child, value, paths);
            }
        }
        Value::Array(items) => match KEYED_LISTS.iter().find(|(list, _)| *list == name) {
            Some((_, key)) => {
                for item in items {
                    let id = serde_json::json!({ *key: item.get(*key) });
                    walk_value(&format!("{path}/k:{id}"), "", item, paths);
                }
            }
            None => paths.push(path.to_owned()),
        },
        _ => paths.push(path.to_owned()),
    }
}

fn walk_fields(path: &str, fields: &Value, paths: &mut Vec<String>) {
    let children = fields.as_object().into_iter().flatten().filter(|(name, _)| name.as_str() != ".");
    let mut is_leaf = true;
    for (name, value) in children {
        is_leaf = false;
        let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        walk_fields(&path, value, paths);
    }
    if is_leaf && !path.is_empty() {
        paths.push(path.to_owned());
    }
}

fn digest(mut paths: Vec<String>) -> String {
    // Whoever creates a namespace also owns the label that Kubernetes adds to it.
    paths.retain(|path| path != "f:metadata/f:labels/f:kubernetes.io/metadata.name");
    paths.sort_unstable();
    paths.dedup();
    short_digest(paths.join("\n").as_bytes())
}

/// The first 64 bits of the SHA-256, in hexadecimal: enough to tell two manifests of one object apart.
pub fn short_digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().take(8).fold(String::with_capacity(16), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::FieldsV1;
    use serde_json::json;

    use super::*;

    fn entry(fields: Value) -> ManagedFieldsEntry {
        ManagedFieldsEntry {
            manager: Some("tenantra-operator".into()),
            operation: Some("Apply".into()),
            fields_v1: Some(FieldsV1(fields)),
            ..ManagedFieldsEntry::default()
        }
    }

    #[test]
    fn what_we_applied_is_what_we_own() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": { "name": "a", "namespace": "b", "labels": { "x/y": "1" } },
            "spec": {
                "selector": { "matchLabels": { "app": "a" } },
                "template": { "spec": {
                    "nodeSelector": { "a": "b" },
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": [{ "name": "agent", "args": ["run"], "env": [{ "name": "A", "value": "1" }] }],
                    "volumes": [{ "name": "tmp", "emptyDir": {} }],
                } },
            },
        });
        let entries = [entry(json!({
            "f:metadata": { "f:labels": { "f:x/y": {} } },
            "f:spec": {
                "f:selector": {},
                "f:template": { "f:spec": {
                    "f:nodeSelector": {}, "f:tolerations": {},
                    "f:containers": { "k:{\"name\":\"agent\"}": { ".": {}, "f:name": {}, "f:args": {},
                        "f:env": { "k:{\"name\":\"A\"}": { ".": {}, "f:name": {}, "f:value": {} } } } },
                    "f:volumes": { "k:{\"name\":\"tmp\"}": { ".": {}, "f:name": {}, "f:emptyDir": {} } },
                } },
            },
        }))];
        assert_eq!(implied(&object), owned(&entries, "tenantra-operator"));
    }

    #[test]
    fn a_field_taken_by_somebody_is_missed() {
        let object = json!({ "metadata": { "labels": { "a": "1", "b": "2" } } });
        let whole = [entry(json!({ "f:metadata": { "f:labels": { "f:a": {}, "f:b": {} } } }))];
        let taken = [entry(json!({ "f:metadata": { "f:labels": { "f:a": {} } } }))];
        assert_eq!(implied(&object), owned(&whole, "tenantra-operator"));
        assert_ne!(implied(&object), owned(&taken, "tenantra-operator"));
    }

    #[test]
    fn what_was_created_counts_like_what_was_applied() {
        let object = json!({ "metadata": { "labels": { "a": "1" } } });
        let created = [entry(
            json!({ "f:metadata": { "f:labels": { ".": {}, "f:a": {}, "f:kubernetes.io/metadata.name": {} } } }),
        )];
        assert_eq!(implied(&object), owned(&created, "tenantra-operator"));
    }
}
