//! Feeds the scores: what was raised, by this configuration and perhaps by another on the same input.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveTime};
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::time::Timestamp;

use crate::commands::decision;
use crate::config::Config;
use crate::failure::Failure;
use crate::files::STDIN;
use crate::inventory::Entry;
use crate::replay::Replay;
use crate::scoring::difference::{Difference, falls};
use crate::scoring::exposure::{Exposure, Seen};
use crate::scoring::incidents::Incidents;
use crate::scoring::labels::Labels;
use crate::scoring::{Against, Known, Run, Scores};
use crate::sources::Sources;
use crate::wire::{LogLine, timestamp};

/// What a run is held against.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ScoreArgs {
    /// What is known to have happened, as `nhiwatch simulate --labels` writes it: says what was seen of
    /// it, and how many incidents nothing explains
    #[arg(long, value_name = "FILE", env = "NHIWATCH_BACKTEST_LABELS")]
    pub labels: Option<PathBuf>,
    /// From when on incidents that no label explains are counted, as a date or RFC 3339 [default: 28
    /// days after the first event]
    #[arg(
        long,
        value_name = "TIME",
        env = "NHIWATCH_SCORE_FROM",
        value_parser = time
    )]
    pub score_from: Option<Timestamp>,
    /// Another configuration to judge the same input by: says which incidents differ; with labels, the
    /// exit code is 1 where it sees less of an attack
    #[arg(long, value_name = "CONFIG", env = "NHIWATCH_AGAINST")]
    pub against: Option<PathBuf>,
    /// Where to write the scores as one JSON object
    #[arg(long, value_name = "OUT", env = "NHIWATCH_SCORES")]
    pub scores: Option<PathBuf>,
}

impl ScoreArgs {
    /// Refuses flags that do nothing without others, and a file that is none.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let usage = |text: &str| Err(Failure::Usage(text.to_owned()));
        if self.score_from.is_some() && self.labels.is_none() {
            return usage("--score-from says when labels count; give --labels FILE too");
        }
        match &self.scores {
            Some(_) if self.labels.is_none() && self.against.is_none() => {
                usage("--scores has nothing to write; give --labels FILE or --against CONFIG too")
            }
            Some(file) if file.as_os_str() == STDIN => {
                usage("--scores - would mix with the alerts on standard output; name a file")
            }
            _ => Ok(()),
        }
    }
}

/// What is gathered while a run goes on, to be scored at its end.
pub(super) struct Scoring {
    labels: Option<Labels>,
    from: Option<Timestamp>,
    seen: Seen,
    this: Incidents,
    other: Option<Other>,
    to: Option<(PathBuf, File)>,
}

/// Another configuration on the same input.
struct Other {
    config: PathBuf,
    replay: Replay,
    incidents: Incidents,
}

impl Scoring {
    /// Reads the labels and the other configuration and opens the file for the scores, as far as
    /// `args` have them; nothing where no scores are asked for. The inventory is part of the input,
    /// which is one: `is_another` says whether that of the other configuration is not.
    ///
    /// # Errors
    /// [`Failure::Invalid`] for wrong labels or a wrong configuration, [`Failure::Usage`] where it
    /// has an inventory of its own, [`Failure::Environment`] for what cannot be read or written.
    pub(super) fn open(
        args: &ScoreArgs,
        sources: &Sources,
        is_another: impl FnOnce(Option<&Path>) -> bool,
    ) -> Result<Option<Self>, Failure> {
        let labels = args.labels.as_deref().map(Labels::load).transpose()?;
        let other = args.against.as_deref();
        let other = other.map(|file| Other::load(file, sources, is_another));
        let other = other.transpose()?;
        if labels.is_none() && other.is_none() {
            return Ok(None);
        }
        let create = |path: &PathBuf| {
            let file = File::create(path).map_err(|error| unwritable(path, &error))?;
            Ok::<_, Failure>((path.clone(), file))
        };
        Ok(Some(Self {
            labels,
            from: args.score_from,
            seen: Seen::default(),
            this: Incidents::default(),
            other,
            to: args.scores.as_ref().map(create).transpose()?,
        }))
    }

    /// Takes in an alert of this configuration.
    pub(super) fn alert(&mut self, alert: &Alert) {
        self.this.note(alert);
    }

