//! What can go wrong between us and Postgres, each a sentence that says what to do. One enum for the crate: callers map
//! it once, the operator to a condition, the API to a status.

use catalog::lifecycle::State;
use uuid::Uuid;

/// An error of the crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Postgres refused a statement, or the answer was not what the query promises.
    #[error("Postgres refused a statement: {0}")]
    Database(#[source] sqlx::Error),
    /// Postgres cannot be reached or did not answer in time. Trying again later is right.
    #[error("Postgres is not reachable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A call took longer than its time limit.
    #[error("Postgres did not answer within {seconds} s ({what})")]
    TimedOut {
        /// What was under way.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// The connection string is not one.
    #[error("the database URL is not valid: {0}; write postgres://user:password@host:5432/database")]
    Url(#[source] sqlx::Error),
    /// A name that no tenant can have.
    #[error(
        "'{value}' is not a tenant's slug: write 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
    )]
    Slug {
        /// What was given.
        value: String,
    },
    /// The tenant is not known, or purged.
    #[error("there is no tenant '{0}'")]
    UnknownTenant(String),
    /// The slug belongs to a tenant that was offboarded and whose data is kept.
    ///
    /// Without its id on purpose: that is what an adoption has to prove, and whoever may write a manifest reads this.
    #[error(
        "the slug '{slug}' belongs to an offboarded tenant whose data is kept; choose another, or continue that tenant with the annotation tenantra.io/adopt and its id, which the platform's administrators find in shared.tenants"
    )]
    SlugRetained {
        /// The slug.
        slug: String,
    },
    /// The tenant's data is being removed; when that is done, its slug is free.
    #[error("the tenant of that slug is being purged; its slug is free when that is done")]
    BeingPurged,
    /// A schema of that name exists and does not carry our mark for this tenant. It is never adopted.
    #[error("the schema {schema} exists and is not ours ({}); move it away, or choose another slug", mark.as_deref().unwrap_or("no mark"))]
    SchemaTaken {
        /// The schema.
        schema: String,
        /// The comment it carries.
        mark: Option<String>,
    },
    /// A role of that name exists and does not carry our mark for this tenant.
    #[error("the role {role} exists and is not ours ({}); drop it, or choose another slug", mark.as_deref().unwrap_or("no mark"))]
    RoleTaken {
        /// The role.
        role: String,
        /// The comment it carries.
        mark: Option<String>,
    },
    /// Another leader has taken over since; nothing was written.
    #[error("refused: epoch {mine} was deposed by epoch {stored}")]
    Deposed {
        /// The caller's epoch.
        mine: i64,
        /// The greater one that is stored.
        stored: i64,
    },
    /// Somebody else works on the same schema just now. Trying again later is right.
    #[error("another process is migrating {0} just now")]
    Busy(String),
    /// A migration file was changed after it had been applied.
    #[error(
        "the migration {version} of {schema} was applied with another content; a released file is never edited, add a new one"
    )]
    ChangedMigration {
        /// The schema.
        schema: String,
        /// The file's version.
        version: String,
    },
    /// The database is ahead of this program.
    #[error("{schema} has the migration {version}, which this program does not know; use a newer one")]
    UnknownMigration {
        /// The schema.
        schema: String,
        /// The version found.
        version: String,
    },
    /// A migration failed and was rolled back.
    #[error("the migration {version} of {schema} failed: {source}")]
    Migration {
        /// The schema.
        schema: String,
        /// The file's version.
        version: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The embedded migrations contradict each other.
    #[error("the embedded migrations are wrong: {0}")]
    BadMigrations(String),
    /// A released version of a module or framework was given other content.
    #[error("{slug} {version} is released with another content; a released version is immutable, raise the version")]
    ReleasedChanged {
        /// The module or framework.
        slug: String,
        /// Its version.
        version: String,
    },
    /// A step that the version's state does not allow.
    #[error("{slug} {version} is {state}; this needs one that is {needed}")]
    WrongState {
        /// The module.
        slug: String,
        /// Its version.
        version: String,
        /// Where it stands.
        state: State,
        /// Where it would have to stand.
        needed: &'static str,
    },
    /// No quality gates are on record for the content of a version, or not all were passed.
    #[error(
        "{slug} {version} has no passed quality gates on record for its content; run `tenantra module promote {slug}@{version} --to qa`"
    )]
    NoGates {
        /// The module.
        slug: String,
        /// Its version.
        version: String,
    },
    /// A job names a module version that may not run: the database's own sentence.
    #[error("{0}")]
    NotSchedulable(String),
    /// The result names a module version that was never released here.
    #[error(
        "the module {module} {version} is not in the catalog of this installation; run `tenantra db migrate`, or update the agent's bundle"
    )]
    UnknownModule {
        /// The module.
        module: String,
        /// Its version.
        version: String,
    },
    /// A result that contradicts itself or the catalog.
    #[error("the result of run {run_id} is not valid: {reason}")]
    InvalidResult {
        /// The run.
        run_id: Uuid,
        /// What is wrong.
        reason: String,
    },
    /// The facts were sent against another snapshot than the one stored. The agent sends the whole.
    #[error("the facts build on snapshot {got}, stored is {stored}; send the whole with base null", got = base.as_deref().unwrap_or("none"), stored = stored.as_deref().unwrap_or("none"))]
    SnapshotMismatch {
        /// What the agent built on.
        base: Option<String>,
        /// What is stored.
        stored: Option<String>,
    },
    /// A row with the same unique value exists.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// An enrolment token was to continue what a node of the cluster enrolled.
    #[error(
        "this host is enrolled as a node of the cluster, and an enrolment token cannot continue it; remove the node's agent first if the host has left the cluster"
    )]
    NodeOfCluster,
    /// The row is not there (or belongs to another tenant, which is the same to the caller).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Computing that was given to a thread of its own did not come to its end.
    #[error("what was read could not be worked on: {0}")]
    Task(#[source] tokio::task::JoinError),
    /// An argument that the function cannot work with.
    #[error("{0}")]
    Invalid(String),
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether the connection was lost that a statement was sent on, as all are by a restart of Postgres.
    pub(crate) fn is_lost_connection(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Io(_) | sqlx::Error::Database(_)))
    }

    /// Whether trying the same again later can succeed without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::TimedOut { .. } | Self::Busy(_) => true,
            Self::Database(source) | Self::Migration { source, .. } => is_retryable(source),
            _ => false,
        }
    }
}

