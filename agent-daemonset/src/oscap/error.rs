//! Why the host's scanner gave no verdicts, each in a sentence that says what to do.

use std::io;
use std::path::PathBuf;

use catalog::envelope::RunStatus;

use crate::sandbox;

/// Why there are no verdicts.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent is in a container.
    #[error(
        "the host's scanner runs where the agent runs on the host itself; this one sees the host at {0}, from a container"
    )]
    Container(PathBuf),
    /// An image is scanned.
    #[error("the host's scanner looks at the running host only, not at an image or disk such as {0}")]
    Image(PathBuf),
    /// It could write anywhere.
    #[error("this kernel has no landlock (Linux 5.13 or later), without which the host's scanner is not started")]
    NoLandlock,
    /// It is not installed.
    #[error("oscap is in none of {0}; install OpenSCAP's scanner (Debian and Ubuntu: openscap-scanner)")]
    NoProgram(String),
    /// Others could have replaced it.
    #[error("{path} is not started as the host's scanner: {reason}", path = path.display())]
    Program {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The content is not there.
    #[error("the content {name} is not in {folder}; install it (Debian: ssg-debian, Ubuntu: ssg-debderived), or name its folder with --scap-content", folder = folder.display())]
    NoContent {
        /// The file.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The content cannot be read or copied.
    #[error("the content {path} cannot be used: {source}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The content is another one.
    #[error("{path} is other content than the module was made of: its SHA-256 is {found}, not {expected}; install that version, or import the module from this one", path = path.display())]
    OtherContent {
        /// The file.
        path: PathBuf,
        /// What the module says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The module names none.
    #[error("the module names no content")]
    NoScap,
    /// The private folder.
    #[error("no folder for the scanner's report could be made: {0}")]
    Folder(#[source] io::Error),
    /// The thread could not be confined.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// A process could not be started.
    #[error("the scanner could not be started: {0}")]
    Start(#[source] io::Error),
    /// It took too long.
    #[error("stopped: the scanner took half again as long as the module's profile allows")]
    TooSlow,
    /// It used too much.
    #[error("the scanner was ended by the kernel at the profile's limit of CPU time")]
    CpuTime,
    /// It died.
    #[error("the scanner was ended by signal {0}; most likely it needed more memory than the profile allows")]
    Signal(i32),
    /// It failed.
    #[error("the scanner ended with status {status}: {told}")]
    Failed {
        /// Its exit status.
        status: i32,
        /// The end of what it said.
        told: String,
    },
    /// There is no report.
    #[error("the scanner left no report that can be opened ({source}): {told}")]
    NoReport {
        /// What the system said.
        source: io::Error,
        /// The end of what it said.
        told: String,
    },
    /// The report is broken.
    #[error("the scanner's report {0}")]
    Report(String),
}

impl Error {
    /// How the run ended with it.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::TooSlow | Self::CpuTime => RunStatus::Timeout,
            _ => RunStatus::Failed,
        }
    }
}
