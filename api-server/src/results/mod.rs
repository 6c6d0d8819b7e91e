//! What was found, for people: the overview, findings, assets, runs, agents, scores; lists also as files. Reads only.

pub mod agents;
pub mod assets;
pub mod compliance;
pub mod facts;
pub mod findings;
pub mod overview;
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
        .routes(routes!(assets::get))
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
}
