//! `ScanSchedule`: its spec is checked against the catalog and the time zones; starting scans comes with the scheduler.

use std::sync::LazyLock;

use catalog::Catalog;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::satellite::{Refusal, Satellite};
use crds::scan_schedule::{ModuleSelection, ScanSchedule};

/// The catalog of this build. One that does not load is a broken build; its own tests say so.
static CATALOG: LazyLock<Option<Catalog>> = LazyLock::new(|| Catalog::embedded().ok());

/// The controller of schedules.
pub struct Schedules;

impl Satellite for Schedules {
    type Object = ScanSchedule;
    const DOES: &'static str = "starting scans by schedule";

    fn check(object: &ScanSchedule) -> Result<(), Refusal> {
        let zone = &object.spec.time_zone;
        // The database of time zones is built in: the image has no /usr/share/zoneinfo.
        if jiff::tz::TimeZone::get(zone).is_err() {
            let message = format!("'{zone}' is no time zone of the IANA database; write one such as Europe/Berlin");
            return Err(Refusal { reason: "UnknownTimeZone", message });
        }
        object.spec.modules.iter().try_for_each(check_module)
    }

    fn conditions(object: &ScanSchedule) -> Vec<Condition> {
        object.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
    }

    fn handled(object: &ScanSchedule) -> (Option<i64>, Option<String>) {
        object.status.as_ref().map_or((None, None), |s| (s.observed_generation, s.last_handled_reconcile_at.clone()))
    }
}

fn check_module(selection: &ModuleSelection) -> Result<(), Refusal> {
    let (Some(slug), Some(catalog)) = (&selection.slug, CATALOG.as_ref()) else { return Ok(()) };
    let versions: Vec<String> = catalog
        .entries()
        .iter()
        .filter(|entry| entry.module.slug == *slug)
        .map(|entry| entry.module.version.to_string())
        .collect();
    if versions.is_empty() {
        let message = format!("there is no module '{slug}' in the catalog; `tenantra module list` shows what there is");
        return Err(Refusal { reason: "UnknownModule", message });
    }
    match &selection.version {
        Some(version) if !versions.contains(version) => {
            let message = format!("the module '{slug}' has no version {version}; there is {}", versions.join(", "));
            Err(Refusal { reason: "UnknownModule", message })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(spec: Value) -> Result<(), &'static str> {
        let schedule = ScanSchedule::new("nightly", serde_json::from_value(spec).unwrap());
        Schedules::check(&schedule).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn unknown_modules_and_time_zones_are_refused() {
        let known = CATALOG.as_ref().unwrap().entries().first().unwrap().module.slug.clone();
        let with = |module: &str, zone: &str| json!({ "schedule": "@daily", "timeZone": zone, "modules": [{ "slug": module }] });
        assert_eq!(checked(with(&known, "Etc/UTC")), Ok(()));
        assert_eq!(checked(with(&known, "Europe/Berlin")), Ok(()));
        assert!(jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").is_ok(), "where the system has none");
        assert_eq!(checked(with("no-such-module", "Etc/UTC")), Err("UnknownModule"));
        assert_eq!(checked(with(&known, "Mars/Olympus")), Err("UnknownTimeZone"));
    }
}
