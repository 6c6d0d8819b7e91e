//! Who is calling and what they may do: sign-in, tokens, cookies, roles, and the extractors that handlers use.

pub mod cookies;
pub mod identity;
pub mod password;
pub mod roles;
pub mod routes;
pub mod scope;
pub mod service;
pub mod together;
pub mod token;

pub use roles::{Allow, Role, permission};
pub use scope::{Scope, TenantTx};
