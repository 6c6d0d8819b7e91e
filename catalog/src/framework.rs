//! Frameworks and their controls: identifiers and short names only, never a publisher's text.

use serde::{Deserialize, Serialize};

/// A benchmark, standard or law that controls come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Unique, kebab-case.
    pub slug: String,
    /// Its name.
    pub title: String,
    /// The edition.
    pub version: String,
    /// Who publishes it.
    pub publisher: String,
    /// Where its text is.
    pub url: String,
    /// Its controls, in its own order.
    pub controls: Vec<Control>,
}

impl Framework {
    /// The control with this identifier.
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.iter().find(|control| control.id == id)
    }
}

/// What a framework asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its identifier in the framework.
    pub id: String,
    /// A short name.
    pub title: String,
}
