//! `ScanSchedule`: its spec is checked against the catalog in the database and the time zones; starting scans comes with the
//! scheduler.

use std::sync::Arc;

use chrono::Utc;
use futures::StreamExt;
use futures::stream::BoxStream;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

pub mod modules;

use self::modules::Known;
use crate::satellite::{Refusal, Satellite};
use crate::tenant::Context;
use crds::scan_schedule::ScanSchedule;

/// The controller of schedules.
pub struct Schedules;

impl Satellite for Schedules {
    type Object = ScanSchedule;
    type Knowledge = Known;
    const DOES: &'static str = "starting scans by schedule";

    fn knowledge(ctx: &Context) -> Option<Arc<Known>> {
        ctx.modules.known()
    }

    fn wakes(ctx: &Context) -> BoxStream<'static, ()> {
        ctx.modules.changes().boxed()
    }

    fn check(object: &ScanSchedule, known: &Known) -> Result<Vec<String>, Refusal> {
        let zone = &object.spec.time_zone;
        // The database of time zones is built in: the image has no /usr/share/zoneinfo.
        if jiff::tz::TimeZone::get(zone).is_err() {
            let message = format!("'{zone}' is no time zone of the IANA database; write one such as Europe/Berlin");
            return Err(Refusal { reason: "UnknownTimeZone", message });
        }
        let now = Utc::now();
        let named = object.spec.modules.iter().filter_map(|one| Some((one.slug.as_deref()?, one.version.as_deref())));
        let notes = named.map(|(slug, version)| known.check(slug, version, now)).collect::<Result<Vec<_>, _>>()?;
        Ok(notes.into_iter().flatten().collect())
    }

    fn conditions(object: &ScanSchedule) -> Vec<Condition> {
        object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn handled(object: &ScanSchedule) -> (Option<i64>, Option<String>) {
        object.status.as_ref().map_or((None, None), |s| (s.observed_generation, s.last_handled_reconcile_at.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(spec: Value) -> Result<(), &'static str> {
        let schedule = ScanSchedule::new("nightly", serde_json::from_value(spec).unwrap());
        Schedules::check(&schedule, &modules::tests::known()).map(drop).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn unknown_modules_and_time_zones_are_refused() {
        let with = |module: &str, zone: &str| json!({ "schedule": "@daily", "timeZone": zone, "modules": [{ "slug": module }] });
        assert_eq!(checked(with("ours", "Etc/UTC")), Ok(()));
        assert_eq!(checked(with("ours", "Europe/Berlin")), Ok(()));
        assert!(jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").is_ok(), "where the system has none");
        assert_eq!(checked(with("no-such-module", "Etc/UTC")), Err("UnknownModule"));
        assert_eq!(checked(with("draft", "Etc/UTC")), Err("ModuleNotReleased"));
        assert_eq!(checked(with("ours", "Mars/Olympus")), Err("UnknownTimeZone"));
    }
}
