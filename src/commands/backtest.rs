//! `nhiwatch backtest`: the service's engine on files.

mod output;
mod report;
mod scoring;

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use self::output::Output;
use self::report::Report;
pub use self::scoring::ScoreArgs;
use self::scoring::Scoring;
use super::decision;
use super::logs::LogArgs;
use super::progress::Progress;
use crate::config::Config;
use crate::failure::Failure;
use crate::files::{Records, is_one_file, resolved};
use crate::inventory::Inventory;
use crate::partition;
use crate::replay::{Replay, Sorter};
use crate::sources::{MappedEvent, Reader, Sources};
use crate::wire::{LogLine, Reject};

/// The source that is an exported events log.
const LOG: &str = "log";

/// Judge files as the service would, without Kafka
///
/// The same input gives the same alerts, byte for byte. Alerts are the result: with or without them
/// the exit code is 0; it is 1 where nothing could be read of what was there, or where the
/// configuration of `--against` sees less of a labelled attack.
#[derive(Clone, Debug, clap::Args)]
pub struct BacktestArgs {
    /// The configuration file; without one the defaults hold
    #[arg(long, short, value_name = "FILE", env = "NHIWATCH_CONFIG")]
    pub config: Option<PathBuf>,
    /// What is declared of the identities; instead of the file that `inventory` in the configuration
    /// names
    #[arg(long, value_name = "FILE", env = "NHIWATCH_INVENTORY")]
    pub inventory: Option<PathBuf>,
    /// How many partitions to spread the identities over, as a topic of so many would [default: 1]
    #[arg(
        long,
        value_name = "N",
        env = "NHIWATCH_PARTITIONS",
        value_parser = clap::value_parser!(i32).range(1..=100_000)
    )]
    pub partitions: Option<i32>,
    /// Where to write every alert and update as NDJSON, `-` for standard output; without it, each new
    /// alert, and each that became more severe, is shown as text
    #[arg(long, value_name = "OUT", env = "NHIWATCH_ALERTS")]
    pub alerts: Option<PathBuf>,
    /// Print a hash over the state at the end: equal means equal
    #[arg(long, env = "NHIWATCH_DIGEST")]
    pub digest: bool,
    /// What to hold the alerts against.
    #[command(flatten)]
    pub score: ScoreArgs,
    /// What to read.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Runs the command: alerts to standard output or a file, the report to standard error.
///
/// # Errors
/// [`Failure::Invalid`] for a wrong configuration, inventory, calendar, mapping or label,
/// [`Failure::Usage`] for an unknown source and flags that do not go together,
/// [`Failure::Environment`] for what cannot be read or written.
pub fn run(args: &BacktestArgs) -> Result<ExitCode, Failure> {
    args.score.check()?;
    let outcome = judged(args, || Output::open(args.alerts.as_deref())).and_then(
        |Judged {
             backtest, config, ..
         }| backtest.finish(&config, args.digest),
    );
    match outcome {
        Ok(code) => Ok(code),
        // Whoever reads the alerts has read enough, as `head` does.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(Stop::Output(error)) => Err(Failure::Environment(format!(
            "{} cannot be written: {error}",
            output::name(args.alerts.as_deref())
        ))),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// What a backtest knows in the end.
pub(super) struct Knowledge {
    /// The engines.
    pub(super) replay: Replay,
    /// What was declared.
    pub(super) inventory: Inventory,
    /// What could not be read, a line for each reason.
    pub(super) unreadable: String,
}

/// What is known after judging what `args` name, without a word of what that raised.
///
/// # Errors
/// As [`run`], and [`Failure::Invalid`] where nothing could be read of what is there.
pub(super) fn silently(args: &BacktestArgs) -> Result<Knowledge, Failure> {
    let Judged {
        backtest: Backtest { replay, report, .. },
        inventory,
        ..
    } = match judged(args, || Ok(Output::Nowhere)) {
        Ok(judged) => judged,
        Err(Stop::Output(error)) => return Err(Failure::Environment(error.to_string())),
        Err(Stop::Failed(failure)) => return Err(failure),
    };
    let unreadable = report.unreadable();
    if replay.span().is_none() && report.refused_any() {
        return Err(Failure::Invalid(format!(
            "nothing could be read of what is there\n{}",
            unreadable.trim_end()
        )));
    }
    Ok(Knowledge {
        replay,
        inventory,
        unreadable,
    })
}

/// A backtest that has judged all of its input, and by what.
struct Judged {
    backtest: Backtest,
    config: Config,
    inventory: Inventory,
}

