//! How controls and frameworks stand: on each asset, and over all of a tenant's (docs/adr/0011).
//!
//! An ingest changes verdicts and scores, and raises its asset's revision. [`keep()`] follows within seconds: it counts waivers
//! that began or ended, and moves the sums over all assets by the difference that each changed asset makes. The one question is
//! why not in the ingest's own transaction: all agents of a tenant would then wait for each other at the same few rows.

mod drill;
mod keep;
mod read;
mod recount;
mod sums;
mod trend;
mod write;

pub use drill::{
    CheckPlace, CheckStanding, ControlPlace, ControlStanding, ResultPlace, ResultRow, checks, controls, results,
};
pub use keep::{Difference, Kept, differences, forget_due, keep, publish};
pub use read::{
    AssetPlace, AssetStanding, FrameworkStanding, GroupStanding, Standings, TenantStandings, below,
    framework_on_assets, group, standings,
};
pub use trend::trend;
