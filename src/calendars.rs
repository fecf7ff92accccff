//! Trading calendars: files of rules, compiled into the sessions that detectors judge by.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chrono::{Datelike, Days, Duration, LocalResult, NaiveDate, NaiveTime, TimeZone};
use chrono_tz::Tz;
use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars, Session, SessionClass};
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde_saphyr::Spanned;
use sha2::{Digest, Sha256};

use self::file::{Around, Clock, File, Hours};
use crate::failure::Failure;
use crate::{digest, files};

mod file;

macro_rules! built_in {
    ($name:literal) => {
        (
            concat!("built-in ", $name, ".yaml"),
            include_str!(concat!("../config/calendars/", $name, ".yaml")),
        )
    };
}

/// The calendars in the binary: name for messages, and text.
const BUILT_IN: [(&str, &str); 12] = [
    built_in!("24-7"),
    built_in!("GLBX"),
    built_in!("XASX"),
    built_in!("XETR"),
    built_in!("XFRA"),
    built_in!("XHKG"),
    built_in!("XLON"),
    built_in!("XNAS"),
    built_in!("XNYS"),
    built_in!("XPAR"),
    built_in!("XTKS"),
    built_in!("XTSE"),
];

/// The code of a venue that never closes.
const ALWAYS: &str = "24/7";

/// Microseconds of a minute.
const MINUTE: i64 = 60_000_000;

/// The calendars built in, with those of `directory` added or, for a venue built in, instead.
///
/// # Errors
/// A folder or file that cannot be read, or a file that is not a valid calendar.
pub fn load(directory: Option<&Path>) -> Result<Calendars, CalendarError> {
    Ok(Calendars::new(
        venues(directory)?.iter().map(Venue::compile).collect(),
    ))
}

/// The venues behind [`load`], ordered by code.
///
/// # Errors
/// As [`load`].
pub fn venues(directory: Option<&Path>) -> Result<Vec<Venue>, CalendarError> {
    let mut venues = BTreeMap::new();
    for (name, text) in BUILT_IN {
        let venue = parse(name, text)?;
        venues.insert(venue.mic.clone(), venue);
    }
    let mut origin: BTreeMap<String, String> = BTreeMap::new();
    for path in directory.map(listed).transpose()?.unwrap_or_default() {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|source| CalendarError::Read {
            path: path.clone(),
            source,
        })?;
        let venue = parse(&name, &text)?;
        if let Some(first) = origin.insert(venue.mic.clone(), name.clone()) {
            return Err(CalendarError::Twice {
                mic: venue.mic,
                first,
                second: name,
            });
        }
        venues.insert(venue.mic.clone(), venue);
    }
    Ok(venues.into_values().collect())
}

/// Why a calendar cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalendarError {
    /// The folder or a file in it cannot be read.
    #[error("{}: {source}; `calendars.directory` must be a readable folder of *.yaml", path.display())]
    Read {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A file is not a valid calendar.
    #[error("{file}:{line}:{column}: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// Line in it, from 1; 0 where it is about the whole file.
        line: u64,
        /// Column in that line, from 1.
        column: u64,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// Two files of the folder are about one venue.
    #[error("{second}: {mic} is already defined in {first}; remove one of the two")]
    Twice {
        /// The venue.
        mic: String,
        /// The file read first.
        first: String,
        /// The file read second.
        second: String,
    },
}

impl From<CalendarError> for Failure {
    fn from(error: CalendarError) -> Self {
        match error {
            CalendarError::Read { .. } => Self::Environment(error.to_string()),
            CalendarError::Invalid { .. } | CalendarError::Twice { .. } => {
                Self::Invalid(error.to_string())
            }
        }
    }
}

/// One venue: what its file says, with every trading day worked out.
#[derive(Clone, Debug)]
pub struct Venue {
    /// Market identifier code.
    pub mic: String,
    /// Version, as the file says.
    pub version: String,
    /// SHA-256 of the file's text, in hex.
    pub hash: String,
    /// Zone of the hours in the file.
    pub timezone: Tz,
    /// First day the file speaks of.
    pub from: NaiveDate,
    /// Last day the file speaks of.
    pub to: NaiveDate,
    /// Every trading day with its sessions, in order.
    pub days: Vec<(NaiveDate, Vec<Session>)>,
    /// What goes before a day's first session, the nearest to it first, and how long it lasts.
    pub before_open: Vec<(SessionClass, Span)>,
    /// The same of what follows its last session.
    pub after_close: Vec<(SessionClass, Span)>,
    /// Why nobody vouches for the file, if that is so.
    pub unverified: Option<String>,
    /// The instants between which the file speaks.
    coverage: (Timestamp, Timestamp),
}

