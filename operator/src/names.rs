//! Names that only the operator writes; those that others share are in `crds::names`.

/// The selector of the operator's children.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=tenantra-operator";

/// Annotation of every child: the digest of what was applied, so that a restarted operator need not apply it again.
pub const ANNOTATION_APPLIED: &str = "tenantra.io/applied";
/// Annotation: `true` lets a deletion go on that was held because too many came at once.
pub const ANNOTATION_CONFIRM_DELETION: &str = "tenantra.io/confirm-mass-deletion";

/// The ServiceAccount of a tenant's own workloads, the one that may sign in at Vault as the tenant.
pub const WORKLOAD_ACCOUNT: &str = "tenantra-workload";
/// The ConfigMap that holds the CA of Tenantra's API, for the agents.
pub const CA_CONFIG_MAP: &str = "tenantra-ca";
/// The audience of the agents' projected token.
pub const TOKEN_AUDIENCE: &str = "tenantra";
/// Where Kubernetes itself writes a namespace's name as a label.
pub const LABEL_NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
