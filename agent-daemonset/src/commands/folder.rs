//! Modules of somebody's own, in a folder as `tenantra module import` writes it: `modules/<category>/<slug>@<version>.yaml`, and
//! `frameworks/<slug>.yaml` if there are any beside those of this program. What looks like one of these and is not read ends
//! the scan: a module that is left out without a word would be taken for one that passes.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use catalog::Catalog;

/// Most bytes of all files together.
const MAX_BYTES: u64 = 64 << 20;
/// Files that are named in one error.
const MAX_NAMED: usize = 10;

/// Reads the folder as a catalog.
pub fn catalog(folder: &Path) -> anyhow::Result<Catalog> {
    let mut found = Found::default();
    let place = folder.join("modules");
    let categories = fs::read_dir(&place)
        .with_context(|| format!("cannot read {}: give the folder that holds modules/", place.display()))?;
    for category in categories {
        let category = category?;
        if category.file_type()?.is_dir() {
            let prefix = format!("{}/", category.file_name().to_string_lossy());
            found.read(&category.path(), &prefix)?;
        } else {
            found.pass_over(&category)?;
        }
    }
    let modules = std::mem::take(&mut found.files);
    let own = folder.join("frameworks");
    let has_own = own.is_dir();
    if has_own {
        found.read(&own, "")?;
    }
    found.refuse_unread()?;
    if modules.is_empty() {
        bail!("{} holds no modules", place.display());
    }
    let frameworks = if has_own {
        found.files
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

/// What is in the folders that were looked into.
#[derive(Default)]
struct Found {
    /// Names, behind the prefix of their folder, and bytes.
    files: Vec<(String, Vec<u8>)>,
    size_bytes: u64,
    /// What looks as if it were meant, and is not read.
    unread: Vec<String>,
}

impl Found {
    /// Reads the YAML files of one folder.
    fn read(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let path = entry.path();
            if !entry.file_type()?.is_file() || path.extension().is_none_or(|extension| extension != "yaml") {
                self.pass_over(&entry)?;
                continue;
            }
            self.size_bytes += entry.metadata()?.len();
            if self.size_bytes > MAX_BYTES {
                bail!("{} and those before it have more than {MAX_BYTES} bytes", path.display());
            }
            let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            files.push((format!("{prefix}{}", entry.file_name().to_string_lossy()), bytes));
        }
        files.sort();
        self.files.extend(files);
        Ok(())
    }

    /// Leaves out what is no module; keeps the name of what looks like one: a folder, a link to one, a name of YAML.
    fn pass_over(&mut self, entry: &fs::DirEntry) -> anyhow::Result<()> {
        let path = entry.path();
        let ends_in = |wanted: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted));
        if entry.file_type()?.is_dir() || path.is_dir() || ends_in("yaml") || ends_in("yml") {
            self.unread.push(path.display().to_string());
        }
        Ok(())
    }

    fn refuse_unread(&mut self) -> anyhow::Result<()> {
        if self.unread.is_empty() {
            return Ok(());
        }
        self.unread.sort();
        let more = self.unread.len().saturating_sub(MAX_NAMED);
        self.unread.truncate(MAX_NAMED);
        let named = self.unread.join(", ");
        let and_more = if more == 0 { String::new() } else { format!(" and {more} more") };
        bail!(
            "{named}{and_more}: not read; a module is a plain file, \
             modules/<category>/<slug>@<version>.yaml, and a framework is frameworks/<slug>.yaml"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_module_and_is_not_read_ends_the_scan() {
        for name in ["identity/a@1.0.0.yml", "identity/a@1.0.0.YAML", "identity/deep/a@1.0.0.yaml", "a@1.0.0.yaml"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("modules").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            let error = catalog(folder.path()).unwrap_err().to_string();
            assert!(error.contains("not read") && error.contains("modules/"), "{name}: {error}");
        }
    }

    #[test]
    fn a_link_to_a_module_ends_the_scan() {
        let folder = tempfile::tempdir().unwrap();
        let category = folder.path().join("modules/identity");
        fs::create_dir_all(&category).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", category.join("a@1.0.0.yaml")).unwrap();
        let error = catalog(folder.path()).unwrap_err().to_string();
        assert!(error.contains("identity/a@1.0.0.yaml: not read"), "{error}");
    }

    #[test]
    fn other_files_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let category = folder.path().join("modules/identity");
        fs::create_dir_all(&category).unwrap();
        fs::write(category.join("README.md"), "x").unwrap();
        let error = catalog(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("holds no modules"), "{error}");
    }
}
