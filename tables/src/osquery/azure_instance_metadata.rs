//! `azure_instance_metadata`: what Azure tells this machine about itself.

use super::azure;
use super::json::text;
use crate::reader::Scan;
use crate::schema::{Rows, row, table};
use crate::value::Row;

table! {
    /// What Azure says of this machine.
    azure_instance_metadata: live_only {
        location: Text,
        name: Text,
        offer: Text,
        publisher: Text,
        sku: Text,
        version: Text,
        os_type: Text,
        platform_update_domain: Text,
        platform_fault_domain: Text,
        vm_id: Text [index],
        vm_size: Text,
        subscription_id: Text,
        resource_group_name: Text,
        placement_group_id: Text,
        vm_scale_set_name: Text,
        zone: Text,
    }
}

fn rows(scan: &Scan) -> Rows {
    let row: Option<Row> = azure::compute(scan).map(|machine| {
        row! {
            location: text(&machine, "/location"),
            name: text(&machine, "/name"),
            offer: text(&machine, "/offer"),
            publisher: text(&machine, "/publisher"),
            sku: text(&machine, "/sku"),
            version: text(&machine, "/version"),
            os_type: text(&machine, "/osType"),
            platform_update_domain: text(&machine, "/platformUpdateDomain"),
            platform_fault_domain: text(&machine, "/platformFaultDomain"),
            vm_id: text(&machine, "/vmId"),
            vm_size: text(&machine, "/vmSize"),
            subscription_id: text(&machine, "/subscriptionId"),
            resource_group_name: text(&machine, "/resourceGroupName"),
            placement_group_id: text(&machine, "/placementGroupId"),
            vm_scale_set_name: text(&machine, "/vmScaleSetName"),
            zone: text(&machine, "/zone"),
        }
    });
    Box::new(row.into_iter())
}
