//! `nhiwatch calendars`: the trading calendars we judge by.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::NaiveDate;
use clap::ValueEnum;
use nhiwatch_detectors::kernel::calendar::{Session, SessionClass};
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde::Serialize;

use crate::calendars::{Venue, venues};
use crate::config::nearest;
use crate::failure::Failure;

/// List the trading calendars, or the sessions of one venue
#[derive(Clone, Debug, clap::Args)]
pub struct CalendarsArgs {
    /// Market identifier code of a venue, such as XNYS; without it the venues are listed
    pub mic: Option<String>,
    /// First day to list, such as 2026-01-01; the calendar's first where absent
    #[arg(long, value_name = "DATE", requires = "mic", env = "NHIWATCH_FROM")]
    pub from: Option<NaiveDate>,
    /// Last day to list; the calendar's last where absent
    #[arg(long, value_name = "DATE", requires = "mic", env = "NHIWATCH_TO")]
    pub to: Option<NaiveDate>,
    /// Layout of the output
    #[arg(
        long,
        value_enum,
        default_value = "csv",
        env = "NHIWATCH_CALENDARS_FORMAT"
    )]
    pub format: Format,
    /// Folder of further calendars, as `calendars.directory` in the configuration
    #[arg(long, value_name = "DIR", env = "NHIWATCH_CALENDARS")]
    pub directory: Option<PathBuf>,
}

/// Layout of the output.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Comma-separated, with a heading
    Csv,
    /// One JSON object per line
    Json,
}

