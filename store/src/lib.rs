//! Postgres: the tenant transaction, migrations, provisioning, and one file of queries for each aggregate.
//!
//! [`OwnerDb`] is the operator's way in and [`Db`] the API's. Both give transactions, and every query takes one:
//! [`TenantTx`] for a tenant's schema, [`PlatformTx`] or [`OwnerTx`] for `shared`.

#![forbid(unsafe_code)]

mod bootstrap;
mod error;
pub mod fencing;
pub mod migrate;
mod names;
pub mod notify;
mod pool;
pub mod provision;
mod session;
pub mod tenants;
mod tx;

pub use bootstrap::{Bootstrap, Warnings, bootstrap};
pub use error::{Error, Result};
pub use names::{SchemaName, Slug, TenantRef};
pub use pool::{Db, OwnerDb, PoolOptions};
pub use tx::{Mode, OwnerTx, PlatformTx, Read, SharedSession, SharedTx, TenantTx, Write};
