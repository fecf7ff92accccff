//! The binary: reads the command line, prepares logging, does the one thing asked for.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use nhiwatch::alert::escape_lines;
use nhiwatch::cli::Cli;
use nhiwatch::failure::Failure;
use nhiwatch::panics;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    panics::withhold_messages();
    match log(cli.log_level.as_deref()).and_then(|()| cli.command.run()) {
        Ok(code) => code,
        Err(failure) => {
            // Where standard error is gone too, only the exit code is left to say so.
            let _ = writeln!(
                std::io::stderr(),
                "error: {}",
                escape_lines(&failure.to_string())
            );
            failure.exit_code()
        }
    }
}

/// Whether `level` is one word that is no level: to a filter it names a module, beside which nothing is logged.
fn is_target(level: &str) -> bool {
    let word = level.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    word && level.parse::<LevelFilter>().is_err()
}

/// Logs to standard error: text for a person at a terminal, else one JSON object a line.
fn log(level: Option<&str>) -> Result<(), Failure> {
    let filter = match level {
        Some(level) => {
            let refused = |reason: &dyn Display| {
                Failure::Usage(format!(
                    "--log-level {level}: {reason}; try info, or nhiwatch=debug"
                ))
            };
            if is_target(level) {
                return Err(refused(&"it is no level"));
            }
            EnvFilter::try_new(level).map_err(|error| refused(&error))?
        }
        None => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let installed = if std::io::stderr().is_terminal() {
        log.try_init()
    } else {
        log.json().flatten_event(true).try_init()
    };
    installed.map_err(|error| Failure::Environment(format!("cannot start logging: {error}")))
}
