//! People of a tenant: an administrator (or the platform) makes them with a role.

pub mod routes;
pub mod service;
