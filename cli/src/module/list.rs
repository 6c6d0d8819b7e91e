//! `tenantra module list`: the modules of a catalog, or what it covers, counted.

use std::path::PathBuf;

use catalog::module::Module;
use catalog::{Catalog, Entry};
use clap::Args;
use serde::Serialize;

use super::summary::Summary;
use super::{source, stored};
use crate::outcome::{Error, Outcome};
use crate::output::{Format, cell, counted, grid, rendered};

/// `tenantra module list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only modules of this category
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Only modules with a check for this framework
    #[arg(long, value_name = "SLUG")]
    framework: Option<String>,
    /// Every version, not only the newest
    #[arg(long)]
    all_versions: bool,
    /// Only count: tables, modules, checks, and the controls of each framework that a check covers
    #[arg(long, conflicts_with_all = ["category", "framework", "all_versions"])]
    summary: bool,
    /// List the modules of this folder, which holds modules/ and frameworks/, instead of those in this program
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    /// List every version that the database has, with its state and sunset
    #[arg(long, conflicts_with_all = ["framework", "all_versions", "summary", "dir"])]
    database: bool,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    slug: &'a str,
    version: String,
    title: &'a str,
    category: &'static str,
    profile: &'static str,
    /// All of them, or with --framework those that map to it.
    checks: usize,
    collects: usize,
    checksum: &'a str,
}

/// Runs it.
pub async fn run(arguments: &List, format: Format) -> Result<Outcome, Error> {
    if arguments.database {
        return stored::run(arguments.category.as_deref(), format).await;
    }
    let catalog = source::open(arguments.dir.as_deref())?;
    if arguments.summary {
        let summary = Summary::of(&catalog);
        format.print(&summary, || summary.text())?;
        return Ok(Outcome::Done);
    }
    check_filters(&catalog, arguments)?;
    let entries: Vec<&Entry> =
        if arguments.all_versions { catalog.entries().iter().collect() } else { catalog.latest().collect() };
    let lines: Vec<Line<'_>> = entries
        .into_iter()
        .filter(|entry| arguments.category.as_ref().is_none_or(|name| entry.module.category.as_str() == name))
        .map(|entry| line(entry, arguments.framework.as_deref()))
        .filter(|line| arguments.framework.is_none() || line.checks > 0)
        .collect();
    format.print(&lines, || text(&lines))?;
    Ok(Outcome::Done)
}

/// A filter that names nothing is a mistake, not an empty answer.
fn check_filters(catalog: &Catalog, arguments: &List) -> Result<(), Error> {
    if let Some(name) = &arguments.category {
        let mut known: Vec<&str> = catalog.latest().map(|entry| entry.module.category.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        if !known.contains(&name.as_str()) {
            let known = known.join(", ");
            return Err(source::Error::UnknownFilter { kind: "category", name: name.clone(), known }.into());
        }
    }
    if let Some(name) = &arguments.framework
        && catalog.framework(name).is_none()
    {
        let known: Vec<&str> = catalog.frameworks().map(|framework| framework.slug.as_str()).collect();
        let known = known.join(", ");
        return Err(source::Error::UnknownFilter { kind: "framework", name: name.clone(), known }.into());
    }
    Ok(())
}

fn line<'a>(entry: &'a Entry, framework: Option<&str>) -> Line<'a> {
    let Module { slug, version, title, category, profile, checks, collect, .. } = &entry.module;
    let checks = checks.iter().filter(|check| framework.is_none_or(|name| check.controls.contains_key(name))).count();
    Line {
        slug,
        version: version.to_string(),
        title,
        category: category.as_str(),
        profile: profile.as_str(),
        checks,
        collects: collect.len(),
        checksum: &entry.checksum,
    }
}

fn text(lines: &[Line<'_>]) -> String {
    if lines.is_empty() {
        return "No module matches.".to_owned();
    }
    let mut table = grid(&["MODULE", "VERSION", "CATEGORY", "PROFILE", "CHECKS", "COLLECTS", "TITLE"]);
    for Line { slug, version, title, category, profile, checks, collects, checksum: _ } in lines {
        table.add_row(vec![
            cell(slug),
            cell(version),
            cell(category),
            cell(profile),
            cell(checks),
            cell(collects),
            cell(title),
        ]);
    }
    let checks: usize = lines.iter().map(|line| line.checks).sum();
    format!("{}\n\n{}, {}", rendered(&table), counted(lines.len(), "module"), counted(checks, "check"))
}
