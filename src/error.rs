//! The only error type. Messages are lower-case fragments that form one sentence after `error: `.

use std::io;
use std::path::PathBuf;

/// Why a command could not do what was requested.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PATH argument does not exist or cannot be read.
    #[error("cannot read {path}: {source}; check the path and its permissions", path = .path.display())]
    Input {
        /// The argument.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Something cannot be written.
    #[error("cannot write {path}: {source}", path = .path.display())]
    Output {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The report directory is not empty.
    #[error("{path} is not empty; choose another directory with -o, or --force to overwrite a report in it", path = .0.display())]
    OutputNotEmpty(PathBuf),
    /// Temporary files cannot be used.
    #[error("cannot use temporary files in {dir}: {0}; set TMPDIR to a directory with room", dir = std::env::temp_dir().display())]
    Temporary(io::Error),
    /// A case file that cannot be used.
    #[error("case file {path}: {problem}", path = .path.display())]
    Case {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A partial that cannot be used.
    #[error("partial {path}: {problem}", path = .path.display())]
    Partial {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A report directory without anything to compare with.
    #[error("cannot verify {path}: {problem}", path = .path.display())]
    Verify {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A rule or tuning file that cannot be used.
    #[error(transparent)]
    Rule(#[from] crate::rule::RuleError),
    /// Arguments that contradict each other, have no meaning, or name something that cannot be used.
    #[error("{0}")]
    Usage(String),
}
