//! Why a provisioner failed, and the one function that turns it into what people see: reason, message, and whether
//! waiting helps or a person must act.

use store::Error as StoreError;

use crate::runtime::gate::System;
use crate::runtime::lead::NotLeading;
use crate::systems::{kubernetes, openbao};

/// An error of a provisioner.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server.
    #[error(transparent)]
    Kubernetes(#[from] kubernetes::Error),
    /// Postgres.
    #[error(transparent)]
    Postgres(#[from] StoreError),
    /// OpenBao.
    #[error(transparent)]
    OpenBao(#[from] openbao::Error),
    /// The lead is gone.
    #[error(transparent)]
    NotLeading(#[from] NotLeading),
    /// A path in OpenBao is somebody else's.
    #[error("{path} in OpenBao exists and is not this tenant's ({mark}); move it away, or choose another slug")]
    PathTaken {
        /// The path.
        path: String,
        /// What it carries.
        mark: String,
    },
    /// A namespace is on its way out and cannot be used until it is gone.
    #[error("{0} is being deleted; it is made anew when it is gone")]
    Leaving(String),
    /// The work took longer than it may.
    #[error("{} did not finish within {} s", system.name(), system.limit().as_secs())]
    TimedOut {
        /// Where.
        system: System,
    },
    /// The breaker of the system is open.
    #[error("{} does not answer; it is asked again by itself", system.name())]
    Resting {
        /// Which.
        system: System,
    },
}

/// Whether waiting helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The system gave no answer: it counts for its breaker, and Ready survives it for a while.
    Silent,
    /// It answered, and may answer better later.
    Transient,
    /// Only a person can change it.
    Stalled,
}

/// What people see of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The condition's reason.
    pub reason: String,
    /// The condition's message.
    pub message: String,
    /// Whether waiting helps.
    pub class: Class,
}

impl Error {
    /// What people see of it.
    pub fn report(&self) -> Report {
        let (reason, class) = match self {
            Self::Kubernetes(kubernetes::Error::Taken { .. }) => ("NamespaceTaken", Class::Stalled),
            Self::Kubernetes(kubernetes::Error::TimedOut { .. }) => ("KubernetesUnavailable", Class::Silent),
            Self::Kubernetes(kubernetes::Error::Refused { .. }) if self.is_unreachable() => {
                ("KubernetesUnavailable", Class::Silent)
            }
            Self::Kubernetes(kubernetes::Error::Refused { .. } | kubernetes::Error::Manifest { .. }) => {
                ("KubernetesRefused", Class::Transient)
            }
            Self::Kubernetes(kubernetes::Error::NotLeading(_))
            | Self::OpenBao(openbao::Error::NotLeading(_))
            | Self::NotLeading(_)
            | Self::Postgres(StoreError::Deposed { .. }) => ("NotLeading", Class::Transient),
            Self::Postgres(StoreError::SchemaTaken { .. } | StoreError::RoleTaken { .. }) => {
                ("SchemaTaken", Class::Stalled)
            }
            Self::Postgres(StoreError::SlugRetained { .. } | StoreError::BeingPurged) => {
                ("SlugRetained", Class::Stalled)
            }
            Self::Postgres(StoreError::Unavailable(_) | StoreError::TimedOut { .. }) => {
                ("PostgresUnavailable", Class::Silent)
            }
            Self::Postgres(StoreError::Migration { .. }) => ("MigrationFailed", Class::Transient),
            Self::Postgres(StoreError::ChangedMigration { .. }) => ("MigrationChanged", Class::Stalled),
            Self::Postgres(StoreError::UnknownMigration { .. }) => ("SchemaNewer", Class::Stalled),
            Self::Postgres(StoreError::Busy(_)) => ("MigrationRunning", Class::Transient),
            Self::Postgres(_) => ("PostgresRefused", Class::Transient),
            Self::OpenBao(openbao::Error::Silent { .. }) => ("OpenBaoUnavailable", Class::Silent),
            Self::OpenBao(_) => ("OpenBaoRefused", Class::Transient),
            Self::PathTaken { .. } => ("PathTaken", Class::Stalled),
            Self::Leaving(_) => ("Terminating", Class::Transient),
            Self::TimedOut { system } | Self::Resting { system } => (unavailable(*system), Class::Silent),
        };
        Report { reason: reason.to_owned(), message: self.to_string(), class }
    }

    /// Whether the request never came to an answer of the API server.
    fn is_unreachable(&self) -> bool {
        match self {
            Self::Kubernetes(error) => error.code().is_none_or(|code| code >= 500 || code == 429),
            _ => false,
        }
    }
}

fn unavailable(system: System) -> &'static str {
    match system {
        System::Kubernetes => "KubernetesUnavailable",
        System::Postgres => "PostgresUnavailable",
        System::OpenBao => "OpenBaoUnavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_stalls_and_silence_does_not() {
        let taken = Error::PathTaken { path: "secret/metadata/tenants/acme".into(), mark: "no mark".into() };
        assert_eq!(taken.report().class, Class::Stalled);
        let resting = Error::Resting { system: System::OpenBao };
        assert_eq!((resting.report().reason.as_str(), resting.report().class), ("OpenBaoUnavailable", Class::Silent));
        let schema = Error::Postgres(StoreError::SchemaTaken { schema: "tenant_acme".into(), mark: None });
        assert_eq!((schema.report().reason.as_str(), schema.report().class), ("SchemaTaken", Class::Stalled));
    }
}
