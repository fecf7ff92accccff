//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{
    backtest, calendars, check, completions, demo, detectors, inspect, map, run, simulate, topics,
};
use crate::failure::Failure;

/// A streaming anomaly detector for non-human identities
///
/// Exit codes: 0 fine, 1 findings or invalid input, 2 wrong usage, 3 the environment is not as
/// needed. Every flag can also be given as an environment variable.
#[derive(Debug, Parser)]
#[command(
    name = "nhiwatch",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Which messages to log: error, warn, info, debug, trace, or filters such as nhiwatch=debug
    ///
    /// `RUST_LOG` is respected where this is not given.
    #[arg(long, global = true, env = "NHIWATCH_LOG_LEVEL", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Each command, by its arguments.
#[derive(Debug, Subcommand)]
#[expect(
    missing_docs,
    reason = "each variant is the command of that name, described there"
)]
pub enum Command {
    Run(run::RunArgs),
    Demo(demo::DemoArgs),
    Backtest(backtest::BacktestArgs),
    Inspect(inspect::InspectArgs),
    Check(check::CheckArgs),
    Map(map::MapArgs),
    Simulate(simulate::SimulateArgs),
    Detectors(detectors::DetectorsArgs),
    Calendars(calendars::CalendarsArgs),
    Topics(topics::TopicsArgs),
    Completions(completions::CompletionsArgs),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    ///
    /// As the command has it.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        match self {
            Self::Run(args) => run::run(args),
            Self::Demo(args) => demo::run(args),
            Self::Backtest(args) => backtest::run(args),
            Self::Inspect(args) => inspect::run(args),
            Self::Check(args) => check::run(args),
            Self::Map(args) => map::run(args),
            Self::Simulate(args) => simulate::run(args),
            Self::Detectors(args) => detectors::run(args),
            Self::Calendars(args) => calendars::run(args),
            Self::Topics(args) => topics::run(args),
            Self::Completions(args) => completions::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn help_is_in_one_voice() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string);
            let about = about.unwrap_or_default();
            let verb = about.split(' ').next().unwrap_or_default();
            assert!(!verb.ends_with('s') && verb != "What", "{about}");
            for flag in command.get_arguments() {
                let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() && !help.ends_with('.'), "{help}");
            }
        }
    }

    #[test]
    fn a_variable_that_two_commands_read_means_the_same_to_both() {
        let mut meanings: BTreeMap<String, (String, String)> = BTreeMap::new();
        for command in Cli::command().get_subcommands() {
            for flag in command.get_arguments() {
                let Some(variable) = flag.get_env() else {
                    continue;
                };
                let variable = variable.to_string_lossy().into_owned();
                let name = flag.get_long().unwrap_or_default();
                let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
                let meaning = (name.to_owned(), help);
                let first = meanings.entry(variable.clone()).or_insert(meaning.clone());
                assert_eq!(*first, meaning, "{variable} in `{}`", command.get_name());
            }
        }
        assert!(meanings.contains_key("NHIWATCH_CONFIG"));
    }
}
