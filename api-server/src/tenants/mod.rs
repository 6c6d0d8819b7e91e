//! Tenants: the custom resource is the only truth; the API writes it and answers from a watch.

pub mod cache;
pub mod gitops;
pub mod plan;
pub mod routes;
pub mod service;
pub mod spec;
pub mod view;
