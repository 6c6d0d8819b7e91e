//! `Tenant`: a customer and everything provisioned for it. Its name is its slug, from which every other name follows, so
//! the rules about the name are rules of the whole object.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Toleration};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::reference::ConfigMapKeyRef;
use crate::scan_schedule::ScanProfile;
use crate::schema;

mod identity;
mod policy;
mod status;

pub use identity::{Identity, IdentityProvider, IdentityProviderType, Ldap, Mfa};
pub use policy::{EgressRule, Isolation, NetworkIsolation, PodSecurity, Retention, RetentionType, Risk, RiskWeights};
pub use status::{AgentCounts, GrafanaStatus, OpenFindings, TenantStatus};

/// A customer and everything that is provisioned for it.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "tenantra.io",
    version = "v1alpha1",
    kind = "Tenant",
    plural = "tenants",
    singular = "tenant",
    shortname = "tnt",
    category = "tenantra",
    status = "TenantStatus",
    derive = "PartialEq",
    doc = "A customer and everything that is provisioned for it. The name is the tenant's slug.",
    validation = Rule::new("self.metadata.name.matches(r'^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')").message("metadata.name is the tenant's slug: write 1 to 40 lower-case letters, digits and '-', such as acme-corp"),
    validation = Rule::new("!(self.metadata.name in ['current', 'master', 'admin', 'api', 'www', 'default', 'shared', 'public', 'platform', 'system', 'tenantra', 'grafana'])").message("metadata.name is a slug that the platform keeps for itself: choose another, such as acme-corp"),
    validation = Rule::new("!self.metadata.name.startsWith('kube-')").message("metadata.name must not begin with kube-: choose another slug, such as acme-corp"),
    validation = Rule::new("!has(self.spec.parent) || self.spec.parent != self.metadata.name").message("spec.parent names this tenant itself: write the slug of the tenant above it, or leave it out"),
    printcolumn(name = "PLAN", type_ = "string", json_path = ".spec.plan"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason", priority = 1),
    printcolumn(name = "SCORE", type_ = "integer", json_path = ".status.score"),
    printcolumn(name = "AGENTS", type_ = "integer", json_path = ".status.agents.ready"),
    printcolumn(name = "SUSPENDED", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// The customer's name as people read it.
    #[schemars(schema_with = "display_name")]
    pub display_name: String,
    /// What the customer pays for.
    #[serde(default)]
    pub plan: Plan,
    /// The slug of the managed service provider above this tenant. At most five levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::slug")]
    pub parent: Option<String>,
    /// Who is told about the tenant's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// Where the tenant's dashboard answers. Below the installation's base domain, or proven by a TXT record
    /// `_tenantra.<domain>` that holds the tenant's UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "domain")]
    pub domain: Option<String>,
    /// The tenant's own name, colour and logo; what is left out is the parent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branding: Option<Branding>,
    /// Upper bounds. Absent: no quota.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// How far the tenant's namespace is closed.
    #[serde(default)]
    pub isolation: Isolation,
    /// Features beyond, or taken from, those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
    /// Which modules the tenant's scans may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<Modules>,
    /// The compliance frameworks that the tenant is scored against; left out, the parent's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::framework_slugs")]
    pub frameworks: Vec<String>,
    /// How findings weigh in the score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Risk>,
    /// How long what is kept is kept.
    #[serde(default)]
    pub retention: Retention,
    /// Where the tenant's schema lives.
    #[serde(default)]
    pub database: Database,
    /// How the tenant's people sign in.
    #[serde(default)]
    pub identity: Identity,
    /// The agents on the tenant's nodes.
    #[serde(default)]
    pub agent: Agent,
    /// The tenant's first administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<Admin>,
    /// Stops sign-ins, keys, agents and schedules; data stays and repair goes on.
    #[serde(default)]
    pub suspend: bool,
    /// What happens to the data when the Tenant is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// How long after the offboarding the purge may begin, where the policy is Purge.
    #[serde(default = "default_purge_after")]
    pub purge_after: Duration,
}

/// What a customer pays for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum Plan {
    /// The free plan.
    #[default]
    Free,
    /// The basic plan.
    Basic,
    /// The professional plan.
    Pro,
    /// The enterprise plan.
    Enterprise,
}

