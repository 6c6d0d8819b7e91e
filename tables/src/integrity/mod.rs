//! Integrity of file trees: what a tree holds is written down once, and compared with what it holds later.
//!
//! The walk and the record of the last one ([`baseline`]) are in the same order, so that they are compared as they are
//! read: memory does not grow with the tree. A file whose inode, size, ctime and mtime are as they were is not read
//! again.
//!
//! ```no_run
//! use tables::integrity::{Survey, compare};
//! let survey = Survey::of(["/usr", "/etc"]);
//! let mut record = Vec::new();
//! let first = compare(std::path::Path::new("/"), &survey, None, Some(&mut record), |_| {})?;
//! let second = compare(std::path::Path::new("/"), &survey, Some(&mut record.as_slice()), None, |change| {
//!     println!("{} {}", change.kind.as_str(), change.path_text());
//! })?;
//! # Ok::<(), tables::integrity::Error>(())
//! ```

pub mod baseline;
mod change;
mod compare;
mod digests;
mod kept;
mod order;
mod walk;

use std::path::PathBuf;
use std::time::Duration;

pub use baseline::{Content, Digest, Kind, Made, Record};
pub use change::{Change, ChangeKind, Field};
pub use compare::{Summary, compare};
pub use kept::{BaselineFile, Differences, Kept};

/// What is surveyed, and how.
#[derive(Debug, Clone)]
pub struct Survey {
    /// Files and folders, absolute; one below another is part of it. Links are not followed: one that is named here and
    /// points to what is not is told as a gap.
    pub paths: Vec<String>,
    /// Paths left out with all that is below them: `*`, `?` and `[…]` within a name, `**` for any number of folders.
    pub excludes: Vec<String>,
    /// How the content is digested.
    pub digest: Digest,
    /// Whether files are read again that seem to be as they were. Who is root can set a clock and with it a ctime.
    pub reads_all: bool,
    /// What it may take.
    pub limits: Limits,
}

impl Survey {
    /// A survey of these paths with SHA-256.
    pub fn of<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            excludes: Vec::new(),
            digest: Digest::Sha256,
            reads_all: false,
            limits: Limits::default(),
        }
    }
}

/// The limits of a survey. What lies beyond one is counted and named, and the survey says that it is not whole.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Wall time; at its end the survey ends with [`Error::OverTime`].
    pub time: Duration,
    /// Entries; beyond it the survey ends with [`Error::OverEntries`].
    pub entries: u64,
    /// Bytes of a file; of a larger one only the metadata is compared.
    pub file_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_mins(20), entries: 20_000_000, file_bytes: 4 << 30 }
    }
}

/// Why a survey has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The root is not there or may not be read.
    #[error("cannot survey {path}: {source}", path = .path.display())]
    Root {
        /// The root.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A path to survey that is not absolute, or goes up.
    #[error("{0} is not an absolute path without `..`; write it from the root, such as /etc")]
    Path(String),
    /// Nothing to survey.
    #[error("no path is named; name at least one, such as /etc")]
    NoPath,
    /// An exclude that is not absolute.
    #[error("the exclude {0:?} does not begin with `/` or `**`; write /var/cache or **/*.pyc")]
    Exclude(String),
    /// The baseline is none, is damaged or is cut off.
    #[error("the baseline cannot be used: {0}; make a new one")]
    Baseline(String),
    /// The baseline was made of other paths, excludes or digests.
    #[error(
        "the baseline was made of {made}, asked is {asked}; compare with the same paths, excludes and digest, or make a \
         new one"
    )]
    Other {
        /// What the baseline says of itself.
        made: String,
        /// What is asked for.
        asked: String,
    },
    /// It took too long.
    #[error("the survey was ended after {} s; survey fewer paths, exclude some, or raise the limit", .0.as_secs())]
    OverTime(Duration),
    /// There is too much.
    #[error("there are more than {0} entries; survey fewer paths, exclude some, or raise the limit")]
    OverEntries(u64),
    /// Reading or writing the baseline failed.
    #[error("cannot read or write the baseline: {0}")]
    Io(#[from] std::io::Error),
}

/// Something of which the survey does not know all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Where.
    pub path: String,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests;