    /// Takes in an entry of the inventory that this configuration took in.
    pub(super) fn declare(&mut self, partition: u32, entry: &Entry) {
        self.other(|replay| replay.declare(partition, entry).is_ok());
    }

    /// Takes in an event that this configuration took in.
    pub(super) fn event(&mut self, partition: u32, identity: &str, json: &str) {
        self.seen.note(identity.as_bytes());
        self.other(|replay| replay.event(partition, identity, json).is_ok());
    }

    /// Takes in a record of a log that this configuration took in.
    pub(super) fn log_line(&mut self, line: &LogLine) {
        if let (None, Some(identity)) = (&line.kind, &line.key) {
            self.seen.note(identity);
        }
        self.other(|replay| replay.log_line(line).is_ok());
    }

    /// Lets the other configuration have what this one had. Whether a record can be read does not
    /// depend on the configuration, so what it refuses was counted before.
    fn other(&mut self, take: impl FnOnce(&mut Replay) -> bool) {
        if let Some(other) = &mut self.other {
            take(&mut other.replay);
            for alert in other.replay.take_alerts() {
                other.incidents.note(&alert);
            }
        }
    }

    /// The scores, written where that was asked for, once `replay` is at the end of the input.
    pub(super) fn finish(self, replay: &Replay) -> Result<Scores, Failure> {
        let labels = self.labels.as_ref();
        let span = believed(replay);
        let scored = span.map(|span| Exposure::new(span, self.from, self.seen.count()));
        let this = Run::new(&self.this, labels, scored.as_ref());
        let against = self.other.map(|other| {
            let run = Run::new(&other.incidents, labels, scored.as_ref());
            Against {
                config: other.config.display().to_string(),
                difference: Difference::between(&self.this, &other.incidents),
                falls: falls(&this.attacks, &run.attacks),
                other: run,
            }
        });
        let scores = Scores {
            version: Scores::VERSION,
            scored,
            labels: labels.map(|labels| Known::new(labels, &self.seen, span)),
            this,
            against,
        };
        if let Some((path, mut file)) = self.to {
            let json = scores.json();
            let json = json.map_err(|error| unwritable(&path, &std::io::Error::from(error)))?;
            file.write_all(json.as_bytes())
                .map_err(|error| unwritable(&path, &error))?;
        }
        Ok(scores)
    }
}

impl Other {
    fn load(
        file: &Path,
        sources: &Sources,
        is_another: impl FnOnce(Option<&Path>) -> bool,
    ) -> Result<Self, Failure> {
        let config = Config::load(Some(file))?;
        if is_another(config.inventory.as_deref()) {
            return Err(Failure::Usage(format!(
                "--against {}: its `inventory` is another than this configuration's, and both are \
                 judged by one; give --inventory, or name the same in both",
                file.display()
            )));
        }
        Ok(Self {
            config: file.to_owned(),
            replay: Replay::new(decision(&config, sources)?),
            incidents: Incidents::default(),
        })
    }
}

/// From the first event to how far time has come: a lone stamp from the future does not count.
fn believed(replay: &Replay) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = replay.span()?;
    let come = replay.engines().filter_map(Engine::watermark).max();
    Some((first, come.unwrap_or(last)))
}

/// A date, which is its first instant in UTC, or a time in RFC 3339.
fn time(text: &str) -> Result<Timestamp, String> {
    match text.parse::<NaiveDate>() {
        Ok(day) => {
            let midnight = day.and_time(NaiveTime::MIN).and_utc();
            Ok(Timestamp::from_seconds(midnight.timestamp()))
        }
        // The fault names the field that an event has.
        Err(_) => timestamp::text(text)
            .map_err(|reject| reject.detail.trim_start_matches("ts: ").to_owned()),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Environment(format!(
        "scores file {} cannot be written: {error}; name a file in a folder you may write to",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_first_instant_and_other_times_have_a_zone() {
        let at = |text| time(text).map(Timestamp::rfc3339);
        assert_eq!(at("2026-11-01"), at("2026-11-01T01:00:00+01:00"));
        assert!(
            time("2026-11-01T00:00:00")
                .unwrap_err()
                .contains("RFC 3339")
        );
        assert!(time("yesterday").is_err());
    }
}
