//! What was found, for people: the overview, findings, assets, runs, agents, scores, risk, drift; lists also as files. Reads,
//! and what people say of it: how much an asset matters, which changes are approved.

pub mod agents;
pub mod assets;
pub mod compliance;
pub mod drift;
pub mod drift_grants;
pub mod facts;
pub mod findings;
pub mod overview;
pub mod risk;
pub mod rounds;
pub mod runs;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::App;

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(overview::read))
        .routes(routes!(findings::list))
        .routes(routes!(findings::export))
        .routes(routes!(findings::get))
        .routes(routes!(assets::list))
        .routes(routes!(assets::export))
        .routes(routes!(assets::get, assets::rate))
        .routes(routes!(risk::of_asset))
        .routes(routes!(facts::list))
        .routes(routes!(facts::export))
        .routes(routes!(facts::timeline))
        .routes(routes!(assets::checks))
        .routes(routes!(runs::list))
        .routes(routes!(runs::export))
        .routes(routes!(runs::get))
        .routes(routes!(agents::list))
        .routes(routes!(agents::get, agents::remove))
        .routes(routes!(compliance::scores))
        .routes(routes!(risk::of_tenant))
        .routes(routes!(risk::trend))
        .routes(routes!(drift::list))
        .routes(routes!(drift::export))
        .routes(routes!(drift::get))
        .routes(routes!(drift_grants::list_approvals, drift_grants::approve))
        .routes(routes!(drift_grants::remove_approval))
        .routes(routes!(drift_grants::list_windows, drift_grants::plan_window))
        .routes(routes!(drift_grants::remove_window))
}
