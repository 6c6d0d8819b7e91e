//! Settings from environment variables. A secret `X` may lie in a file that `X_FILE` names; it never comes as an argument,
//! because everybody on the machine can read those.

use std::env::VarError;
use std::io;
use std::path::PathBuf;

use secrecy::SecretString;

/// What is wrong with a variable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither it nor its file is set.
    #[error("{name} is not set: give {what} in {name}, or in a file that {name}_FILE names")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it holds.
        what: &'static str,
    },
    /// Both are set.
    #[error("{name} and {name}_FILE are both set: unset one of them")]
    Twice {
        /// The variable.
        name: &'static str,
    },
    /// Its file cannot be read.
    #[error("{name}_FILE names {}, which cannot be read ({source}): correct the path, or set {name}", path.display())]
    File {
        /// The variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its file holds nothing.
    #[error("{name}_FILE names {}, which is empty: write the value into it, or set {name}", path.display())]
    Empty {
        /// The variable.
        name: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// It is no text.
    #[error("{name} holds bytes that are not UTF-8: set it again")]
    NotText {
        /// The variable.
        name: &'static str,
    },
}

/// The variable's value; an empty one counts as not set.
pub fn text(name: &'static str) -> Result<Option<String>, Error> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::NotText { name }),
    }
}

/// The secret in `name`, or in the file that `name_FILE` names, without its line end.
pub fn secret(name: &'static str) -> Result<Option<SecretString>, Error> {
    let path = std::env::var_os(format!("{name}_FILE")).filter(|path| !path.is_empty()).map(PathBuf::from);
    match (text(name)?, path) {
        (Some(_), Some(_)) => Err(Error::Twice { name }),
        (Some(value), None) => Ok(Some(value.trim().into())),
        (None, None) => Ok(None),
        (None, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(value) if value.trim().is_empty() => Err(Error::Empty { name, path }),
            Ok(value) => Ok(Some(value.trim().into())),
            Err(source) => Err(Error::File { name, path, source }),
        },
    }
}

/// The secret, which has to be there; `what` names what it holds.
pub fn required_secret(name: &'static str, what: &'static str) -> Result<SecretString, Error> {
    secret(name)?.ok_or(Error::Missing { name, what })
}
