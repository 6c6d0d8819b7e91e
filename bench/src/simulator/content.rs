//! What simulated hosts know of the catalog: the versions of their modules and the checks of the one that has some.

use anyhow::Context;
use catalog::Catalog;
use catalog::module::{Check, Module};

use super::host::Subject;

/// The catalog, as far as a simulated host needs it.
#[derive(Debug)]
pub struct Content {
    versions: Vec<(Subject, String)>,
    /// In the module's order.
    pub sshd_checks: Vec<Check>,
}

impl Content {
    /// From the catalog that ships.
    pub fn read() -> anyhow::Result<Self> {
        let catalog = Catalog::embedded()?;
        let module = |subject: Subject| -> anyhow::Result<&Module> {
            let slug = subject.module();
            Ok(&catalog.module(slug, None).with_context(|| format!("the catalog has no {slug}"))?.module)
        };
        let mut versions = Vec::new();
        for subject in Subject::ALL {
            versions.push((subject, module(subject)?.version.to_string()));
        }
        Ok(Self { versions, sshd_checks: module(Subject::Sshd)?.checks.clone() })
    }

    /// The version of the subject's module.
    pub fn version(&self, subject: Subject) -> &str {
        self.versions.iter().find(|(one, _)| *one == subject).map_or("", |(_, version)| version)
    }
}
