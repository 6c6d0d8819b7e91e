//! Retention: what a tenant's policy deletes, shown before it is saved and done once a day; the archive that rows go to before;
//! legal holds that stop it. The policy is `spec.retention` of the tenant's resource and has no table.

pub mod archive;
mod change;
mod holds;
pub mod platform;
mod policy;
pub mod routes;
mod run;
mod view;

pub use policy::of;
pub use run::run;
