//! `tenantra tenant tree`: providers with their customers below them. A tenant whose parent is not there, or whose
//! parents go round in a circle, is a root and says so.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::cluster::Cluster;
use super::list;
use super::view::View;
use crate::outcome::{Error, Outcome};
use crate::output::{Format, NONE};

#[derive(Debug, Serialize)]
struct Node {
    slug: String,
    display_name: String,
    plan: String,
    ready: bool,
    reason: Option<String>,
    score: Option<i32>,
    /// What is wrong with its place.
    problem: Option<String>,
    children: Vec<Node>,
}

/// Runs it.
pub async fn run(cluster: &Cluster, format: Format) -> Result<Outcome, Error> {
    let tenants: Vec<View> = cluster.list().await?.iter().map(View::of).collect();
    let roots = grow(&tenants);
    format.print(&roots, || if roots.is_empty() { "There are no tenants yet.".to_owned() } else { text(&roots) })?;
    Ok(Outcome::Done)
}

fn grow(tenants: &[View]) -> Vec<Node> {
    let known: BTreeSet<&str> = tenants.iter().map(|tenant| tenant.slug.as_str()).collect();
    let mut below: BTreeMap<&str, Vec<&View>> = BTreeMap::new();
    let mut roots = Vec::new();
    for tenant in tenants {
        match tenant.parent.as_deref() {
            Some(parent) if known.contains(parent) => below.entry(parent).or_default().push(tenant),
            Some(parent) => roots.push((tenant, Some(format!("its parent '{parent}' does not exist")))),
            None => roots.push((tenant, None)),
        }
    }
    let mut placed = BTreeSet::new();
    let mut forest: Vec<Node> =
        roots.into_iter().map(|(tenant, problem)| node(tenant, problem, &below, &mut placed)).collect();
    // Who is left is below nobody that has a top.
    for tenant in tenants {
        if !placed.contains(tenant.slug.as_str()) {
            let problem = Some("its parents form a circle".to_owned());
            forest.push(node(tenant, problem, &below, &mut placed));
        }
    }
    forest
}

fn node<'a>(
    tenant: &'a View,
    problem: Option<String>,
    below: &BTreeMap<&str, Vec<&'a View>>,
    placed: &mut BTreeSet<&'a str>,
) -> Node {
    placed.insert(&tenant.slug);
    let mut children = Vec::new();
    for child in below.get(tenant.slug.as_str()).into_iter().flatten() {
        if !placed.contains(child.slug.as_str()) {
            children.push(node(child, None, below, placed));
        }
    }
    Node {
        slug: tenant.slug.clone(),
        display_name: tenant.display_name.clone(),
        plan: tenant.plan.clone(),
        ready: tenant.ready,
        reason: list::reason(tenant),
        score: tenant.score,
        problem,
        children,
    }
}

fn text(roots: &[Node]) -> String {
    let mut lines = Vec::new();
    for root in roots {
        draw(root, "", "", &mut lines);
    }
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = lines.iter().map(|(name, rest)| format!("{name:width$}   {rest}")).collect();
    lines.join("\n")
}

fn draw(node: &Node, lead: &str, indent: &str, lines: &mut Vec<(String, String)>) {
    let score = node.score.map_or_else(|| NONE.to_owned(), |score| score.to_string());
    let ready = match (&node.reason, node.ready) {
        (_, true) => "ready".to_owned(),
        (Some(reason), false) => format!("not ready: {reason}"),
        (None, false) => "not taken up yet".to_owned(),
    };
    let problem = node.problem.as_ref().map(|problem| format!("  ({problem})")).unwrap_or_default();
    lines.push((format!("{lead}{}", node.slug), format!("{:10}  score {score:>3}  {ready}{problem}", node.plan)));
    for (index, child) in node.children.iter().enumerate() {
        let is_last = index + 1 == node.children.len();
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(child, &format!("{indent}{branch}"), &format!("{indent}{below}"), lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::tenant::{Tenant, TenantSpec};

    fn tenant(name: &str, parent: Option<&str>) -> View {
        let spec = serde_json::json!({ "displayName": name, "parent": parent });
        let spec: TenantSpec = serde_json::from_value(spec).unwrap();
        View::of(&Tenant::new(name, spec))
    }

    fn shape(nodes: &[Node]) -> String {
        let inner: Vec<String> = nodes.iter().map(|n| format!("{}{}", n.slug, shape(&n.children))).collect();
        if inner.is_empty() { String::new() } else { format!("({})", inner.join(" ")) }
    }

    #[test]
    fn children_stand_below_their_parents() {
        let tenants = [tenant("a", None), tenant("b", Some("a")), tenant("c", Some("b")), tenant("d", Some("a"))];
        let forest = grow(&tenants);
        assert_eq!(shape(&forest), "(a(b(c) d))");
        let drawn = text(&forest);
        let names: Vec<&str> = drawn.lines().map(|line| line.split("   Free").next().unwrap().trim_end()).collect();
        assert_eq!(names, ["a", "├─ b", "│  └─ c", "└─ d"]);
    }

    #[test]
    fn nobody_is_lost_to_a_missing_parent_or_a_circle() {
        let tenants =
            [tenant("a", Some("gone")), tenant("b", Some("c")), tenant("c", Some("b")), tenant("d", Some("c"))];
        let forest = grow(&tenants);
        assert_eq!(shape(&forest), "(a b(c(d)))");
        assert!(forest[0].problem.as_deref().unwrap().contains("gone"));
        assert!(forest[1].problem.as_deref().unwrap().contains("circle"));
    }
}
