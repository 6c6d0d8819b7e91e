//! The migration files, compiled in. A test holds this list against the folder.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// What a migration builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The schema `shared`.
    Platform,
    /// A tenant's schema.
    Tenant,
}

/// One file.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// `YYYYMMDDHHMMSS_<scope>.sql`.
    pub name: &'static str,
    /// Its text.
    pub sql: &'static str,
}

macro_rules! migrations {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(Migration { name: $name, sql: include_str!(concat!("../../../migrations/", $folder, "/", $name)) }),*]
    };
}

const PLATFORM: &[Migration] = migrations!("platform":
    "20261121100000_platform.sql",
    "20261121180000_platform.sql",
    "20261122020000_platform.sql",
    "20261122040000_platform.sql",
    "20261122050000_platform.sql",
    "20261122060000_platform.sql",
    "20261122070000_platform.sql",
    "20261122070100_platform.sql",
    "20261122080000_platform.sql",
);
const TENANT: &[Migration] = migrations!("tenant":
    "20261121100000_tenant.sql",
    "20261122010000_tenant.sql",
    "20261122010100_tenant.sql",
    "20261122020000_tenant.sql",
    "20261122040000_tenant.sql",
    "20261122050000_tenant.sql",
    "20261122060000_tenant.sql",
    "20261122070000_tenant.sql",
    "20261122070100_tenant.sql",
);

impl Scope {
    /// The files, oldest first.
    pub fn files(self) -> &'static [Migration] {
        match self {
            Self::Platform => PLATFORM,
            Self::Tenant => TENANT,
        }
    }

    /// The newest version.
    pub fn head(self) -> &'static str {
        self.files().last().map_or("", Migration::version)
    }
}

impl Migration {
    /// The fourteen digits.
    pub fn version(&self) -> &'static str {
        self.name.split('_').next().unwrap_or(self.name)
    }

    /// SHA-256 of the text, in hexadecimal.
    pub fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.sql.as_bytes()))
    }

    /// Whether its first line is `-- no-transaction`: it only builds indexes, CONCURRENTLY where there is data.
    pub fn is_index_build(&self) -> bool {
        self.sql.lines().next().is_some_and(|line| line.trim() == "-- no-transaction")
    }

    /// The statements of an index build, one each. Such a file holds nothing but `CREATE INDEX name ON …;`.
    pub fn index_statements(&self) -> Result<Vec<IndexBuild>> {
        let text: String = self.sql.lines().filter(|line| !line.trim_start().starts_with("--")).fold(
            String::new(),
            |mut text, line| {
                let _ = writeln!(text, "{line}");
                text
            },
        );
        text.split(';').map(str::trim).filter(|statement| !statement.is_empty()).map(|s| self.index_build(s)).collect()
    }

    fn index_build(&self, statement: &str) -> Result<IndexBuild> {
        let words: Vec<&str> = statement.split_whitespace().collect();
        let (is_unique, rest) = match words.as_slice() {
            ["CREATE", "UNIQUE", "INDEX", rest @ ..] => (true, rest),
            ["CREATE", "INDEX", rest @ ..] => (false, rest),
            _ => return Err(self.bad("write CREATE [UNIQUE] INDEX name ON … only")),
        };
        let (name, definition) = rest.split_first().ok_or_else(|| self.bad("an index has no name"))?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !is_name || definition.first() != Some(&"ON") {
            return Err(self.bad("write CREATE [UNIQUE] INDEX name ON …, without IF NOT EXISTS or CONCURRENTLY"));
        }
        Ok(IndexBuild { is_unique, name: (*name).to_owned(), definition: definition.join(" ") })
    }

    fn bad(&self, reason: &str) -> Error {
        Error::BadMigrations(format!("{}: {reason}", self.name))
    }
}

/// One `CREATE INDEX` of an index build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexBuild {
    is_unique: bool,
    /// The index's name.
    pub name: String,
    definition: String,
}

impl IndexBuild {
    /// The statement; CONCURRENTLY locks nobody out and cannot run in a transaction.
    pub fn statement(&self, is_concurrent: bool) -> String {
        let unique = if self.is_unique { "UNIQUE " } else { "" };
        let concurrently = if is_concurrent { "CONCURRENTLY " } else { "" };
        format!("CREATE {unique}INDEX {concurrently}{} {}", self.name, self.definition)
    }
}

/// Refuses two files of one version, an order that is not rising, and names that are not of the form.
pub fn check(scope: Scope) -> Result<()> {
    let suffix = match scope {
        Scope::Platform => "_platform.sql",
        Scope::Tenant => "_tenant.sql",
    };
    let mut last = "";
    for file in scope.files() {
        let version = file.version();
        if version.len() != 14 || !version.bytes().all(|b| b.is_ascii_digit()) || !file.name.ends_with(suffix) {
            return Err(file.bad(&format!("the name has to be YYYYMMDDHHMMSS{suffix}")));
        }
        if version <= last {
            return Err(file.bad(&format!("its version does not follow {last}: two heads")));
        }
        last = version;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_of_the_folder_is_embedded_and_versions_rise() {
        for (scope, folder) in [(Scope::Platform, "platform"), (Scope::Tenant, "tenant")] {
            check(scope).unwrap();
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(folder);
            let found: BTreeSet<String> =
                path.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            let embedded: BTreeSet<String> = scope.files().iter().map(|file| file.name.to_owned()).collect();
            assert_eq!(found, embedded);
        }
    }

    #[test]
    fn an_index_build_is_taken_apart() {
        let file = Migration {
            name: "20260101000000_tenant.sql",
            sql: "-- no-transaction\nCREATE INDEX a_b ON a (b);\n-- why\nCREATE UNIQUE INDEX a_c\n  ON a (c) WHERE d;\n",
        };
        assert!(file.is_index_build());
        let builds = file.index_statements().unwrap();
        assert_eq!(builds[0].statement(false), "CREATE INDEX a_b ON a (b)");
        assert_eq!(builds[1].statement(true), "CREATE UNIQUE INDEX CONCURRENTLY a_c ON a (c) WHERE d");
        let bad = Migration { name: "x", sql: "-- no-transaction\nDROP TABLE a;" };
        assert!(bad.index_statements().is_err());
    }
}
