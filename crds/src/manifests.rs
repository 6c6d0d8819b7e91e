//! The CustomResourceDefinitions as they are installed: what the derive made of the types, minus what only Rust says
//! (`nullable`, formats that Kubernetes does not know and warns about).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::alert_rule::AlertRule;
use crate::cloud_account::CloudAccount;
use crate::scan_schedule::ScanSchedule;
use crate::tenant::Tenant;

/// Formats that the API server knows; any other makes it warn.
const FORMATS: [&str; 5] = ["int32", "int64", "float", "double", "date-time"];

/// Why the definitions could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A definition did not survive the way through JSON.
    #[error("the definition of a kind could not be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A definition could not be written as YAML.
    #[error("the definition of a kind could not be written as YAML")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// A manifest and the name of its file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Manifest {
    /// `<plural>.yaml`.
    pub file_name: String,
    /// The manifest itself.
    pub yaml: String,
}

/// The four definitions, ready to be applied.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, Error> {
    documents()?.into_iter().map(|document| Ok(serde_json::from_value(document)?)).collect()
}

/// The four manifests, byte for byte as they are in `crds/manifests/` and in the chart `tenantra-crds`.
pub fn generate() -> Result<Vec<Manifest>, Error> {
    documents()?
        .into_iter()
        .map(|document| {
            let plural = document.pointer("/spec/names/plural").and_then(Value::as_str).unwrap_or_default();
            Ok(Manifest { file_name: format!("{plural}.yaml"), yaml: serde_saphyr::to_string(&document)? })
        })
        .collect()
}

fn documents() -> Result<Vec<Value>, Error> {
    [Tenant::crd(), ScanSchedule::crd(), AlertRule::crd(), CloudAccount::crd()]
        .into_iter()
        .map(|definition| {
            let mut document = serde_json::to_value(definition)?;
            simplify(&mut document);
            // Helm leaves the definitions, and with them every object, in place when the chart is removed.
            if let Some(metadata) = document.get_mut("metadata") {
                metadata["annotations"] = serde_json::json!({ "helm.sh/resource-policy": "keep" });
            }
            Ok(document)
        })
        .collect()
}

/// Walks the whole document: properties that happen to be called `nullable` or `format` would be schemas, never a
/// boolean or a string, so they are safe.
fn simplify(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable").is_some_and(Value::is_boolean) {
                map.remove("nullable");
            }
            if map.get("format").and_then(Value::as_str).is_some_and(|format| !FORMATS.contains(&format)) {
                map.remove("format");
            }
            for key in ["minimum", "maximum"] {
                // k8s-openapi keeps bounds as floating point; a whole one is written as such.
                if let Some(whole) = map.get(key).and_then(Value::as_f64).and_then(as_whole) {
                    map.insert(key.to_owned(), whole.into());
                }
            }
            map.values_mut().for_each(simplify);
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[allow(clippy::cast_possible_truncation)] // Only after the value was seen to be whole and small.
fn as_whole(bound: f64) -> Option<i64> {
    (bound.fract() == 0.0 && bound.abs() < 9_007_199_254_740_992.0).then_some(bound as i64)
}
