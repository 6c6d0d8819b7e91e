//! The model of a module: checks and collections in SQL over tables, with everything a person needs to trust them.
//!
//! The types are the YAML of `catalog/modules/<category>/<slug>@<version>.yaml`, field by field.

use std::collections::BTreeMap;
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Severity;
use crate::envelope::Verdict;
use crate::facts::Row;

/// What one scan step looks at, decides and keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Unique, kebab-case.
    pub slug: String,
    /// Semantic version; a released one never changes.
    pub version: Version,
    /// `draft` while it is being written: then it may lack fixtures, and it is never released. What is left out is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Mark>,
    /// A short name for people.
    pub title: String,
    /// What it belongs to.
    pub category: Category,
    /// What it does, in a few sentences.
    pub description: String,
    /// Where it can run.
    pub platforms: Platforms,
    /// What it needs.
    #[serde(default)]
    pub requires: Requires,
    /// The time, CPU and memory it may take.
    pub profile: Profile,
    /// Who answers its checks.
    #[serde(default, skip_serializing_if = "Engine::is_tables")]
    pub engine: Engine,
    /// What the scanner evaluates; of `engine: oscap` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scap: Option<Scap>,
    /// What must be true of the host before the results mean anything.
    pub prerequisites: String,
    /// What it does not see.
    pub limits: String,
    /// What it may read, and why it needs that.
    pub privileges: String,
    /// What kind of data leaves the host.
    pub data_sensitivity: String,
    /// JSON Schema of the parameters; an object that refuses unknown properties.
    #[serde(default = "no_parameters")]
    pub parameters: Value,
    /// What it decides.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// What it keeps.
    #[serde(default)]
    pub collect: Vec<Collect>,
    /// Recorded tables with the verdicts they must give.
    #[serde(default)]
    pub tests: Vec<Fixture>,
    /// What each version changed, newest first.
    pub changelog: Vec<Change>,
}

impl Module {
    /// `slug@version`, as in the name of its file.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.slug, self.version)
    }

    /// Whether its file says that it is not whole yet.
    pub fn is_draft(&self) -> bool {
        self.state == Some(Mark::Draft)
    }

    /// The check with this id.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.id == id)
    }

    /// The value of every parameter that has a default.
    pub fn default_parameters(&self) -> BTreeMap<String, Value> {
        self.parameters
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(name, schema)| Some((name.clone(), schema.get("default")?.clone())))
            .collect()
    }

    /// The defaults with `given` laid over them, or what in `given` breaks the schema.
    pub fn resolve_parameters(
        &self,
        given: &BTreeMap<String, Value>,
    ) -> Result<BTreeMap<String, Value>, ParameterError> {
        let mut parameters = self.default_parameters();
        parameters.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
        let error = |reason| ParameterError { module: self.reference(), reason };
        if parameters.is_empty() && self.parameters == no_parameters() {
            return Ok(parameters);
        }
        let validator = jsonschema::validator_for(&self.parameters).map_err(|e| error(e.to_string()))?;
        validator.validate(&json!(parameters)).map_err(|e| {
            let path = e.instance_path().to_string();
            error(if path.is_empty() { e.to_string() } else { format!("{path}: {e}") })
        })?;
        Ok(parameters)
    }
}

pub(crate) fn no_parameters() -> Value {
    json!({ "type": "object", "additionalProperties": false, "properties": {} })
}

/// Parameters that the module's schema refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameters of {module} are refused: {reason}")]
pub struct ParameterError {
    /// `slug@version`.
    pub module: String,
    /// Where and why, in the schema's words.
    pub reason: String,
}

/// What a file says of its own state; all further states are the database's to say ([`crate::lifecycle::State`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Not whole yet.
    Draft,
}

/// What a module belongs to; also the folder of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// Compares a host with a benchmark.
    Compliance,
    /// Lists what a host is and has.
    Inventory,
    /// Accounts, groups, keys, directories.
    Identity,
    /// Listeners, firewalls, neighbours.
    Network,
    /// Integrity and permissions of files.
    Filesystem,
    /// What runs.
    Processes,
    /// Boot loaders, autoruns, firmware.
    Boot,
    /// Units, timers, scheduled jobs.
    Services,
    /// Kubernetes posture.
    Kubernetes,
    /// Container engines and images.
    Containers,
    /// Cloud accounts.
    Cloud,
    /// Certificates and TLS endpoints.
    Tls,
}

impl Category {
    /// The name as it is written in YAML and Postgres, and the folder's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compliance => "compliance",
            Self::Inventory => "inventory",
            Self::Identity => "identity",
            Self::Network => "network",
            Self::Filesystem => "filesystem",
            Self::Processes => "processes",
            Self::Boot => "boot",
            Self::Services => "services",
            Self::Kubernetes => "kubernetes",
            Self::Containers => "containers",
            Self::Cloud => "cloud",
            Self::Tls => "tls",
        }
    }
}

/// Where a module can run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platforms {
    /// Operating systems.
    #[serde(default)]
    pub os: Vec<Os>,
    /// Cloud providers.
    #[serde(default)]
    pub cloud: Vec<Cloud>,
    /// A Kubernetes cluster, through its API server, wherever the agent runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kubernetes: bool,
}

impl Platforms {
    /// Whether nothing but a Kubernetes cluster is named.
    pub fn is_cluster_only(&self) -> bool {
        self.kubernetes && self.os.is_empty() && self.cloud.is_empty()
    }
}

