//! The four custom resources of Tenantra (`tenantra.io/v1alpha1`) as Rust types, with the rules that the Kubernetes API
//! server enforces on them. No IO: the YAML in `manifests/` is generated from here and a test fails when the two differ.

#![allow(clippy::duplicated_attributes, reason = "each printcolumn of a kind repeats the names of its arguments")]

pub mod alert_rule;
pub mod cloud_account;
pub mod conditions;
pub mod duration;
pub mod manifests;
pub mod names;
pub mod reference;
pub mod scan_schedule;
mod schema;
pub mod tenant;

/// The API group of the four kinds.
pub const GROUP: &str = "tenantra.io";
/// The one version of the API group.
pub const VERSION: &str = "v1alpha1";
