//! What every controller of the operator runs on: configuration, the lead and its epoch, caches fed by watches, the
//! lanes in which slow work runs beside the passes, breakers, metrics and health.

pub mod caches;
pub mod config;
pub mod events;
pub mod gate;
pub mod http;
pub mod lanes;
pub mod lead;
pub mod log;
pub mod metrics;
pub mod trigger;
