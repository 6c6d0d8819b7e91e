//! `tenantra module list --summary`: what the catalog covers, counted.

use std::collections::{BTreeMap, BTreeSet};

use catalog::Catalog;
use serde::Serialize;
use tables::Engine;

use crate::output::{cell, grid, rendered};

/// The counts.
#[derive(Debug, Serialize)]
pub struct Summary {
    tables: usize,
    modules: usize,
    versions: usize,
    checks: usize,
    collections: usize,
    fixtures: usize,
    categories: BTreeMap<&'static str, Count>,
    frameworks: Vec<Coverage>,
}

#[derive(Debug, Default, Serialize)]
struct Count {
    modules: usize,
    checks: usize,
}

/// How much of a framework has a check.
#[derive(Debug, Serialize)]
struct Coverage {
    framework: String,
    title: String,
    controls: usize,
    /// Of these, with at least one check.
    covered: usize,
    /// Checks that map to it.
    checks: usize,
}

impl Summary {
    /// Counts the newest version of every module.
    pub fn of(catalog: &Catalog) -> Self {
        let modules: Vec<_> = catalog.latest().map(|entry| &entry.module).collect();
        let checks: Vec<_> = modules.iter().flat_map(|module| &module.checks).collect();
        let mut categories: BTreeMap<&'static str, Count> = BTreeMap::new();
        for module in &modules {
            let count = categories.entry(module.category.as_str()).or_default();
            count.modules += 1;
            count.checks += module.checks.len();
        }
        let frameworks = catalog
            .frameworks()
            .map(|framework| {
                let mapped: Vec<&Vec<String>> =
                    checks.iter().filter_map(|check| check.controls.get(&framework.slug)).collect();
                let covered: BTreeSet<&String> = mapped.iter().copied().flatten().collect();
                Coverage {
                    framework: framework.slug.clone(),
                    title: framework.title.clone(),
                    controls: framework.controls.len(),
                    covered: framework.controls.iter().filter(|control| covered.contains(&control.id)).count(),
                    checks: mapped.len(),
                }
            })
            .collect();
        Self {
            tables: Engine::tables().len(),
            modules: modules.len(),
            versions: catalog.entries().len(),
            checks: checks.len(),
            collections: modules.iter().map(|module| module.collect.len()).sum(),
            fixtures: modules.iter().map(|module| module.tests.len()).sum(),
            categories,
            frameworks,
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let Self { tables, modules, versions, checks, collections, fixtures, categories, frameworks } = self;
        let mut counts = grid(&["WHAT", "NUMBER"]);
        for (what, number) in [
            ("tables", tables),
            ("modules", modules),
            ("module versions", versions),
            ("checks", checks),
            ("collections", collections),
            ("fixtures", fixtures),
        ] {
            counts.add_row(vec![cell(what), cell(number)]);
        }
        let mut by_category = grid(&["CATEGORY", "MODULES", "CHECKS"]);
        for (category, count) in categories {
            by_category.add_row(vec![cell(category), cell(count.modules), cell(count.checks)]);
        }
        let mut by_framework = grid(&["FRAMEWORK", "CONTROLS", "COVERED", "SHARE", "CHECKS"]);
        for Coverage { framework, title: _, controls, covered, checks } in frameworks {
            let share = covered * 100 / (*controls).max(1);
            by_framework.add_row(vec![
                cell(framework),
                cell(controls),
                cell(covered),
                cell(format!("{share} %")),
                cell(checks),
            ]);
        }
        [counts, by_category, by_framework].iter().map(rendered).collect::<Vec<_>>().join("\n\n")
    }
}