/// An operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    /// Any Linux distribution; checks narrow it by `applies`.
    Linux,
    /// macOS.
    Macos,
    /// Windows.
    Windows,
}

/// A cloud provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Amazon Web Services.
    Aws,
    /// Microsoft Azure.
    Azure,
    /// Google Cloud.
    Gcp,
}

/// Who answers the checks of a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The agent, by SQL over its tables.
    #[default]
    Tables,
    /// The scanner of OpenSCAP that is installed on the host.
    Oscap,
}

impl Engine {
    /// Whether it is the agent itself.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    pub fn is_tables(&self) -> bool {
        *self == Self::Tables
    }
}

/// A profile of SCAP content. The content lies on the host, from the distribution's package; here is what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scap {
    /// The files: first the one that the scanner is given, a data stream or XCCDF, then those that it names.
    pub files: Vec<ScapFile>,
    /// The data stream of the collection; none where the file is plain XCCDF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_stream: Option<String>,
    /// The data stream's reference to the benchmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The XCCDF benchmark.
    pub benchmark: String,
    /// Its profile, in full.
    pub profile: String,
}

/// A file of SCAP content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScapFile {
    /// Its name in the folder of the content; no path.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// What a module needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Whether it reads what only root can read.
    #[serde(default)]
    pub admin: bool,
    /// Every table its queries name.
    #[serde(default)]
    pub tables: Vec<String>,
    /// What it connects to; empty means `connect` is denied.
    #[serde(default)]
    pub network: Vec<String>,
}

/// How much a run may take; ordered, the cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// At most 30 s.
    BaselineFast,
    /// At most 5 min.
    BaselineFull,
    /// At most 20 min.
    DeepScan,
}

/// The limits of a profile. The agent stops a query that reaches them and reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Wall time of the whole run.
    pub wall: Duration,
    /// User and system time of the whole run.
    pub cpu: Duration,
    /// Heap of the SQL engine.
    pub memory_bytes: u64,
}

impl Profile {
    /// What a run under this profile may take.
    pub const fn budget(self) -> Budget {
        const MIB: u64 = 1024 * 1024;
        match self {
            Self::BaselineFast => {
                Budget { wall: Duration::from_secs(30), cpu: Duration::from_secs(15), memory_bytes: 48 * MIB }
            }
            Self::BaselineFull => {
                Budget { wall: Duration::from_mins(5), cpu: Duration::from_secs(150), memory_bytes: 48 * MIB }
            }
            Self::DeepScan => {
                Budget { wall: Duration::from_mins(20), cpu: Duration::from_mins(10), memory_bytes: 48 * MIB }
            }
        }
    }

    /// The name as it is written in YAML, JSON and Postgres.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BaselineFast => "baseline_fast",
            Self::BaselineFull => "baseline_full",
            Self::DeepScan => "deep_scan",
        }
    }
}

/// A question with a yes-or-no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Unique in the module, kebab-case.
    pub id: String,
    /// What it asks for, as an instruction.
    pub title: String,
    /// How bad a failure is.
    pub severity: Severity,
    /// Selects the failing rows; none means pass. The column `resource` names what fails, the others are evidence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The XCCDF rule that decides it, in full; of `engine: oscap` only, in place of `query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Selects a row if the check has a subject here; absent means it always has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applies: Option<String>,
    /// Why it matters.
    pub rationale: String,
    /// What to do about a failure.
    pub remediation: Remediation,
    /// The same question in other engines.
    #[serde(default, skip_serializing_if = "SameAs::is_empty")]
    pub same_as: SameAs,
    /// Framework slug to identifiers of controls.
    #[serde(default)]
    pub controls: BTreeMap<String, Vec<String>>,
}

/// What to do about a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remediation {
    /// Advice for a person.
    pub text: String,
    /// The action of the catalog that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// The action's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
}

/// The same question in other engines, for comparing verdicts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SameAs {
    /// Rule of the public SCAP content, without its `xccdf_…_rule_` prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oscap: Option<String>,
}

impl SameAs {
    /// Whether no other engine asks this.
    pub fn is_empty(&self) -> bool {
        self.oscap.is_none()
    }
}

/// Rows to keep as facts, so that drift can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collect {
    /// The name of the facts' table.
    pub table: String,
    /// Selects the rows.
    pub query: String,
    /// The columns that say what a row is about.
    pub key: Vec<String>,
}

/// A recorded host in miniature with the verdicts it must give. Tables that are not named are empty; columns that a row
/// leaves out are NULL.
///
/// ```yaml
/// tests:
///   - name: six attempts are too many
///     tables:
///       sshd_effective_config:
///         - { keyword: maxauthtries, value: "6", source: default }
///     parameters: { max_auth_tries: 4 }
///     expect: { sshd-max-auth-tries: fail }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// What the host is like.
    pub name: String,
    /// Table to rows.
    #[serde(default)]
    pub tables: BTreeMap<String, Vec<Row>>,
    /// Laid over the defaults.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
    /// Check id to `pass`, `fail` or `not_applicable`; checks that are not named are not run.
    pub expect: BTreeMap<String, Verdict>,
}

/// An entry of a module's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The version that brought it.
    pub version: Version,
    /// What is different for a user.
    pub text: String,
}
