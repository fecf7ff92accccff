//! `nhiwatch inspect`: what is normal for one identity.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::NonEmptyStringValueParser;
use nhiwatch_detectors::kernel::engine::Portrait;
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::tails::Expected;
use nhiwatch_detectors::kernel::time::Timestamp;

use super::backtest::{self, BacktestArgs, Knowledge, ScoreArgs};
use super::logs::LogArgs;
use crate::alert::escape;
use crate::config::nearest;
use crate::failure::Failure;

/// Show what is normal for one identity, after all that its logs hold
///
/// The logs are judged as `backtest` judges them, without a word of what was raised.
#[derive(Clone, Debug, clap::Args)]
pub struct InspectArgs {
    /// The identity, as it stands in events and alerts
    #[arg(value_name = "IDENTITY", value_parser = NonEmptyStringValueParser::new())]
    pub identity: String,
    /// The configuration file; without one the defaults hold
    #[arg(long, short, value_name = "FILE", env = "NHIWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// What is declared of the identities; instead of the file that `inventory` in the configuration
    /// names
    #[arg(long, value_name = "FILE", env = "NHIWATCH_INVENTORY")]
    pub inventory: Option<PathBuf>,
    /// What to read.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Prints the portrait to standard output.
///
/// # Errors
/// As [`backtest::run`], and [`Failure::Usage`] where the logs do not hold the identity.
pub fn run(args: &InspectArgs) -> Result<ExitCode, Failure> {
    let mut known = backtest::silently(&BacktestArgs {
        config: args.config.clone(),
        inventory: args.inventory.clone(),
        partitions: None,
        alerts: None,
        digest: false,
        score: ScoreArgs::default(),
        logs: args.logs.clone(),
    })?;
    let name = &*args.identity;
    let identity = known.inventory.aliases().identity(name).unwrap_or(name);
    let Some(portrait) = known.replay.portrait(identity) else {
        return Err(stranger(identity, &known));
    };
    if !known.unreadable.is_empty() {
        // Where standard error is gone, nobody can be told.
        let _ = std::io::stderr().write_all(known.unreadable.as_bytes());
    }
    super::say(&text(&portrait))?;
    Ok(ExitCode::SUCCESS)
}

/// The failure of who asks for an identity that the logs do not hold.
fn stranger(identity: &str, known: &Knowledge) -> Failure {
    let all: Vec<String> = known.replay.identities().collect();
    let hint = match nearest(identity, all.iter().map(String::as_str)) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("they hold {} others", all.len()),
    };
    let mut identity: String = identity.chars().take(NAME_SHOWN).collect();
    if identity.chars().count() == NAME_SHOWN {
        identity.push('\u{2026}');
    }
    let turned_away: u64 = known
        .replay
        .engines()
        .map(|engine| engine.stats().limits[Limit::Newcomers as usize])
        .sum();
    let unless = match turned_away {
        0 => String::new(),
        n => format!(
            ", or it is one of those to whom {n} events belong that were turned away in a flood of new identities \
             (`limits.newcomers`)"
        ),
    };
    Failure::Usage(format!(
        "the logs hold no identity `{identity}`{unless}; {hint}"
    ))
}

/// The portrait, for a terminal.
fn text(portrait: &Portrait) -> String {
    let mut text = String::new();
    let seen = |ts: Timestamp| {
        portrait
            .first_seen
            .map_or("never".to_owned(), |_| ts.rfc3339())
    };
    let since = portrait
        .first_seen
        .map_or("never".to_owned(), Timestamp::rfc3339);
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{}\n  kind        {}\n  baseline    {}\n  first seen  {since}\n  last seen   {}\n  wall clock  {}",
        escape(&portrait.identity),
        portrait.kind,
        portrait.state.word(),
        seen(portrait.last_seen),
        portrait.zone,
    );
    if portrait.failed {
        text.push_str("  not judged any more: a detector failed on it\n");
    }
    if portrait.first_seen.is_some() {
        habits(&mut text, portrait);
    }
    if portrait.open.is_empty() {
        text.push_str("\nno incident is open\n");
    } else {
        text.push_str("\nopen incidents\n");
    }
    for open in &portrait.open {
        let _ = writeln!(
            text,
            "  {}  {}: {}, since {}, found {}",
            open.id,
            open.detector,
            escape(&open.subject),
            open.opened.rfc3339(),
            match open.findings {
                1 => "once".to_owned(),
                findings => format!("{findings} times"),
            }
        );
    }
    text
}

/// When it is active, how much it does, and what each detector knows of it.
fn habits(text: &mut String, portrait: &Portrait) {
    text.push_str("\nwhen it is active: how probable anything is in each hour of the week\n");
    text.push_str(&week(&portrait.active, |p| *p));
    let most = portrait.calls.iter().map(|it| it.mean).fold(0.0, f64::max);
    let _ = writeln!(
        text,
        "\nhow much it does: calls in each hour of the week, {} at the most",
        number(most)
    );
    text.push_str(&week(&portrait.calls, |it| it.mean / most.max(1e-9)));
    text.push_str(
        "\ncalls in the busiest hour of each day, and where nine of ten such hours lie\n",
    );
    for (day, hours) in DAYS.iter().zip(portrait.calls.chunks(24)) {
        let busiest = hours.iter().max_by(|a, b| a.mean.total_cmp(&b.mean));
        if let Some(busiest) = busiest {
            let _ = writeln!(text, "  {day}  {}", band(busiest));
        }
    }
    for (detector, story) in &portrait.stories {
        let _ = writeln!(text, "\n{detector}");
        for (name, fact) in story {
            let _ = writeln!(text, "  {name:<12}{}", escape(fact));
        }
    }
}

/// The hours of a week as a map of seven lines, each hour as full as `share` says.
fn week<T>(hours: &[T], share: impl Fn(&T) -> f64) -> String {
    let mut map = String::from("       0     6     12    18\n");
    for (day, hours) in DAYS.iter().zip(hours.chunks(24)) {
        let cells: String = hours.iter().map(|hour| shade(share(hour))).collect();
        let _ = writeln!(map, "  {day}  {cells}");
    }
    map
}

/// A cell that is as full as `share`, from 0 to 1; anything below a fiftieth is empty.
fn shade(share: f64) -> char {
    let full = SHADES.len() - 1;
    if share < 0.02 {
        return SHADES[0];
    }
    let at = (share * full as f64).ceil() as usize;
    SHADES[at.clamp(1, full)]
}

/// How many calls an hour brings, and all but one in twenty on each side, by a normal law.
fn band(expected: &Expected) -> String {
    let give = 1.64 * expected.variance().sqrt();
    let (from, to) = ((expected.mean - give).max(0.0), expected.mean + give);
    format!(
        "{} ({} to {})",
        number(expected.mean),
        number(from),
        number(to)
    )
}

/// A number of calls, as people write it.
fn number(calls: f64) -> String {
    if calls > 0.0 && calls < 10.0 {
        format!("{calls:.1}")
    } else {
        format!("{calls:.0}")
    }
}

/// Characters of a name that an error shows.
const NAME_SHOWN: usize = 200;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const SHADES: [char; 5] = ['\u{b7}', '\u{2591}', '\u{2592}', '\u{2593}', '\u{2588}'];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_as_full_as_its_share() {
        let cells = [0.0, 0.01, 0.03, 0.3, 0.5, 0.7, 0.9, 1.0, 7.0].map(shade);
        let [empty, some, half, most, full] = SHADES;
        let expected = [empty, empty, some, half, half, most, full, full, full];
        assert_eq!(cells, expected);
    }
}
