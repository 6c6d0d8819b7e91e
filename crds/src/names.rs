//! Every name that Tenantra derives from a tenant's slug or writes on a Kubernetes object, once.

/// What a tenant's slug looks like: the name of the `Tenant`.
pub const SLUG_PATTERN: &str = "^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$";
/// The longest slug.
pub const SLUG_MAX: usize = 40;
/// Slugs that no tenant can have: they are roles, schemas, hosts or paths of the platform.
pub const RESERVED_SLUGS: [&str; 12] = [
    "current", "master", "admin", "api", "www", "default", "shared", "public", "platform", "system", "tenantra",
    "grafana",
];
/// No slug begins with this.
pub const RESERVED_PREFIX: &str = "kube-";

/// Label: the slug of the tenant that an object or a node belongs to.
pub const LABEL_TENANT: &str = "tenantra.io/tenant";
/// Label: the UUID of the tenant that an object belongs to: the mark of ownership.
pub const LABEL_TENANT_ID: &str = "tenantra.io/tenant-id";
/// Label: who manages an object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`LABEL_MANAGED_BY`] on what the operator made, and the operator's field manager.
pub const OPERATOR: &str = "tenantra-operator";
/// The API's field manager.
pub const API: &str = "tenantra-api";
/// Finalizer of a `Tenant`: held until the offboarding has reached its last step.
pub const FINALIZER_OFFBOARD: &str = "tenantra.io/offboard";

/// Annotation: with the value `disabled` the controller leaves the object alone.
pub const ANNOTATION_RECONCILE: &str = "tenantra.io/reconcile";
/// The value of [`ANNOTATION_RECONCILE`] that pauses the controller.
pub const RECONCILE_DISABLED: &str = "disabled";
/// Annotation: any new value forces a pass and is echoed in `status.lastHandledReconcileAt`.
pub const ANNOTATION_RECONCILE_REQUESTED_AT: &str = "tenantra.io/reconcile-requested-at";
/// Annotation: who suspended the tenant through the API, without touching its spec.
pub const ANNOTATION_SUSPENDED_BY: &str = "tenantra.io/suspended-by";
/// Annotation: the user behind the API's last write.
pub const ANNOTATION_CHANGED_BY: &str = "tenantra.io/changed-by";
/// Annotation: the UUID of the retained tenant that this manifest takes up again.
pub const ANNOTATION_ADOPT: &str = "tenantra.io/adopt";
/// Annotation: the outside system that offboarding no longer waits for.
pub const ANNOTATION_FORCE_RELEASE: &str = "tenantra.io/force-release";
/// Annotation: the CISO who approved the purge.
pub const ANNOTATION_PURGE_APPROVED_BY_CISO: &str = "tenantra.io/purge-approved-by-ciso";
/// Annotation: the compliance officer who approved the purge.
pub const ANNOTATION_PURGE_APPROVED_BY_COMPLIANCE: &str = "tenantra.io/purge-approved-by-compliance";

/// The ServiceAccount and the DaemonSet of a tenant's agents.
pub const AGENT: &str = "tenantra-agent";

const NAMESPACE_PREFIX: &str = "tenant-";
const AGENT_NAMESPACE_PREFIX: &str = "tenantra-agent-";

/// Why a name cannot be a tenant's slug.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SlugError {
    /// The name has the wrong shape.
    #[error(
        "'{0}' is not a slug: write 1 to 40 lower-case letters, digits and '-', beginning and ending with a letter or digit"
    )]
    Malformed(String),
    /// The name belongs to the platform.
    #[error("'{0}' is reserved for the platform: choose another slug, such as {0}-corp")]
    Reserved(String),
    /// The name begins as Kubernetes' own do.
    #[error("'{0}' begins with kube-, which Kubernetes keeps for itself: choose another slug")]
    ReservedPrefix(String),
}

/// Checks a tenant's slug by the rules that the API server has for the name of a `Tenant`.
pub fn check_slug(name: &str) -> Result<(), SlugError> {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    let has_shape = bytes.len() <= SLUG_MAX
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-');
    if !has_shape {
        return Err(SlugError::Malformed(name.to_owned()));
    }
    if RESERVED_SLUGS.contains(&name) {
        return Err(SlugError::Reserved(name.to_owned()));
    }
    if name.starts_with(RESERVED_PREFIX) {
        return Err(SlugError::ReservedPrefix(name.to_owned()));
    }
    Ok(())
}

/// The tenant's own namespace: its ScanSchedules, AlertRules and CloudAccounts live there.
pub fn tenant_namespace(slug: &str) -> String {
    format!("{NAMESPACE_PREFIX}{slug}")
}

/// The namespace of the tenant's agents, which its users have no rights in.
pub fn agent_namespace(slug: &str) -> String {
    format!("{AGENT_NAMESPACE_PREFIX}{slug}")
}

/// The slug of the tenant whose namespace this could be; the caller still looks for its Tenant.
pub fn slug_of_namespace(namespace: &str) -> Option<&str> {
    namespace.strip_prefix(NAMESPACE_PREFIX).filter(|slug| check_slug(slug).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_slugs_pass() {
        for slug in ["a", "acme", "acme-corp", "9lives", "a-1", &"x".repeat(40)] {
            assert_eq!(check_slug(slug), Ok(()), "{slug}");
        }
    }

    #[test]
    fn bad_slugs_are_refused_with_the_reason() {
        for slug in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"x".repeat(41)] {
            assert_eq!(check_slug(slug), Err(SlugError::Malformed(slug.to_owned())), "{slug}");
        }
        for slug in RESERVED_SLUGS {
            assert_eq!(check_slug(slug), Err(SlugError::Reserved(slug.to_owned())));
        }
        assert_eq!(check_slug("kube-system"), Err(SlugError::ReservedPrefix("kube-system".to_owned())));
    }

    #[test]
    fn namespaces_lead_to_their_slug_and_back() {
        assert_eq!(tenant_namespace("acme"), "tenant-acme");
        assert_eq!(agent_namespace("acme"), "tenantra-agent-acme");
        assert_eq!(slug_of_namespace("tenant-acme-corp"), Some("acme-corp"));
        for other in ["tenantra-agent-acme", "acme", "tenant-", "tenant-admin", "tenant-A"] {
            assert_eq!(slug_of_namespace(other), None, "{other}");
        }
    }

    #[test]
    fn a_namespace_of_the_longest_slug_is_a_valid_label() {
        assert!(agent_namespace(&"x".repeat(SLUG_MAX)).len() <= 63);
    }
}