impl Venue {
    /// The calendar as the detectors use it.
    #[must_use]
    pub fn compile(&self) -> Calendar {
        let sessions = self
            .days
            .iter()
            .flat_map(|(_, sessions)| sessions)
            .copied()
            .collect();
        let (from, until) = self.coverage;
        Calendar::new(&self.mic, &self.version, &self.hash, sessions, from, until)
            .taking_orders(self.around())
            .unverified(self.unverified.as_deref())
    }

    /// The stretches around the sessions of every day, each where the one nearer to them ends.
    fn around(&self) -> Vec<(SessionClass, Session)> {
        let mut around = Vec::new();
        for (_, sessions) in &self.days {
            let (Some(first), Some(last)) = (sessions.first(), sessions.last()) else {
                continue;
            };
            let mut close = first.open;
            for (class, lasts) in &self.before_open {
                let open = close.minus(*lasts);
                around.push((*class, Session { open, close }));
                close = open;
            }
            let mut open = last.close;
            for (class, lasts) in &self.after_close {
                let close = open.plus(*lasts);
                around.push((*class, Session { open, close }));
                open = close;
            }
        }
        around
    }
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>, CalendarError> {
    files::yaml_in(directory).map_err(|source| CalendarError::Read {
        path: directory.into(),
        source,
    })
}

fn parse(name: &str, text: &str) -> Result<Venue, CalendarError> {
    let file: File = serde_saphyr::from_str(text).map_err(|error| {
        let place = error
            .location()
            .map_or((0, 0), |at| (at.line(), at.column()));
        let message = error.without_snippet().to_string();
        invalid(name, place, message.lines().next().unwrap_or_default())
    })?;
    Rules { name, file: &file }.venue(text)
}

fn invalid(file: &str, (line, column): (u64, u64), message: &str) -> CalendarError {
    CalendarError::Invalid {
        file: file.into(),
        line,
        column,
        message: message.into(),
    }
}

/// A file's rules on their way to becoming days.
struct Rules<'a> {
    name: &'a str,
    file: &'a File,
}