impl Error {
    /// Whether Postgres refused a value itself (SQLSTATE class 22), as it does U+0000 in a text: the same again is refused
    /// again, and the fault is with whoever sent it.
    pub fn is_bad_value(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(refused)) if refused.code().is_some_and(|code| code.starts_with("22")))
    }

    /// Whether a text had U+0000, which neither `text` (22021) nor `jsonb` (22P05) can hold.
    pub fn is_unstorable_text(&self) -> bool {
        matches!(
            self,
            Self::Database(sqlx::Error::Database(refused)) if matches!(refused.code().as_deref(), Some("22021" | "22P05"))
        )
    }
}

impl From<sqlx::Error> for Error {
    fn from(source: sqlx::Error) -> Self {
        match source {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(source),
            sqlx::Error::Database(ref refused) if is_shutdown(refused.code().as_deref()) => Self::Unavailable(source),
            other => Self::Database(other),
        }
    }
}

/// Class 57P (operator intervention) and 08 (connection): the server goes away or comes up.
fn is_shutdown(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.starts_with("57P") || code.starts_with("08") || code == "53300")
}

/// Serialisation failure, deadlock, lock or statement time-out.
fn is_retryable(source: &sqlx::Error) -> bool {
    let code = source.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40001" | "40P01" | "55P03" | "57014")) || is_shutdown(code.as_deref())
}

/// Whether a statement failed because the unique constraint or index `name` has that value already.
pub(crate) fn is_duplicate(source: &sqlx::Error, name: &str) -> bool {
    source.as_database_error().is_some_and(|e| e.code().as_deref() == Some("23505") && e.constraint() == Some(name))
}
