//! `docs/modules/` is written from the modules themselves; `UPDATE_GOLDEN=1` writes it anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use catalog::{Catalog, page};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn pages() -> Result<BTreeMap<String, String>, Box<dyn std::error::Error>> {
    let catalog = Catalog::embedded()?;
    let mut index = String::from("# Modules\n\nGenerated from `catalog/modules`; do not edit.\n\n");
    index.push_str("| module | category | checks | facts | |\n| --- | --- | --- | --- | --- |\n");
    let mut pages = BTreeMap::new();
    for entry in catalog.latest() {
        let module = &entry.module;
        writeln!(
            index,
            "| [{slug}]({slug}.md) | {} | {} | {} | {} |",
            module.category.as_str(),
            module.checks.len(),
            module.collect.len(),
            module.title,
            slug = module.slug,
        )?;
        pages.insert(format!("{}.md", module.slug), page::markdown(module));
    }
    pages.insert("README.md".to_owned(), index);
    Ok(pages)
}

#[test]
fn the_pages_of_modules_are_in_step() -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/modules");
    let pages = pages()?;
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(&folder)?;
        for (name, page) in &pages {
            fs::write(folder.join(name), page)?;
        }
    }
    for (name, page) in &pages {
        let written = fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(&written == page, "docs/modules/{name} is not in step: run the test with UPDATE_GOLDEN=1");
    }
    for file in fs::read_dir(&folder)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        assert!(pages.contains_key(&name), "docs/modules/{name} belongs to no module: remove it");
    }
    Ok(())
}
