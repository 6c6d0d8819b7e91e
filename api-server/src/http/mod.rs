//! What every route shares: bodies, pages, days, files, `ETags`, limits, headers, trace ids, and the router that puts them
//! together.

pub mod body;
pub mod csv;
pub mod days;
pub mod etag;
pub mod limit;
pub mod openapi;
pub mod origin;
pub mod page;
pub mod query;
pub mod router;
pub mod security;
pub mod timeout;
pub mod trace;
pub mod ui;
