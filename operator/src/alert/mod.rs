//! `AlertRule`: raising alerts comes with the alerting engine; until then a rule is registered and its state told honestly.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::satellite::{Refusal, Satellite};
use crds::alert_rule::AlertRule;

/// The controller of rules.
pub struct Rules;

impl Satellite for Rules {
    type Object = AlertRule;
    const DOES: &'static str = "raising alerts";

    fn check(_: &AlertRule) -> Result<(), Refusal> {
        // Everything that can be checked without the alerting engine is in the schema.
        Ok(())
    }

    fn conditions(object: &AlertRule) -> Vec<Condition> {
        object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn handled(object: &AlertRule) -> (Option<i64>, Option<String>) {
        object.status.as_ref().map_or((None, None), |s| (s.observed_generation, s.last_handled_reconcile_at.clone()))
    }
}
