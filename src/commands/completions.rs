//! `nhiwatch completions`: what makes a shell complete our commands and flags.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", env = "NHIWATCH_SHELL")]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
///
/// Where standard output cannot be written.
pub fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "nhiwatch", &mut script);
    super::say(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
