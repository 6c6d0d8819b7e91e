//! `AlertRule`: raising alerts comes with the alerting engine; until then a rule is registered and its state told honestly.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::satellite::{Refusal, Satellite};
use crate::tenant::Context;
use crds::alert_rule::AlertRule;

/// The controller of rules.
pub struct Rules;

impl Satellite for Rules {
    type Object = AlertRule;
    type Knowledge = ();
    const DOES: &'static str = "raising alerts";

    fn knowledge(_: &Context) -> Option<Arc<()>> {
        Some(Arc::default())
    }

    fn check(_: &AlertRule, (): &()) -> Result<Vec<String>, Refusal> {
        // Everything that can be checked without the alerting engine is in the schema.
        Ok(Vec::new())
    }

    fn conditions(object: &AlertRule) -> Vec<Condition> {
        object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn handled(object: &AlertRule) -> (Option<i64>, Option<String>) {
        object.status.as_ref().map_or((None, None), |s| (s.observed_generation, s.last_handled_reconcile_at.clone()))
    }
}
