//! `/v1/compliance/tree`: a tenant and those below it, as `spec.parent` says, each with what it has and what all below it have.
//! Read from the rollups, never from a schema of another tenant.

use std::collections::{BTreeMap, HashSet};

use analysis::compliance::{MAX_DEPTH, Standing, Tree};
use axum::{Json as Answer, extract::State};
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use store::compliance;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{Allow, Scope, permission::ReadTenantsBelow},
    compliance::{require, view::StandingView},
    error::{Error, Result},
    http::{
        page::{Page, Paged},
        query::Query,
    },
    state::App,
};

/// Which standing is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct TreeFilter {
    /// Slug of a framework; without one, each tenant over all its frameworks.
    pub framework: Option<String>,
}

/// A tenant in the tree.
#[derive(Debug, Serialize, ToSchema)]
pub struct TreeNode {
    /// The tenant's slug.
    pub tenant: String,
    /// The tenant above it; none for the one that was asked for.
    pub parent: Option<String>,
    /// The tenant itself.
    pub own: StandingView,
    /// With all below it.
    pub total: StandingView,
}

/// Shows the tenant and those below it.
#[utoipa::path(
    get, path = "/compliance/tree", tag = "compliance", params(TreeFilter, Page),
    responses((status = 200, body = Paged<TreeNode>))
)]
pub async fn read(
    _: Allow<ReadTenantsBelow>,
    scope: Scope,
    State(app): State<App>,
    Query(filter): Query<TreeFilter>,
    page: Page,
) -> Result<Answer<Paged<TreeNode>>> {
    require(&scope)?;
    let all = app.tenants.list();
    let parents = all.iter().map(|tenant| (tenant.name_any(), tenant.spec.parent.clone()));
    let nodes = below(scope.tenant.slug.as_str(), parents);
    let slugs: Vec<String> = nodes.iter().map(|(slug, _)| slug.clone()).collect();
    let mut tx = app.db.platform().await?;
    let rows = compliance::below(&mut tx, &slugs).await?;
    tx.rollback().await?;
    let key = filter.framework.unwrap_or_default();
    let mut own: BTreeMap<String, Standing> =
        rows.into_iter().map(|mut row| (row.slug, row.standings.remove(&key).unwrap_or_default())).collect();
    let tree = Tree::of(
        nodes.iter().map(|(slug, parent)| (slug.clone(), parent.clone(), own.remove(slug).unwrap_or_default())),
    )
    .map_err(|error| Error::Conflict(format!("The tenants below this one are no tree: {error}.")))?;
    let items = nodes
        .into_iter()
        .map(|(slug, parent)| TreeNode {
            own: tree.own(&slug).unwrap_or_default().into(),
            total: tree.total(&slug).unwrap_or_default().into(),
            tenant: slug,
            parent,
        })
        .collect();
    Ok(Answer(page.slice(items)))
}

/// The tenant and all below it, level by level, each with the one above it. What goes round, or is deeper than a tree may be, is
/// left where it begins to be that.
fn below(root: &str, parents: impl Iterator<Item = (String, Option<String>)>) -> Vec<(String, Option<String>)> {
    let mut children: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (slug, parent) in parents {
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(slug);
        }
    }
    let mut found = vec![(root.to_owned(), None)];
    let mut seen = HashSet::from([root.to_owned()]);
    let mut level = vec![root.to_owned()];
    for _ in 1..MAX_DEPTH {
        let mut next = Vec::new();
        for parent in level {
            for slug in children.remove(&parent).unwrap_or_default() {
                if seen.insert(slug.clone()) {
                    found.push((slug.clone(), Some(parent.clone())));
                    next.push(slug);
                }
            }
        }
        level = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_is_found_and_a_circle_ends() {
        let of = |root, list: &[(&str, Option<&str>)]| {
            let list: Vec<_> =
                list.iter().map(|(slug, parent)| ((*slug).to_owned(), parent.map(str::to_owned))).collect();
            below(root, list.into_iter()).into_iter().map(|(slug, _)| slug).collect::<Vec<_>>()
        };
        let tenants =
            [("msp", None), ("shop", Some("msp")), ("branch", Some("shop")), ("other", None), ("x", Some("other"))];
        assert_eq!(of("msp", &tenants), ["msp", "shop", "branch"]);
        assert_eq!(of("branch", &tenants), ["branch"]);
        assert_eq!(of("a", &[("a", Some("b")), ("b", Some("a"))]), ["a", "b"]);
        let chain: Vec<String> = (0..40).map(|number| format!("t{number}")).collect();
        let deep: Vec<(&str, Option<&str>)> =
            chain.windows(2).map(|pair| (pair[1].as_str(), Some(pair[0].as_str()))).collect();
        assert_eq!(of("t0", &deep).len(), MAX_DEPTH);
    }
}
