//! What a command ends with: the exit status, and the sentence that goes with one that is not 0.

use std::io;
use std::process::ExitCode;

use crate::db::postgres;
use crate::module::source;
use crate::settings;
use crate::tenant::{cluster, diff, manifest};

/// Documented at the end of every `--help`.
pub const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  it ran, and something is not as it should be: a migration or a test failed, there are differences,
     a tenant is not there or did not become Ready in time
  2  wrong usage or configuration; the message says what to change
  3  Postgres, Kubernetes or OpenBao did not answer, or refused";

/// How a command that ran to its end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be.
    Done,
    /// Something is not; the output says what.
    Differs,
}

impl Outcome {
    /// [`Outcome::Differs`] if `differs`.
    pub fn differs_if(differs: bool) -> Self {
        if differs { Self::Differs } else { Self::Done }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Done => 0,
            Outcome::Differs => 1,
        })
    }
}

/// Why a command could not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An environment variable, or the file it names.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// Kubernetes.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// A manifest.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// The plan of a tenant.
    #[error(transparent)]
    Plan(#[from] diff::Error),
    /// Modules.
    #[error(transparent)]
    Modules(#[from] source::Error),
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// What was asked for was not done, on purpose.
    #[error("{0}")]
    NotDone(String),
    /// A person pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// The output cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// The output is no JSON: a bug.
    #[error("the output cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The output is no YAML: a bug.
    #[error("the output cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

impl Error {
    /// What the program ends with.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::NotDone(_) => 1,
            Self::Settings(_) | Self::Manifest(_) | Self::Modules(_) | Self::Usage(_) => 2,
            Self::Postgres(error) => {
                if error.is_configuration() {
                    2
                } else {
                    3
                }
            }
            Self::Cluster(error) => error.exit_status(),
            Self::Plan(error) => error.exit_status(),
            Self::Output(_) | Self::Json(_) | Self::Yaml(_) => 3,
            Self::Interrupted => 130,
        }
    }

    /// Whether the reader of the output went away.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
