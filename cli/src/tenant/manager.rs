//! Who else manages a tenant: a tool that applies from Git undoes what is changed by hand.

use crds::tenant::Tenant;

/// Labels and annotations that such tools put on what they own, and their names.
const MARKS: [(&str, &str); 4] = [
    ("argocd.argoproj.io/tracking-id", "Argo CD"),
    ("argocd.argoproj.io/instance", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/name", "Flux"),
    ("helm.toolkit.fluxcd.io/name", "Flux"),
];
/// Parts of the names under which they write fields.
const FIELD_MANAGERS: [(&str, &str); 4] =
    [("argocd", "Argo CD"), ("kustomize-controller", "Flux"), ("helm-controller", "Flux"), ("gotk-", "Flux")];

/// The tool's name.
pub fn of(tenant: &Tenant) -> Option<&'static str> {
    let metadata = &tenant.metadata;
    let is_marked =
        |key: &str| [&metadata.labels, &metadata.annotations].into_iter().flatten().any(|map| map.contains_key(key));
    let by_mark = MARKS.iter().find(|(key, _)| is_marked(key));
    let writers = metadata.managed_fields.iter().flatten().filter_map(|fields| fields.manager.as_deref());
    let by_field =
        || writers.flat_map(|writer| FIELD_MANAGERS.iter().filter(move |(part, _)| writer.contains(part))).next();
    by_mark.or_else(by_field).map(|(_, name)| *name)
}
