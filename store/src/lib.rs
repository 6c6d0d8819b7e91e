//! Postgres: the tenant transaction, migrations, provisioning, and one file of queries for each aggregate.
//!
//! [`OwnerDb`] is the operator's way in and [`Db`] the API's. Both give transactions, and every query takes one:
//! [`TenantTx`] for a tenant's schema, [`PlatformTx`] or [`OwnerTx`] for `shared`.

#![forbid(unsafe_code)]

pub mod agents;
pub mod assets;
pub mod audit;
pub mod audit_chain;
pub mod audit_sign;
mod bootstrap;
pub mod checks;
pub mod compliance;
pub mod credentials;
pub mod drift;
pub mod enrollment;
mod error;
pub mod export;
pub mod facts;
pub mod fencing;
pub mod findings;
pub mod frameworks;
mod gate;
pub mod ingest;
pub mod jobs;
pub mod migrate;
pub mod modules;
mod names;
mod newest;
pub mod notify;
pub mod outbox;
pub mod overview;
mod page;
mod pool;
pub mod principal;
pub mod provision;
pub mod readiness;
pub mod retention;
pub mod risk;
pub mod rollups;
pub mod runs;
pub mod scores;
mod served;
mod session;
pub mod sessions;
pub mod tenants;
mod tx;
pub mod users;
pub mod verify;
pub mod waivers;

pub use bootstrap::{Bootstrap, Warnings, bootstrap};
pub use error::{Error, Result};
pub use names::{SchemaName, Slug, TenantRef};
pub use page::{Listed, Page, Paged, Start, Total};
pub use pool::{Db, OwnerDb, PoolOptions};
pub use tx::{Mode, OwnerTx, PlatformTx, Read, SharedSession, SharedTx, TenantTx, Write};
