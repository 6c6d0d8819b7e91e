//! What was found, for people: the overview, findings, assets, runs, agents, scores. Reads only.

pub mod agents;
pub mod assets;
pub mod compliance;
pub mod findings;
pub mod overview;
pub mod runs;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::App;

/// The routes of this area.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(overview::read))
        .routes(routes!(findings::list))
        .routes(routes!(findings::get))
        .routes(routes!(assets::list))
        .routes(routes!(assets::get))
        .routes(routes!(assets::facts))
        .routes(routes!(assets::checks))
        .routes(routes!(assets::timeline))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(agents::list))
        .routes(routes!(agents::get, agents::remove))
        .routes(routes!(compliance::scores))
}
