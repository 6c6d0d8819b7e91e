//! The operator: reconciles the four kinds of `tenantra.io` and provisions what a tenant needs.
//!
//! `runtime` is what everything runs on, `tenant` the pipeline of a pass, `provision` one file for each thing a tenant is
//! made of, `systems` thin clients, and `schedule`, `alert`, `cloud` the three kinds that live in a tenant's namespace.

#![forbid(unsafe_code)]
#![recursion_limit = "256"]

pub mod alert;
pub mod audit;
pub mod cloud;
pub mod names;
pub mod provision;
pub mod run;
pub mod runtime;
pub mod satellite;
pub mod schedule;
pub mod systems;
pub mod tenant;

pub use run::{Error, run};
pub use runtime::config::Config;
pub use tenant::plan::{PlanError, Planned, plan_tenant};
