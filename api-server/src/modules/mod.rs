//! The catalog for people: what can be scanned, what a tenant has enabled, and the way of a version from draft to retired.

mod enablement;
pub mod gates;
mod reader;
pub mod routes;
mod service;
mod view;
