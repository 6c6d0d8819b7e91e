//! `ResourceQuota` and `LimitRange` of the tenant's namespace. Without limits there is neither; with them every container
//! gets defaults, because a quota on CPU or memory refuses a pod that names none.

use serde_json::{Map, Value, json};
use store::TenantRef;

use crate::provision::children::{self, Change, Observed};
use crate::provision::{Error, Note, Provisioner, Stage, Systems};
use crate::runtime::gate::System;
use crate::systems::child::{Child, Kind};
use crate::tenant::validate::ValidTenant;
use crds::conditions::ConditionType;

const NAME: &str = "tenantra";
/// What a container gets that asks for nothing.
const DEFAULT_CPU: (&str, &str) = ("25m", "250m");
const DEFAULT_MEMORY: (&str, &str) = ("32Mi", "256Mi");

/// Provisions the quota.
pub struct Quota;

impl Provisioner for Quota {
    const CONDITION: ConditionType = ConditionType::QuotaReady;
    const SYSTEM: System = System::Kubernetes;
    const NEEDS: &'static [ConditionType] = &[ConditionType::NamespaceReady];
    const WIDTH: usize = 2;
    type Desired = Vec<Child>;
    type Observed = Observed;
    type Change = Change;

    fn desired(tenant: &ValidTenant) -> Vec<Child> {
        let child = |kind, spec: Value| {
            Child::new(kind, &tenant.reference, &tenant.namespace, NAME, &[], &json!({ "spec": spec }))
        };
        let quota = hard(tenant).map(|hard| child(Kind::ResourceQuota, json!({ "hard": hard })));
        let range = defaults(tenant).map(|limit| child(Kind::LimitRange, json!({ "limits": [limit] })));
        quota.into_iter().chain(range).collect()
    }

    fn digest(desired: &Vec<Child>) -> String {
        children::digest(desired)
    }

    async fn observe(systems: &Systems, tenant: &ValidTenant) -> Result<Observed, Error> {
        Ok(children::observe(systems, &tenant.namespace, &[Kind::ResourceQuota, Kind::LimitRange], &tenant.reference))
    }

    fn plan(desired: Vec<Child>, observed: &Observed) -> Result<Vec<Change>, Error> {
        Ok(children::plan(desired, observed))
    }

    async fn apply(systems: &Systems, tenant: &TenantRef, change: Change) -> Result<(), Error> {
        children::apply(systems, tenant, change).await
    }

    async fn remove(_: &Systems, _: &TenantRef, _: Stage) -> Result<(), Error> {
        // They go with the namespace; until then a retained tenant stays bounded.
        Ok(())
    }

    fn note(tenant: &ValidTenant) -> Note {
        match hard(tenant) {
            Some(_) => Note::succeeded(""),
            None => {
                Note { reason: "NoLimits", message: "spec.limits names none of cpu, memory, storage and pods".into() }
            }
        }
    }
}

fn hard(tenant: &ValidTenant) -> Option<Map<String, Value>> {
    let limits = tenant.limits.as_ref()?;
    let quantities =
        [("limits.cpu", &limits.cpu), ("limits.memory", &limits.memory), ("requests.storage", &limits.storage)];
    let mut hard: Map<String, Value> = quantities
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), value.as_ref()?.0.clone().into())))
        .collect();
    if let Some(pods) = limits.pods {
        hard.insert("pods".into(), pods.to_string().into());
    }
    (!hard.is_empty()).then_some(hard)
}

fn defaults(tenant: &ValidTenant) -> Option<Value> {
    let limits = tenant.limits.as_ref()?;
    let (mut default, mut request) = (Map::new(), Map::new());
    let bounded = [("cpu", limits.cpu.is_some(), DEFAULT_CPU), ("memory", limits.memory.is_some(), DEFAULT_MEMORY)];
    for (resource, _, (asked, most)) in bounded.into_iter().filter(|(_, is_bounded, _)| *is_bounded) {
        default.insert(resource.into(), most.into());
        request.insert(resource.into(), asked.into());
    }
    (!default.is_empty()).then(|| json!({ "type": "Container", "default": default, "defaultRequest": request }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::validate::tests::tenant_with;

    #[test]
    fn a_limit_becomes_a_quota_and_no_limit_none() {
        let none = tenant_with(json!({ "displayName": "A" }));
        assert!(Quota::desired(&none).is_empty());
        assert_eq!(Quota::note(&none).reason, "NoLimits");
        let some = tenant_with(json!({ "displayName": "A", "limits": { "cpu": "4", "pods": 50 } }));
        let made = Quota::desired(&some);
        assert_eq!(made[0].manifest["spec"]["hard"], json!({ "limits.cpu": "4", "pods": "50" }));
        assert_eq!(made[1].manifest["spec"]["limits"][0]["default"], json!({ "cpu": "250m" }));
        let agents = tenant_with(json!({ "displayName": "A", "limits": { "agents": 5 } }));
        assert!(Quota::desired(&agents).is_empty());
    }
}
