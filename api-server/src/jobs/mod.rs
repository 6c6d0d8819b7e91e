//! Background work. Each task is owned by the server, has a bound on what it takes at once, and ends when told to.

pub mod admins;
pub mod audit;
pub mod backlog;
pub mod catalog;
pub mod dispatch;
pub mod drift;
pub mod leases;
pub mod marked;
pub mod marks;
pub mod retention;
pub mod rollups;

use tokio::task::JoinSet;

use crate::{agents::pulse, memory, state::App};

/// Starts every task.
pub fn spawn(app: &App, tasks: &mut JoinSet<()>) {
    tasks.spawn(admins::run(app.clone()));
    tasks.spawn(audit::run(app.clone()));
    tasks.spawn(backlog::run(app.clone()));
    tasks.spawn(catalog::run(app.clone()));
    tasks.spawn(dispatch::run(app.clone()));
    tasks.spawn(drift::run(app.clone()));
    tasks.spawn(leases::run(app.clone()));
    tasks.spawn(memory::run(app.clone()));
    tasks.spawn(pulse::run(app.clone()));
    tasks.spawn(retention::run(app.clone()));
    tasks.spawn(rollups::run(app.clone()));
}