/// What happens to a tenant's data when the Tenant is deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// Access ends; the data stays where it is.
    #[default]
    Retain,
    /// As Retain, with a full archive in object storage.
    Archive,
    /// As Archive, and after `purgeAfter` and two approvals everything is removed.
    Purge,
}

/// A person to turn to.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// The address that messages go to.
    #[schemars(schema_with = "schema::email")]
    pub email: String,
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::line")]
    pub name: Option<String>,
}

/// The tenant's own look.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Branding {
    /// What the product is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "product_name")]
    pub product_name: Option<String>,
    /// The main colour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "colour")]
    pub primary_color: Option<String>,
    /// The logo: PNG or SVG, at most 256 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<Logo>,
}

/// Where a logo comes from.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logo {
    /// A key of a ConfigMap in the namespace that Tenantra itself runs in.
    pub config_map_ref: ConfigMapKeyRef,
}

/// Upper bounds; each that is absent does not bind.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Processor time of all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub cpu: Option<Quantity>,
    /// Memory of all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub memory: Option<Quantity>,
    /// Storage that all claims request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub storage: Option<Quantity>,
    /// Pods in the tenant's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub pods: Option<u32>,
    /// Agents that may enrol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub agents: Option<u32>,
    /// Scans that may start in a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub scans_per_day: Option<u32>,
    /// Bytes of results that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quantity")]
    pub result_storage: Option<Quantity>,
}

/// Features switched against the plan.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [schema::rule("!has(self.enable) || !has(self.disable) || !self.enable.exists(x, x in self.disable)", "a feature stands in both enable and disable: leave it in one of them")]))]
pub struct Features {
    /// Switched on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::feature_names")]
    pub enable: Vec<String>,
    /// Switched off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::feature_names")]
    pub disable: Vec<String>,
}

/// Modules by slug or by a glob with `*`; what is disabled wins.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Modules {
    /// May be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::module_globs")]
    pub enable: Vec<String>,
    /// May not be used, whatever `enable` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::module_globs")]
    pub disable: Vec<String>,
}

/// Which Postgres holds the tenant's schema: the unit of scale-out.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Database {
    /// The instance's name in the installation's configuration. Changed only by `tenantra tenant move`.
    #[serde(default = "default_instance")]
    #[schemars(schema_with = "schema::name")]
    pub instance: String,
}

impl Default for Database {
    fn default() -> Self {
        Self { instance: default_instance() }
    }
}

/// The agents on the tenant's nodes.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Whether a DaemonSet runs them.
    #[serde(default = "default_true")]
    pub enabled: bool,
    /// Narrows the nodes; `tenantra.io/tenant` is always added.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the agents tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::tolerations")]
    pub tolerations: Vec<Toleration>,
    /// Requests and limits of the agent's container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::resource_requirements")]
    pub resources: Option<ResourceRequirements>,
    /// How deep the agents look by themselves.
    #[serde(default)]
    pub modules_profile: ScanProfile,
    /// Mounts the container runtime's socket, which is root on the host.
    #[serde(default)]
    pub container_socket: bool,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            enabled: true,
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            resources: None,
            modules_profile: ScanProfile::default(),
            container_socket: false,
        }
    }
}

/// The tenant's first administrator.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Admin {
    /// Gets an account with the role admin and no password; whoever manages users gives it the first (`POST /v1/users`).
    #[schemars(schema_with = "schema::email")]
    pub email: String,
}

fn default_true() -> bool {
    true
}

fn default_instance() -> String {
    "default".to_owned()
}

fn default_purge_after() -> Duration {
    Duration::days(30)
}

fn display_name(_: &mut SchemaGenerator) -> Schema {
    schema::checked(128, "self.trim() != ''", "write the customer's name as people read it, such as Acme Corp")
}

fn product_name(_: &mut SchemaGenerator) -> Schema {
    schema::checked(64, "self.trim() != ''", "write the product's name, or leave productName out")
}

fn colour(_: &mut SchemaGenerator) -> Schema {
    schema::matching(64, "^#[0-9a-fA-F]{6}$", "write a colour as # and six hexadecimal digits, such as #1877f2")
}

fn domain(_: &mut SchemaGenerator) -> Schema {
    schema::matching(
        253,
        "^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$",
        "write a domain in lower case without scheme, port or trailing dot, such as acme.tenantra.example",
    )
}
