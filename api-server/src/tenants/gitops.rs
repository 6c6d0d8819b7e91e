//! Who else manages an object. What a GitOps tool applied is read-only here: it would undo the change.

use crds::tenant::Tenant;
use kube::{Resource, ResourceExt};

use crate::error::{Error, Result};

/// Field managers of tools that apply from Git (substrings of their names).
const MANAGERS: [&str; 5] =
    ["argocd-controller", "argocd-application-controller", "kustomize-controller", "helm-controller", "gotk-"];
/// Labels and annotations that such tools put on what they own.
const MARKS: [&str; 4] = [
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
];

/// The GitOps tool that manages the object, by its mark or its field manager.
pub fn manager<K: Resource>(object: &K) -> Option<String> {
    let mark =
        MARKS.into_iter().find(|mark| object.labels().contains_key(*mark) || object.annotations().contains_key(*mark));
    if let Some(mark) = mark {
        return Some(mark.to_owned());
    }
    object
        .managed_fields()
        .iter()
        .filter(|fields| fields.subresource.as_deref().unwrap_or_default().is_empty())
        .filter_map(|fields| fields.manager.as_deref())
        .find(|name| MANAGERS.iter().any(|manager| name.contains(manager)))
        .map(str::to_owned)
}

/// Refuses a change of a tenant that such a tool manages.
///
/// # Errors
/// 409 `managed_by_gitops`.
pub fn check(tenant: &Tenant) -> Result<()> {
    match manager(tenant) {
        Some(manager) => Err(Error::ManagedByGitops { kind: "Tenant", name: tenant.name_any(), manager }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry};

    use super::*;

    fn managed_by(name: &str, subresource: Option<&str>) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.managed_fields = Some(vec![ManagedFieldsEntry {
            manager: Some(name.to_owned()),
            subresource: subresource.map(str::to_owned),
            ..ManagedFieldsEntry::default()
        }]);
        object
    }

    #[test]
    fn a_gitops_tool_is_known_by_manager_or_mark() {
        assert_eq!(manager(&managed_by("kustomize-controller", None)).as_deref(), Some("kustomize-controller"));
        assert_eq!(manager(&managed_by("argocd-controller", Some("status"))), None);
        assert_eq!(manager(&managed_by("kubectl-client-side-apply", None)), None);
        let mut marked = managed_by("kubectl", None);
        marked.labels_mut().insert("argocd.argoproj.io/instance".to_owned(), "platform".to_owned());
        assert_eq!(manager(&marked).as_deref(), Some("argocd.argoproj.io/instance"));
    }
}
