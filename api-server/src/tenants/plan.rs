//! What a plan switches on, and how a tenant's spec overrides it.

use analysis::score::Weights;
use catalog::{module::Module, selection};
use crds::tenant::{Plan, TenantSpec};

/// A feature that a plan may have; the keys of product.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Agents scan hosts.
    AgentScanning,
    /// The tenant chooses its modules.
    ModuleControl,
    /// The compliance score and its frameworks.
    ComplianceScore,
}

impl Feature {
    /// The key in specs and errors.
    pub const fn key(self) -> &'static str {
        match self {
            Self::AgentScanning => "agent_scanning",
            Self::ModuleControl => "module_control",
            Self::ComplianceScore => "compliance_score",
        }
    }

    const fn is_in(self, plan: Plan) -> bool {
        match self {
            Self::AgentScanning => true,
            Self::ModuleControl | Self::ComplianceScore => !matches!(plan, Plan::Free),
        }
    }
}

/// The plan's name.
pub const fn name(plan: Plan) -> &'static str {
    match plan {
        Plan::Free => "Free",
        Plan::Basic => "Basic",
        Plan::Pro => "Pro",
        Plan::Enterprise => "Enterprise",
    }
}

/// Whether the tenant has the feature: what the spec says of it, else what the plan says.
pub fn has(spec: &TenantSpec, feature: Feature) -> bool {
    let named = |list: &[String]| list.iter().any(|key| key == feature.key());
    match &spec.features {
        Some(features) if named(&features.disable) => false,
        Some(features) if named(&features.enable) => true,
        _ => feature.is_in(spec.plan),
    }
}

/// Whether the tenant may use the module. Without the feature `module_control` every module is on; an empty `enable`
/// means all, and `disable` wins.
pub fn is_module_enabled(spec: &TenantSpec, module: &Module) -> bool {
    if !has(spec, Feature::AgentScanning) {
        return false;
    }
    let Some(modules) = spec.modules.as_ref().filter(|_| has(spec, Feature::ModuleControl)) else { return true };
    selection::is_enabled(module, &modules.enable, &modules.disable)
}

/// How much a check of each severity counts for the tenant; what its spec leaves out is the installation's.
pub fn weights(spec: &TenantSpec) -> Weights {
    let given = spec.risk.as_ref().and_then(|risk| risk.weights).unwrap_or_default();
    let usual = Weights::default();
    // The schema allows 1,000 at most.
    let of = |given: Option<u32>, usual: u16| given.and_then(|weight| u16::try_from(weight).ok()).unwrap_or(usual);
    Weights {
        critical: of(given.critical, usual.critical),
        high: of(given.high, usual.high),
        medium: of(given.medium, usual.medium),
        low: of(given.low, usual.low),
    }
}

#[cfg(test)]
mod tests {
    use catalog::Catalog;

    use super::*;

    fn enabled(json: serde_json::Value) -> usize {
        let spec: TenantSpec = serde_json::from_value(json).expect("a spec");
        let catalog = Catalog::embedded().expect("the catalog");
        catalog.latest().filter(|entry| is_module_enabled(&spec, &entry.module)).count()
    }

    #[test]
    fn what_is_disabled_wins_and_empty_means_all() {
        let all = enabled(serde_json::json!({ "displayName": "A", "plan": "Pro" }));
        assert!(all > 0);
        let none =
            serde_json::json!({ "displayName": "A", "plan": "Pro", "modules": { "enable": ["*"], "disable": ["*"] } });
        assert_eq!(enabled(none), 0);
    }

    #[test]
    fn the_free_plan_chooses_no_modules_unless_the_feature_is_given() {
        let with = |features: serde_json::Value| {
            enabled(serde_json::json!({ "displayName": "A", "modules": { "disable": ["*"] }, "features": features }))
        };
        assert!(with(serde_json::json!({})) > 0);
        assert_eq!(with(serde_json::json!({ "enable": ["module_control"] })), 0);
        assert_eq!(with(serde_json::json!({ "disable": ["agent_scanning"] })), 0);
    }
}
