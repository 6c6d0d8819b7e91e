//! Modules of somebody's own, in a folder as `tenantra module import` writes it: `modules/<category>/<slug>@<version>.yaml`, and
//! `frameworks/<slug>.yaml` if there are any beside those of this program.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use catalog::Catalog;

/// Most bytes of all files together.
const MAX_BYTES: u64 = 64 << 20;

/// Reads the folder as a catalog.
pub fn catalog(folder: &Path) -> anyhow::Result<Catalog> {
    let mut left = MAX_BYTES;
    let mut modules = Vec::new();
    let place = folder.join("modules");
    let categories = fs::read_dir(&place)
        .with_context(|| format!("cannot read {}: give the folder that holds modules/", place.display()))?;
    for category in categories {
        let category = category?;
        if category.file_type()?.is_dir() {
            let prefix = format!("{}/", category.file_name().to_string_lossy());
            modules.extend(files(&category.path(), &prefix, &mut left)?);
        }
    }
    if modules.is_empty() {
        bail!("{} holds no modules", place.display());
    }
    let own = folder.join("frameworks");
    let frameworks = if own.is_dir() {
        files(&own, "", &mut left)?
    } else {
        // JSON is YAML too.
        let embedded = Catalog::embedded()?;
        let all = embedded
            .frameworks()
            .map(|framework| Ok((format!("{}.yaml", framework.slug), serde_json::to_vec(framework)?)));
        all.collect::<anyhow::Result<Vec<_>>>()?
    };
    Ok(Catalog::load(frameworks, modules)?)
}

/// The YAML files of one folder, by their names behind a prefix.
fn files(folder: &Path, prefix: &str, left: &mut u64) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        if !entry.file_type()?.is_file() || path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let length = entry.metadata()?.len();
        *left = left
            .checked_sub(length)
            .with_context(|| format!("{} and those before it have more than {MAX_BYTES} bytes", path.display()))?;
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push((format!("{prefix}{}", entry.file_name().to_string_lossy()), bytes));
    }
    files.sort();
    Ok(files)
}