/// Judges what `args` name; alerts go to `output`.
fn judged(
    args: &BacktestArgs,
    output: impl FnOnce() -> Result<Output, Failure>,
) -> Result<Judged, Stop> {
    let config = Config::load(args.config.as_deref())?;
    let declared = args.inventory.as_ref().or(config.inventory.as_ref());
    let inventory = Inventory::load(declared.map(PathBuf::as_path))?;
    let sources = args.logs.mappings()?;
    let form = Form::of(args, &sources)?;
    let decision = decision(&config, &sources)?;
    refuse_to_write_over(args)?;
    let records = Records::open(&args.logs.inputs)?;
    let progress = Progress::new(args.logs.bytes(&records));
    let mut backtest = Backtest {
        replay: Replay::new(decision),
        report: Report::default(),
        scoring: Scoring::open(&args.score, &sources, |own| {
            let is_read = matches!(form, Form::Mapped(..)) && args.inventory.is_none();
            is_read && own.is_some() && own != config.inventory.as_deref()
        })?,
        output: output()?,
        progress: progress.clone(),
    };
    let records = records.with_progress(|bytes| progress.read(bytes));
    let outcome = match form {
        Form::Log => backtest.log(records),
        Form::Mapped(reader, partitions) => backtest
            .declare(&inventory, partitions)
            .and_then(|()| backtest.mapped(records, &reader, &inventory, partitions)),
    };
    progress.end();
    outcome.map(|()| Judged {
        backtest,
        config,
        inventory,
    })
}

/// What the records of the input are.
enum Form<'s> {
    /// Events, to be mapped and spread over so many partitions.
    Mapped(Reader<'s>, i32),
    /// Records of the events topic, each with its partition.
    Log,
}

impl<'s> Form<'s> {
    fn of(args: &BacktestArgs, sources: &'s Sources) -> Result<Self, Failure> {
        if args.logs.source != LOG {
            let reader = sources.reader(&args.logs.source).map_err(|failure| {
                Failure::Usage(format!("{failure}; and {LOG} for an exported events topic"))
            })?;
            return Ok(Self::Mapped(reader, args.partitions.unwrap_or(1)));
        }
        if args.partitions.is_some() {
            return Err(Failure::Usage(format!(
                "--partitions does not go with --source {LOG}, whose records each have their \
                 partition; leave it out"
            )));
        }
        if args.inventory.is_some() {
            return Err(Failure::Usage(format!(
                "--inventory does not go with --source {LOG}, which holds what was declared when; \
                 leave it out"
            )));
        }
        Ok(Self::Log)
    }
}

/// Why the backtest stopped before the end.
enum Stop {
    Failed(Failure),
    Output(io::Error),
}

impl<F: Into<Failure>> From<F> for Stop {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

struct Backtest {
    replay: Replay,
    report: Report,
    scoring: Option<Scoring>,
    output: Output,
    progress: Progress,
}

/// An event that waits for its turn, and where it came from.
struct Waiting {
    event: MappedEvent,
    source: Arc<str>,
    line: u64,
}

impl Backtest {
    /// Judges the records of an exported log in the order they have.
    fn log(&mut self, records: Records<'_>) -> Result<(), Stop> {
        for record in records {
            let record = record.map_err(Stop::Failed)?;
            let taken = match &record.bytes {
                Ok(bytes) => LogLine::parse(bytes).and_then(|line| self.log_line(&line)),
                Err(reject) => Err(reject.clone()),
            };
            self.note(taken, || record.place())?;
        }
        Ok(())
    }

    fn log_line(&mut self, line: &LogLine) -> Result<(), Reject> {
        self.replay.log_line(line)?;
        if let Some(scoring) = &mut self.scoring {
            scoring.log_line(line);
        }
        Ok(())
    }

    /// Takes in what is declared, before any event.
    fn declare(&mut self, inventory: &Inventory, partitions: i32) -> Result<(), Stop> {
        for entry in inventory.entries() {
            let identity = entry.identity.as_str();
            let partition = partition::of(identity.as_bytes(), partitions).unsigned_abs();
            let taken = self.replay.declare(partition, entry);
            if let (Ok(()), Some(scoring)) = (&taken, &mut self.scoring) {
                scoring.declare(partition, entry);
            }
            self.report.declared(identity);
            self.note(taken, || format!("the inventory entry of {identity}"))?;
        }
        Ok(())
    }

