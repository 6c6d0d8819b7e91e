//! Which modules a tenant has is said by its resource, `spec.modules`; a switch here writes it there.

use crds::tenant::Modules;
use serde_json::json;
use store::{Write, audit};
use uuid::Uuid;

use crate::{
    auth::Scope,
    error::{Error, Result},
    state::App,
    tenants::{
        gitops,
        plan::{self, Feature},
        spec::{self, Change},
    },
};

/// Switches a module on or off for the tenant; what is so already is left alone. `if_match` is the tenant's version that
/// the caller has seen.
///
/// # Errors
/// The module is not in the catalog, the plan lets the tenant choose none, a GitOps tool manages the tenant, or a pattern
/// of its spec decides otherwise.
pub async fn set(
    app: &App,
    scope: &Scope,
    slug: &str,
    enabled: bool,
    if_match: Option<&str>,
    actor: Uuid,
) -> Result<()> {
    let snapshot = app.modules.snapshot()?;
    let module = snapshot.newest(slug).ok_or(Error::NotFound("module"))?;
    let written = spec::write(app, scope, if_match, actor, |tenant| {
        if !plan::has(&tenant.spec, Feature::ModuleControl) {
            let feature = Feature::ModuleControl.key();
            return Err(Error::FeatureNotInPlan { plan: plan::name(tenant.spec.plan).to_owned(), feature });
        }
        gitops::check(tenant)?;
        if plan::is_module_enabled(&tenant.spec, module) == enabled {
            return Ok(None);
        }
        let chosen = choose(tenant.spec.modules.clone().unwrap_or_default(), slug, enabled, |chosen| {
            let mut spec = tenant.spec.clone();
            spec.modules = Some(chosen.clone());
            plan::is_module_enabled(&spec, module)
        })?;
        let spec = json!({ "modules": { "enable": chosen.enable, "disable": chosen.disable } });
        Ok(Some(Change { spec, outcome: () }))
    })
    .await?;
    match written {
        Some(()) => note(app, scope, slug, enabled, actor).await,
        None => Ok(()),
    }
}

/// The lists with the module switched. Patterns that people wrote stay as they are: `disable` wins over `enable`, so only
/// this module's own name is added or taken away.
fn choose(mut chosen: Modules, slug: &str, enabled: bool, is_enabled: impl Fn(&Modules) -> bool) -> Result<Modules> {
    if !enabled {
        chosen.disable.push(slug.to_owned());
        return Ok(chosen);
    }
    chosen.disable.retain(|pattern| pattern != slug);
    if !is_enabled(&chosen) {
        chosen.enable.push(slug.to_owned());
    }
    if is_enabled(&chosen) {
        return Ok(chosen);
    }
    let patterns = chosen.disable.join(", ");
    Err(Error::Conflict(format!(
        "A pattern in the tenant's spec.modules.disable ({patterns}) names {slug} too. Change the pattern first."
    )))
}

async fn note(app: &App, scope: &Scope, slug: &str, enabled: bool, actor: Uuid) -> Result<()> {
    let mut tx = app.db.tenant::<Write>(&scope.tenant).await?;
    let entry = audit::Entry {
        actor: format!("user:{actor}"),
        action: if enabled { "module.enabled" } else { "module.disabled" }.to_owned(),
        subject: slug.to_owned(),
        details: json!({}),
    };
    audit::write(&mut tx, &entry).await?;
    Ok(tx.commit().await?)
}

#[cfg(test)]
mod tests {
    use catalog::Catalog;
    use crds::tenant::TenantSpec;

    use super::*;

    fn switched(enable: &[&str], disable: &[&str], enabled: bool) -> Option<(Vec<String>, Vec<String>)> {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let catalog = Catalog::embedded().expect("the catalog");
        let module = &catalog.module("linux-cron", None).expect("the module").module;
        let before = Modules { enable: own(enable), disable: own(disable) };
        let is_enabled = |modules: &Modules| {
            let json = serde_json::json!({ "displayName": "A", "plan": "Pro", "modules": modules });
            let spec: TenantSpec = serde_json::from_value(json).expect("a spec");
            plan::is_module_enabled(&spec, module)
        };
        choose(before, "linux-cron", enabled, is_enabled).ok().map(|after| (after.enable, after.disable))
    }

    #[test]
    fn a_switch_adds_or_takes_away_one_name_and_leaves_patterns_alone() {
        let lists = |enable: &[&str], disable: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
            Some((own(enable), own(disable)))
        };
        assert_eq!(switched(&[], &[], false), lists(&[], &["linux-cron"]));
        assert_eq!(switched(&[], &["linux-cron"], true), lists(&[], &[]));
        assert_eq!(switched(&["inventory"], &[], true), lists(&["inventory", "linux-cron"], &[]));
        assert_eq!(switched(&["linux-*"], &[], false), lists(&["linux-*"], &["linux-cron"]));
        assert_eq!(switched(&["linux-*"], &["linux-cron", "x"], true), lists(&["linux-*"], &["x"]));
        assert_eq!(switched(&[], &["linux-c*"], true), None, "a pattern decides otherwise");
    }
}
