//! `CloudAccount`: discovery comes with the cloud tables; until then an account is registered and its state told honestly.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::satellite::{Refusal, Satellite};
use crate::tenant::Context;
use crds::cloud_account::CloudAccount;

/// The controller of accounts.
pub struct Accounts;

impl Satellite for Accounts {
    type Object = CloudAccount;
    type Knowledge = ();
    const DOES: &'static str = "discovering cloud accounts";

    fn knowledge(_: &Context) -> Option<Arc<()>> {
        Some(Arc::default())
    }

    fn check(object: &CloudAccount, (): &()) -> Result<Vec<String>, Refusal> {
        // An endpoint leads credentials to a host that the installation has to allow by name, and none can be allowed yet.
        match &object.spec.endpoint {
            Some(endpoint) => Err(Refusal {
                reason: "EndpointNotAllowed",
                message: format!(
                    "the endpoint {endpoint} is not among the hosts that this installation allows; leave it out"
                ),
            }),
            None => Ok(Vec::new()),
        }
    }

    fn conditions(object: &CloudAccount) -> Vec<Condition> {
        object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn handled(object: &CloudAccount) -> (Option<i64>, Option<String>) {
        object.status.as_ref().map_or((None, None), |s| (s.observed_generation, s.last_handled_reconcile_at.clone()))
    }
}
