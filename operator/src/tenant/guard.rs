//! What a pass may do at all, before it looks at anything outside: nothing, pause, reconcile or offboard; and what holds
//! an offboarding. Pure.

use crate::names::ANNOTATION_CONFIRM_DELETION;
use crds::names::{ANNOTATION_FORCE_RELEASE, ANNOTATION_RECONCILE, FINALIZER_OFFBOARD, RECONCILE_DISABLED};
use crds::tenant::{DeletionPolicy, Tenant};

/// What the pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the object is on its way out and not ours to hold.
    Leave,
    /// Say that it is paused.
    Pause,
    /// Make it so.
    Reconcile,
    /// Take it back.
    Offboard,
}

/// Decides by the object alone.
pub fn decide(tenant: &Tenant) -> Verdict {
    let is_leaving = tenant.metadata.deletion_timestamp.is_some();
    match (is_leaving, has_finalizer(tenant)) {
        (true, true) => Verdict::Offboard,
        (true, false) => Verdict::Leave,
        (false, _) if annotation(tenant, ANNOTATION_RECONCILE) == Some(RECONCILE_DISABLED) => Verdict::Pause,
        (false, _) => Verdict::Reconcile,
    }
}

/// Whether our finalizer holds the object.
pub fn has_finalizer(tenant: &Tenant) -> bool {
    tenant.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER_OFFBOARD)
}

/// An annotation of the object.
pub fn annotation<'a>(tenant: &'a Tenant, key: &str) -> Option<&'a str> {
    tenant.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// Whether offboarding no longer waits for a system.
pub fn is_released_from(tenant: &Tenant, system: &str) -> bool {
    annotation(tenant, ANNOTATION_FORCE_RELEASE).is_some_and(|list| list.split(',').any(|name| name.trim() == system))
}

/// Why an offboarding does not go on; a person has to act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hold {
    /// It cannot be archived yet.
    #[error("deletionPolicy Archive is not built yet; nothing was removed: set Retain or Purge")]
    ArchiveNotSupported,
    /// Other tenants depend on it.
    #[error("{0} is below this tenant; delete or move what is below first")]
    HasChildren(String),
    /// Too many go at once.
    #[error(
        "{count} tenants were deleted within an hour, more than {limit}; if that is meant, annotate each with {ANNOTATION_CONFIRM_DELETION}=true"
    )]
    MassDeletion {
        /// How many.
        count: usize,
        /// How many may.
        limit: usize,
    },
}

impl Hold {
    /// The condition's reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ArchiveNotSupported => "NotYetSupported",
            Self::HasChildren(_) => "HasChildren",
            Self::MassDeletion { .. } => "MassDeletion",
        }
    }
}

/// What holds the offboarding of `tenant`, if anything does. `going` is how many tenants went or go within the hour.
pub fn hold(tenant: &Tenant, child: Option<&str>, going: usize, limit: usize) -> Option<Hold> {
    if tenant.spec.deletion_policy == DeletionPolicy::Archive {
        return Some(Hold::ArchiveNotSupported);
    }
    if let Some(child) = child {
        return Some(Hold::HasChildren(child.to_owned()));
    }
    let is_confirmed = annotation(tenant, ANNOTATION_CONFIRM_DELETION) == Some("true");
    (going > limit && !is_confirmed).then_some(Hold::MassDeletion { count: going, limit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::validate::tests::raw;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::Timestamp;
    use serde_json::json;

    fn tenant(is_leaving: bool, finalizer: bool, annotations: &[(&str, &str)]) -> Tenant {
        let mut tenant = raw("acme", json!({ "displayName": "A" }));
        tenant.metadata.deletion_timestamp = is_leaving.then_some(Time(Timestamp::UNIX_EPOCH));
        tenant.metadata.finalizers = finalizer.then(|| vec![FINALIZER_OFFBOARD.to_owned()]);
        tenant.metadata.annotations =
            Some(annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
        tenant
    }

    #[test]
    fn a_pause_does_not_stop_a_deletion() {
        let pause = [(ANNOTATION_RECONCILE, RECONCILE_DISABLED)];
        assert_eq!(decide(&tenant(false, true, &[])), Verdict::Reconcile);
        assert_eq!(decide(&tenant(false, true, &pause)), Verdict::Pause);
        assert_eq!(decide(&tenant(true, true, &pause)), Verdict::Offboard);
        assert_eq!(decide(&tenant(true, false, &[])), Verdict::Leave);
    }

    #[test]
    fn deletions_are_held_for_archives_children_and_numbers() {
        let plain = tenant(true, true, &[]);
        assert_eq!(hold(&plain, None, 1, 10), None);
        assert_eq!(hold(&plain, None, 11, 10), Some(Hold::MassDeletion { count: 11, limit: 10 }));
        assert_eq!(hold(&tenant(true, true, &[(ANNOTATION_CONFIRM_DELETION, "true")]), None, 11, 10), None);
        assert_eq!(hold(&plain, Some("child"), 1, 10), Some(Hold::HasChildren("child".into())));
        let mut archive = plain;
        archive.spec.deletion_policy = DeletionPolicy::Archive;
        assert_eq!(hold(&archive, None, 1, 10), Some(Hold::ArchiveNotSupported));
    }

    #[test]
    fn a_release_names_its_systems() {
        let released = tenant(true, true, &[(ANNOTATION_FORCE_RELEASE, "openbao, postgres")]);
        assert!(is_released_from(&released, "postgres"));
        assert!(!is_released_from(&released, "kubernetes"));
    }
}