/// Prints what `args` ask for to standard output.
///
/// # Errors
/// [`Failure::Invalid`] for an unknown venue, an empty range or an invalid calendar file,
/// [`Failure::Environment`] where a file cannot be read or nothing can be written.
pub fn run(args: &CalendarsArgs) -> Result<ExitCode, Failure> {
    let text = render(args)?;
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Environment(format!("standard output: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn render(args: &CalendarsArgs) -> Result<String, Failure> {
    let venues = venues(args.directory.as_deref())?;
    let Some(mic) = &args.mic else {
        return table(
            VenueRow::COLUMNS,
            venues.iter().map(VenueRow::new),
            args.format,
        );
    };
    let Some(venue) = venues
        .iter()
        .find(|venue| venue.mic.eq_ignore_ascii_case(mic))
    else {
        return Err(Failure::Invalid(unknown(mic, &venues)));
    };
    let (from, to) = (args.from.unwrap_or(venue.from), args.to.unwrap_or(venue.to));
    if from > to {
        return Err(Failure::Invalid(format!(
            "--from {from} is after --to {to}; swap them"
        )));
    }
    for date in [from, to] {
        if date < venue.from || date > venue.to {
            return Err(Failure::Invalid(format!(
                "{}: the calendar speaks of {} to {} only, not of {date}",
                venue.mic, venue.from, venue.to
            )));
        }
    }
    let days = venue
        .days
        .iter()
        .filter(|(date, _)| (from..=to).contains(date));
    let rows = days.flat_map(|(date, sessions)| DayRow::new(*date, sessions));
    table(DayRow::COLUMNS, rows, args.format)
}

fn unknown(mic: &str, venues: &[Venue]) -> String {
    let known: Vec<&str> = venues.iter().map(|venue| venue.mic.as_str()).collect();
    let near = nearest(mic, known.iter().copied());
    let hint = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
    let mic = mic.escape_default();
    format!(
        "no calendar for venue `{mic}`; {hint}known are {}; --directory adds more",
        known.join(", ")
    )
}

/// A row of the output, whose cells need no quoting.
trait Row: Serialize {
    fn cells(&self) -> Vec<&str>;
}

fn table<R: Row>(
    columns: &str,
    rows: impl Iterator<Item = R>,
    format: Format,
) -> Result<String, Failure> {
    let mut text = String::new();
    if format == Format::Csv {
        text.push_str(columns);
        text.push('\n');
    }
    for row in rows {
        match format {
            Format::Csv => text.push_str(&row.cells().join(",")),
            Format::Json => text.push_str(
                &serde_json::to_string(&row)
                    .map_err(|error| Failure::Invalid(error.to_string()))?,
            ),
        }
        text.push('\n');
    }
    Ok(text)
}

#[derive(Serialize)]
struct VenueRow {
    mic: String,
    timezone: String,
    version: String,
    from: String,
    to: String,
    before_open: String,
    after_close: String,
    unverified: &'static str,
    sha256: String,
}

impl VenueRow {
    const COLUMNS: &str = "mic,timezone,version,from,to,before_open,after_close,unverified,sha256";

    fn new(venue: &Venue) -> Self {
        Self {
            mic: venue.mic.clone(),
            timezone: venue.timezone.name().into(),
            version: venue.version.clone(),
            from: venue.from.to_string(),
            to: venue.to.to_string(),
            before_open: stretches(&venue.before_open),
            after_close: stretches(&venue.after_close),
            unverified: venue.unverified.as_ref().map_or("", |_| "yes"),
            sha256: venue.hash.clone(),
        }
    }
}

/// What lies around the hours, the nearest to them first, such as `auction 00:10 pre-open 00:50`.
fn stretches(around: &[(SessionClass, Span)]) -> String {
    let words: Vec<String> = around
        .iter()
        .map(|(class, lasts)| {
            let minutes = lasts.seconds() / 60;
            format!("{} {:02}:{:02}", class.name(), minutes / 60, minutes % 60)
        })
        .collect();
    words.join(" ")
}

impl Row for VenueRow {
    fn cells(&self) -> Vec<&str> {
        vec![
            &self.mic,
            &self.timezone,
            &self.version,
            &self.from,
            &self.to,
            &self.before_open,
            &self.after_close,
            self.unverified,
            &self.sha256,
        ]
    }
}

#[derive(Serialize)]
struct DayRow {
    date: String,
    open_utc: String,
    close_utc: String,
    break_start_utc: Option<String>,
    break_end_utc: Option<String>,
}

impl DayRow {
    const COLUMNS: &str = "date,open_utc,close_utc,break_start_utc,break_end_utc";

    /// The rows of a day: one, and a further one for each break after its first.
    fn new(date: NaiveDate, sessions: &[Session]) -> impl Iterator<Item = Self> {
        sessions.chunks(2).filter_map(move |pair| {
            let (first, last) = (pair.first()?, pair.last()?);
            let broken = pair.len() == 2;
            Some(Self {
                date: date.to_string(),
                open_utc: minute(first.open),
                close_utc: minute(last.close),
                break_start_utc: broken.then(|| minute(first.close)),
                break_end_utc: broken.then(|| minute(last.open)),
            })
        })
    }
}

impl Row for DayRow {
    fn cells(&self) -> Vec<&str> {
        vec![
            &self.date,
            &self.open_utc,
            &self.close_utc,
            self.break_start_utc.as_deref().unwrap_or_default(),
            self.break_end_utc.as_deref().unwrap_or_default(),
        ]
    }
}

fn minute(at: Timestamp) -> String {
    at.utc().format("%Y-%m-%dT%H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: CalendarsArgs,
    }

    fn output(arguments: &str) -> String {
        let words = std::iter::once("nhiwatch").chain(arguments.split_whitespace());
        match render(&Cli::try_parse_from(words).unwrap().args) {
            Ok(text) => text,
            Err(failure) => format!("refused: {failure}"),
        }
    }

    #[test]
    fn without_a_venue_all_are_listed() {
        let text = output("");
        let starts: Vec<&str> = text.lines().map(|line| &line[..4]).collect();
        assert_eq!(starts[..3], ["mic,", "24/7", "GLBX"]);
        assert_eq!(starts.len(), 13);
        assert!(text.contains(
            "\nXETR,Europe/Berlin,2026.2,2015-01-01,2027-12-31,auction 00:10 pre-open 00:50,auction 00:05,,"
        ));
        assert!(text.contains("\nXFRA,Europe/Berlin,2026.2,2015-01-01,2027-12-31,,,yes,"));
    }

    #[test]
    fn a_venue_lists_its_sessions_in_utc() {
        let range = "XNYS --from 2026-01-01 --to 2026-01-04";
        assert_eq!(
            output(range),
            "date,open_utc,close_utc,break_start_utc,break_end_utc\n\
             2026-01-02,2026-01-02T14:30Z,2026-01-02T21:00Z,,\n"
        );
        assert_eq!(
            output(&format!("{range} --format json")),
            "{\"date\":\"2026-01-02\",\"open_utc\":\"2026-01-02T14:30Z\",\
             \"close_utc\":\"2026-01-02T21:00Z\",\"break_start_utc\":null,\
             \"break_end_utc\":null}\n"
        );
    }

    #[test]
    fn a_lunch_break_fills_its_columns() {
        let at = |hour: i64| Timestamp::from_seconds(1_767_571_200 + hour * 3600);
        let sessions = [
            Session {
                open: at(0),
                close: at(2),
            },
            Session {
                open: at(3),
                close: at(6),
            },
        ];
        let date = NaiveDate::from_ymd_opt(2026, 1, 5).unwrap();
        let rows: Vec<String> = DayRow::new(date, &sessions)
            .map(|row| row.cells().join(","))
            .collect();
        let row = "2026-01-05,2026-01-05T00:00Z,2026-01-05T06:00Z,\
                   2026-01-05T02:00Z,2026-01-05T03:00Z";
        assert_eq!(rows, [row]);
    }

    #[test]
    fn what_is_not_known_is_refused_with_the_cure() {
        let text = output("XNYZ");
        assert!(text.contains("did you mean `XNYS`?"), "{text}");
        assert!(output("XNYS --from 2026-02-01 --to 2026-01-01").contains("swap them"));
        assert!(output("XNYS --from 2014-02-01").contains("speaks of 2015-01-01 to 2027-12-31"));
    }
}