    /// Maps the records and judges them in the order of their times.
    fn mapped(
        &mut self,
        records: Records<'_>,
        reader: &Reader<'_>,
        inventory: &Inventory,
        partitions: i32,
    ) -> Result<(), Stop> {
        let mut sorter = Sorter::default();
        let mut waiting: u64 = 0;
        let mut due = Vec::new();
        let resolve = |event| inventory.aliases().resolve(event);
        for record in records {
            let record = record.map_err(Stop::Failed)?;
            let mut each = |event: Result<MappedEvent, Reject>| match event.and_then(resolve) {
                Ok(event) => {
                    self.report.ignored(event.unknown);
                    let (source, line) = (Arc::clone(&record.source), record.line);
                    let ts = event.ts;
                    waiting += 1;
                    due.extend(sorter.push(
                        ts,
                        Waiting {
                            event,
                            source,
                            line,
                        },
                    ));
                }
                Err(reject) => self.report.reject(&reject, || record.place()),
            };
            match &record.bytes {
                Ok(bytes) => reader.events(bytes, &mut each),
                Err(reject) => each(Err(reject.clone())),
            }
            waiting -= due.len() as u64;
            for next in due.drain(..) {
                self.judge(&next, partitions)?;
            }
        }
        self.progress.counting("judging", waiting);
        while let Some(next) = sorter.pop() {
            self.judge(&next, partitions)?;
            self.progress.counted();
        }
        Ok(())
    }

    fn judge(&mut self, next: &Waiting, partitions: i32) -> Result<(), Stop> {
        let MappedEvent { identity, json, .. } = &next.event;
        let partition = partition::of(identity.as_bytes(), partitions).unsigned_abs();
        let taken = self.replay.event(partition, identity, json);
        if let (Ok(()), Some(scoring)) = (&taken, &mut self.scoring) {
            scoring.event(partition, identity, json);
        }
        self.report.seen(identity);
        self.note(taken, || format!("{}:{}", next.source, next.line))
    }

    /// Keeps account of one record and passes on what it raised.
    fn note(
        &mut self,
        taken: Result<(), Reject>,
        place: impl FnOnce() -> String,
    ) -> Result<(), Stop> {
        if let Err(reject) = taken {
            self.report.reject(&reject, place);
        }
        for alert in self.replay.take_alerts() {
            self.report.alert(&alert);
            if let Some(scoring) = &mut self.scoring {
                scoring.alert(&alert);
            }
            let output = &mut self.output;
            self.progress
                .aside(|| output.alert(&alert))
                .map_err(Stop::Output)?;
        }
        Ok(())
    }

    /// Ends the alerts, then reports; gives the exit code: 1 where all that was read was refused, or
    /// where another configuration sees less.
    fn finish(mut self, config: &Config, digest: bool) -> Result<ExitCode, Stop> {
        let in_vain = self.replay.span().is_none() && self.report.refused_any();
        self.output.flush().map_err(Stop::Output)?;
        let mut text = self.report.text(&self.replay, &config.detectors);
        let mut has_fallen = false;
        if let Some(scoring) = self.scoring.take() {
            let scores = scoring.finish(&self.replay).map_err(Stop::Failed)?;
            has_fallen = scores.has_fallen();
            text.push_str(&scores.to_string());
        }
        let code = ExitCode::from(u8::from(in_vain || has_fallen));
        if digest {
            let line = format!("digest {}\n", self.replay.digest());
            if self.output.is_stdout_taken() {
                text.push_str(&line);
            } else {
                // The report comes first, so that on a terminal the digest is the last line.
                tell(&text)?;
                super::say(&line).map_err(Stop::Failed)?;
                return Ok(code);
            }
        }
        tell(&text)?;
        Ok(code)
    }
}

fn tell(report: &str) -> Result<(), Stop> {
    io::stderr()
        .lock()
        .write_all(report.as_bytes())
        .map_err(|error| Stop::Failed(Failure::Environment(format!("standard error: {error}"))))
}

/// Refuses to write over what is read, into a folder that is, or twice to one file.
fn refuse_to_write_over(args: &BacktestArgs) -> Result<(), Failure> {
    let BacktestArgs { score, logs, .. } = args;
    let files = [&args.config, &args.inventory, &score.labels, &score.against];
    let read: Vec<&PathBuf> = logs
        .inputs
        .iter()
        .chain(files.into_iter().flatten())
        .collect();
    for (flag, to) in [("--alerts", &args.alerts), ("--scores", &score.scores)] {
        let Some((to, target)) = to.as_ref().and_then(|to| Some((to, resolved(to)?))) else {
            continue;
        };
        let clash = read
            .iter()
            .find(|input| resolved(input).is_some_and(|input| target.starts_with(input)));
        if let Some(input) = clash {
            return Err(Failure::Usage(format!(
                "{flag} {} would be written into the input {}; name a file elsewhere",
                to.display(),
                input.display()
            )));
        }
    }
    match (&args.alerts, &score.scores) {
        (Some(alerts), Some(scores)) if is_one_file(alerts, scores) => {
            Err(Failure::Usage(format!(
                "--alerts and --scores are both {}; name two files",
                scores.display()
            )))
        }
        _ => Ok(()),
    }
}