impl Rules<'_> {
    fn venue(&self, text: &str) -> Result<Venue, CalendarError> {
        let file = self.file;
        let mic = &file.mic.value;
        let is_code = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
        if mic != ALWAYS && (mic.len() != 4 || !mic.bytes().all(is_code)) {
            return self.refuse(
                &file.mic,
                &format!("`{mic}` is no code of four such as XNYS"),
            );
        }
        let (from, to) = (file.coverage.from.0, file.coverage.to.value.0);
        if to < from || to.year() - from.year() > 100 {
            return self.refuse(
                &file.coverage.to,
                "`to` must be 0 to 100 years after `from`",
            );
        }
        let mut hours = self.usual()?;
        self.close_on_holidays(&mut hours)?;
        self.close_early(&mut hours)?;
        self.open_specially(&mut hours)?;
        let mut days = Vec::with_capacity(hours.len());
        for (date, stretches) in hours {
            let sessions: Result<Vec<_>, _> = stretches
                .iter()
                .map(|hours| self.session(date, hours))
                .collect();
            days.push((date, sessions?));
        }
        let after = to.checked_add_days(Days::new(1)).unwrap_or(to);
        Ok(Venue {
            mic: mic.clone(),
            version: file.version.clone(),
            hash: digest::hex(Sha256::new_with_prefix(text)),
            timezone: file.timezone.0,
            from,
            to,
            days,
            before_open: self.around(&file.before_open)?,
            after_close: self.around(&file.after_close)?,
            unverified: file.unverified.clone(),
            coverage: (self.midnight(from), self.midnight(after)),
        })
    }

    fn usual(&self) -> Result<BTreeMap<NaiveDate, Vec<Hours>>, CalendarError> {
        let mut usual = vec![(self.file.coverage.from.0, self.in_order(&self.file.hours)?)];
        for change in &self.file.changes {
            let from = change.from.value.0;
            if usual.last().is_some_and(|(before, _)| from <= *before) {
                return self.refuse(&change.from, "changes must follow each other in time");
            }
            usual.push((from, self.in_order(&change.hours)?));
        }
        let days: BTreeSet<u32> = self
            .file
            .days
            .iter()
            .map(|day| day.0.num_days_from_monday())
            .collect();
        let to = self.file.coverage.to.value.0;
        let dates = self
            .file
            .coverage
            .from
            .0
            .iter_days()
            .take_while(|date| *date <= to);
        let trading = dates.filter(|date| days.contains(&date.weekday().num_days_from_monday()));
        let on = |date| {
            let in_force = usual.iter().rev().find(|(from, _)| *from <= date);
            in_force.map_or_else(Vec::new, |(_, hours)| hours.clone())
        };
        Ok(trading.map(|date| (date, on(date))).collect())
    }

    fn close_on_holidays(
        &self,
        days: &mut BTreeMap<NaiveDate, Vec<Hours>>,
    ) -> Result<(), CalendarError> {
        for date in self.file.holidays.values().flatten() {
            if days.remove(&date.value.0).is_none() {
                return self.refuse(date, &format!("{} is no trading day anyway", date.value.0));
            }
        }
        Ok(())
    }

    fn close_early(&self, days: &mut BTreeMap<NaiveDate, Vec<Hours>>) -> Result<(), CalendarError> {
        for early in &self.file.early_closes {
            let close = early.close.value;
            for date in &early.dates {
                let Some(hours) = days.get_mut(&date.value.0) else {
                    return self.refuse(date, &format!("{} is no trading day", date.value.0));
                };
                let shorter = hours.first().is_some_and(|first| first.open < close)
                    && hours.last().is_some_and(|last| close < last.close);
                if !shorter {
                    let message = format!("this does not shorten the hours of {}", date.value.0);
                    return self.refuse(&early.close, &message);
                }
                hours.retain(|hours| hours.open < close);
                for hours in hours {
                    hours.close = hours.close.min(close);
                }
            }
        }
        Ok(())
    }

    fn open_specially(
        &self,
        days: &mut BTreeMap<NaiveDate, Vec<Hours>>,
    ) -> Result<(), CalendarError> {
        let (from, to) = (self.file.coverage.from.0, self.file.coverage.to.value.0);
        for special in &self.file.special {
            let date = special.date.value.0;
            if date < from || date > to {
                return self.refuse(&special.date, &format!("{date} lies outside the coverage"));
            }
            days.insert(date, self.in_order(&special.hours)?);
        }
        Ok(())
    }

    fn in_order(&self, hours: &[Spanned<Hours>]) -> Result<Vec<Hours>, CalendarError> {
        let overlap = hours.windows(2).find_map(|pair| match pair {
            [one, next] if next.value.open <= one.value.close => Some(next),
            _ => None,
        });
        match overlap {
            Some(next) => self.refuse(next, "hours must follow each other with a break between"),
            None => Ok(hours.iter().map(|hours| hours.value).collect()),
        }
    }

    /// What lies around the hours, as classes and lengths.
    fn around(&self, list: &[Around]) -> Result<Vec<(SessionClass, Span)>, CalendarError> {
        let stretch = |around: &Around| match around.lasts.value.0 {
            0 => self.refuse(&around.lasts, "this must last a minute or more"),
            minutes => Ok((around.class, Span::from_micros(i64::from(minutes) * MINUTE))),
        };
        list.iter().map(stretch).collect()
    }

    fn session(&self, date: NaiveDate, hours: &Hours) -> Result<Session, CalendarError> {
        let instant = |clock: Clock| {
            let days = Duration::days(clock.0.div_euclid(Clock::DAY).into());
            let date = date.checked_add_signed(days)?;
            let minutes = u32::try_from(clock.0.rem_euclid(Clock::DAY)).ok()?;
            let time = NaiveTime::from_hms_opt(minutes / 60, minutes % 60, 0)?;
            match self
                .file
                .timezone
                .0
                .from_local_datetime(&date.and_time(time))
            {
                LocalResult::Single(at) => Some(Timestamp::from_seconds(at.timestamp())),
                LocalResult::Ambiguous(..) | LocalResult::None => None,
            }
        };
        match (instant(hours.open), instant(hours.close)) {
            (Some(open), Some(close)) => Ok(Session { open, close }),
            _ => Err(invalid(
                self.name,
                (0, 0),
                &format!(
                    "the hours of {date} fall into a clock change of {}",
                    self.file.timezone.0
                ),
            )),
        }
    }

    /// The first instant of `date`, even where its midnight is skipped or comes twice.
    fn midnight(&self, date: NaiveDate) -> Timestamp {
        let local = (0..24).find_map(|hour| {
            let time = date.and_hms_opt(hour, 0, 0)?;
            self.file.timezone.0.from_local_datetime(&time).earliest()
        });
        Timestamp::from_seconds(local.map_or(0, |at| at.timestamp()))
    }

    fn refuse<T, V>(&self, place: &Spanned<V>, message: &str) -> Result<T, CalendarError> {
        let place = (place.referenced.line(), place.referenced.column());
        Err(invalid(self.name, place, message))
    }
}
