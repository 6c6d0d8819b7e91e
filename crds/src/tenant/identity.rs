//! How a tenant's people sign in: its realm, who vouches for them, and its directory.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::reference::SecretRef;
use crate::schema;

/// How the tenant's people sign in.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Which Keycloak holds the realm: the unit of scale-out.
    #[serde(default = "default_instance")]
    #[schemars(schema_with = "schema::name")]
    pub instance: String,
    /// Whether the tenant has a realm of its own.
    #[serde(default = "default_true")]
    pub realm: bool,
    /// Whether a second factor is asked for.
    #[serde(default)]
    pub mfa: Mfa,
    /// Who else vouches for its people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["alias"]))]
    pub providers: Vec<IdentityProvider>,
    /// Its directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<Ldap>,
}

impl Default for Identity {
    fn default() -> Self {
        Self { instance: default_instance(), realm: true, mfa: Mfa::default(), providers: Vec::new(), ldap: None }
    }
}

/// Whether a second factor (TOTP or WebAuthn) is asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Mfa {
    /// Of everybody.
    #[default]
    Required,
    /// Of those who set one up.
    Optional,
}

/// An outside identity provider that the realm brokers.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::rule("self.type != 'oidc' || has(self.clientId)", "write the clientId that the provider gave you: type oidc needs it")]))]
pub struct IdentityProvider {
    /// Its name in the realm.
    #[schemars(schema_with = "schema::name")]
    pub alias: String,
    /// The protocol it speaks.
    #[serde(rename = "type")]
    pub type_: IdentityProviderType,
    /// The issuer (OIDC) or the metadata's address (SAML).
    #[schemars(schema_with = "schema::web_address")]
    pub url: String,
    /// The client's name at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub client_id: Option<String>,
    /// The client's secret at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// A protocol of identity providers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IdentityProviderType {
    /// OpenID Connect.
    Oidc,
    /// SAML 2.0.
    Saml,
}

/// A directory that the realm federates; empty means none.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::rule("has(self.url) ? has(self.usersDn) : !(has(self.bindDn) || has(self.secretRef) || has(self.usersDn) || has(self.groupsDn) || has(self.groupMapping))", "a directory needs url and usersDn: write both, or leave ldap empty")]))]
pub struct Ldap {
    /// Its address, `ldap://` or `ldaps://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ldap_address")]
    pub url: Option<String>,
    /// The account that searches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub bind_dn: Option<String>,
    /// That account's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Where its people are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub users_dn: Option<String>,
    /// Where its groups are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub groups_dn: Option<String>,
    /// Which of its groups is which group of the realm.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "group_mapping")]
    pub group_mapping: BTreeMap<String, String>,
}

fn default_true() -> bool {
    true
}

fn default_instance() -> String {
    "default".to_owned()
}

fn ldap_address(_: &mut SchemaGenerator) -> Schema {
    schema::matching(1024, "^ldaps?://[^/ ]+$", "write the directory's address, such as ldaps://ldap.acme.example:636")
}

fn group_mapping(_: &mut SchemaGenerator) -> Schema {
    schema::map(64, &schema::text(256))
}
