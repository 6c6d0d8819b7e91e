//! How a spec points at something it must not contain: a secret in the tenant's own Vault path, a key of a ConfigMap.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::schema;

/// One key of a secret below the tenant's own path (`secret/data/tenants/<slug>/`).
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Where the secret is, relative to the tenant's own path.
    #[schemars(schema_with = "secret_path")]
    pub path: String,
    /// Which of its keys holds the value.
    #[schemars(schema_with = "schema::object_key")]
    pub key: String,
}

fn secret_path(_: &mut SchemaGenerator) -> Schema {
    schema::matching(
        256,
        "^[a-z0-9][a-z0-9_-]*(/[a-z0-9_-]+){0,7}$",
        "write a path relative to the tenant's own secrets, without a leading '/', such as alerts/slack",
    )
}

/// One key of a ConfigMap in the namespace that Tenantra itself runs in.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// The ConfigMap's name.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// The key within it.
    #[schemars(schema_with = "schema::object_key")]
    pub key: String,
}
