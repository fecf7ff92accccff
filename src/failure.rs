//! Why a command could not do its work, and the exit code that says so.

use std::process::ExitCode;

/// A command's failure; the message names the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What was given is invalid, or there are findings: exit code 1.
    #[error("{0}")]
    Invalid(String),
    /// The command was called wrongly: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A file, a broker or another part of the environment is not as needed: exit code 3.
    #[error("{0}")]
    Environment(String),
}

impl Failure {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Invalid(_) => 1,
            Self::Usage(_) => 2,
            Self::Environment(_) => 3,
        })
    }
}
