//! Manifests from files, and from the options of `create`. A file's documents go to the API server as they are written,
//! so that a misspelt field is refused there.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{} cannot be read ({source}): correct the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no YAML.
    #[error("{} is neither YAML nor JSON: {why}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
    /// It holds nothing.
    #[error("{} holds no manifest: write a Tenant, as in examples/acme.yaml", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds something else.
    #[error("{} holds a {found}; this command takes Tenants only: `kubectl apply -f` takes the others", path.display())]
    OtherKind {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// A tenant without a name.
    #[error("{} holds a Tenant without metadata.name: write its slug there", path.display())]
    Nameless {
        /// The file.
        path: PathBuf,
    },
    /// A Tenant whose fields cannot be read, where the API server was not asked.
    #[error("{} is not a Tenant: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// A manifest of a tenant with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// `metadata.name`.
    pub name: String,
    /// All of it.
    pub document: Value,
}

/// The tenants of a file, in its order; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<Manifest>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(failed)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(failed)?
    };
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<Vec<Manifest>, Error> {
    let path = path.to_owned();
    let documents: Vec<Value> = serde_saphyr::from_multiple(text)
        .map_err(|error| Error::Parse { path: path.clone(), why: error.to_string() })?;
    let mut manifests = Vec::new();
    for document in documents.into_iter().filter(|document| !document.is_null()) {
        let field = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let (group, kind) = (field("/apiVersion").unwrap_or_default(), field("/kind").unwrap_or_default());
        if kind != "Tenant" || !group.starts_with("tenantra.io/") {
            let found =
                if kind.is_empty() { "document without a kind".to_owned() } else { format!("{kind} of {group}") };
            return Err(Error::OtherKind { path, found });
        }
        let Some(name) = field("/metadata/name").filter(|name| !name.is_empty()) else {
            return Err(Error::Nameless { path });
        };
        manifests.push(Manifest { name, document });
    }
    if manifests.is_empty() { Err(Error::Empty { path }) } else { Ok(manifests) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Vec<Manifest>, Error> {
        parse(Path::new("x.yaml"), text)
    }

    const ACME: &str = "apiVersion: tenantra.io/v1alpha1\nkind: Tenant\nmetadata: { name: acme }\n";

    #[test]
    fn a_file_may_hold_several_tenants() {
        let found = parsed(&format!("# head\n---\n{ACME}---\n{}", ACME.replace("acme", "other"))).unwrap();
        let names: Vec<&str> = found.iter().map(|manifest| manifest.name.as_str()).collect();
        assert_eq!(names, ["acme", "other"]);
    }

    #[test]
    fn what_is_no_tenant_is_told_by_name() {
        for (text, told) in [
            ("", "no manifest"),
            ("apiVersion: v1\nkind: Secret\n", "Secret of v1"),
            ("a: b", "without a kind"),
            ("apiVersion: tenantra.io/v1alpha1\nkind: Tenant\n", "metadata.name"),
            ("a: [", "neither YAML nor JSON"),
        ] {
            let error = parsed(text).unwrap_err().to_string();
            assert!(error.starts_with("x.yaml") && error.contains(told), "{error}");
        }
    }
}
