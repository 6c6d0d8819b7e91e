//! The metadata of Azure, for the tables that show it.

use serde_json::Value as Json;

use super::cloud::{self, ADDRESS};
use crate::reader::Scan;

/// What every machine of Azure has for the tag of its chassis.
const CHASSIS_TAG: &str = "7783-7084-3265-9085-8269-3286-77";

/// What Azure says of the machine; none elsewhere.
pub(super) fn compute(scan: &Scan) -> Option<Json> {
    if !cloud::firmware_says(scan, "chassis_asset_tag", CHASSIS_TAG) {
        scan.warn_of_no_subject("this is no machine of Azure");
        return None;
    }
    let path = "/metadata/instance/compute?api-version=2021-02-01";
    let answer = cloud::ask(scan, ADDRESS, "GET", path, &[("Metadata", "true")])?;
    serde_json::from_slice(&answer).ok()
}
