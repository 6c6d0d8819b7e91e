//! The catalog: every module version and framework, found by name. The one that ships is compiled in.

use std::collections::BTreeMap;

use rust_embed::Embed;

use crate::bundle::Bundle;
use crate::framework::Framework;
use crate::load;
use crate::module::Module;
use crate::problem::{Problem, Problems};
use crate::selection;

#[derive(Embed)]
#[folder = "modules"]
struct ModuleFiles;

#[derive(Embed)]
#[folder = "frameworks"]
struct FrameworkFiles;

/// A module version with the digest of its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The module.
    pub module: Module,
    /// SHA-256 of the file's bytes, or of the module that families made of it, in hexadecimal: what makes a released
    /// version immutable.
    pub checksum: String,
    /// `<category>/<slug>@<version>.yaml`, behind `families/<name>.yaml#` if a family made it.
    pub path: String,
}

/// Every module version and framework.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    entries: Vec<Entry>,
    frameworks: BTreeMap<String, Framework>,
}

impl Catalog {
    /// The catalog that ships with this program.
    pub fn embedded() -> Result<Self, Problems> {
        let read = |path: &str, file: Option<rust_embed::EmbeddedFile>| {
            file.map(|file| (path.to_owned(), file.data.into_owned()))
        };
        Self::load(
            FrameworkFiles::iter().filter_map(|path| read(&path, FrameworkFiles::get(&path))),
            ModuleFiles::iter().filter_map(|path| read(&path, ModuleFiles::get(&path))),
        )
    }

    /// A catalog of these files, each with its path below `frameworks/` or `modules/`. Everything that is wrong is reported.
    pub fn load(
        frameworks: impl IntoIterator<Item = (String, Vec<u8>)>,
        modules: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut catalog = Self::default();
        for (path, bytes) in frameworks {
            match load::framework(&path, &bytes) {
                Ok(framework) => {
                    if let Some(other) = catalog.frameworks.insert(framework.slug.clone(), framework) {
                        problems.push(Problem {
                            file: path,
                            field: "slug".to_owned(),
                            wrong: format!("{} is in another file too", other.slug),
                            advice: "leave one of them".to_owned(),
                        });
                    }
                }
                Err(Problems(found)) => problems.extend(found),
            }
        }
        let controls = load::controls(catalog.frameworks.values());
        let files: Vec<(String, Vec<u8>)> = modules.into_iter().collect();
        let (entries, found) = load::modules(&files, &controls);
        catalog.entries = entries;
        problems.extend(found);
        catalog.entries.sort_by(|a, b| (&a.module.slug, &a.module.version).cmp(&(&b.module.slug, &b.module.version)));
        for pair in catalog.entries.windows(2) {
            if pair[0].module.reference() == pair[1].module.reference() {
                problems.push(Problem {
                    file: pair[1].path.clone(),
                    field: "version".to_owned(),
                    wrong: format!("{} is already in {}", pair[1].module.reference(), pair[0].path),
                    advice: "give it another version".to_owned(),
                });
            }
        }
        if problems.is_empty() { Ok(catalog) } else { Err(Problems(problems)) }
    }

    /// Every module version, by slug, then version.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The newest version of every module, by slug.
    pub fn latest(&self) -> impl Iterator<Item = &Entry> {
        self.entries.chunk_by(|a, b| a.module.slug == b.module.slug).filter_map(<[Entry]>::last)
    }

    /// A module by slug, in this version or the newest.
    pub fn module(&self, slug: &str, version: Option<&str>) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| {
            entry.module.slug == slug && version.is_none_or(|version| entry.module.version.to_string() == version)
        })
    }

    /// The newest version of every module that is enabled, see [`selection::is_enabled`].
    pub fn enabled<'a>(&'a self, enable: &'a [String], disable: &'a [String]) -> impl Iterator<Item = &'a Entry> {
        self.latest().filter(move |entry| selection::is_enabled(&entry.module, enable, disable))
    }

    /// Every framework, by slug.
    pub fn frameworks(&self) -> impl Iterator<Item = &Framework> {
        self.frameworks.values()
    }

    /// The framework with this slug.
    pub fn framework(&self, slug: &str) -> Option<&Framework> {
        self.frameworks.get(slug)
    }

    /// Every module version, as agents get them.
    pub fn bundle(&self) -> Bundle {
        Bundle::of(self.entries.iter().map(|entry| &entry.module))
    }
}
