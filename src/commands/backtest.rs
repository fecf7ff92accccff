//! `nhiwatch backtest`: the engine on files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nhiwatch_detectors::kernel::engine::{Decision, Young};
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use super::{config, say};
use crate::failure::Failure;
use crate::files::{Record, Records};
use crate::replay::{Replay, Sorter};
use crate::sources::{MappedEvent, Sources};
use crate::wire::{LogLine, Reject};
use crate::{alert, calendars, partition};

/// Judge events in files, without Kafka
///
/// The same engine as the service's: the same input gives the same alerts, byte for byte. Reads our
/// event schema or raw logs; files, folders, `-` for standard input; .gz and .zst.
#[derive(Args, Debug)]
pub struct BacktestArgs {
    /// The configuration file; without one the defaults hold
    #[arg(long, env = "NHIWATCH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What the input is: auto, native, a mapping's name, or log for `topics --export`
    #[arg(
        long,
        env = "NHIWATCH_SOURCE",
        default_value = "auto",
        value_name = "NAME"
    )]
    source: String,
    /// Partitions to spread the identities over, as a service would
    #[arg(long, env = "NHIWATCH_PARTITIONS", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    partitions: u32,
    /// Write every alert as a line of JSON to OUT (`-` for standard output), not for a person
    #[arg(long, env = "NHIWATCH_ALERTS", value_name = "OUT")]
    alerts: Option<PathBuf>,
    /// Print a hash over the state at the end; equal means equal
    #[arg(long, env = "NHIWATCH_DIGEST")]
    digest: bool,
    /// Files, folders, or `-`
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
}

/// Judges every event of the inputs in the order of time, and reports.
///
/// # Errors
/// Where the configuration is invalid, an input cannot be read or an output not be written.
pub fn run(args: &BacktestArgs) -> Result<ExitCode, Failure> {
    let config = config(args.config.as_deref())?;
    let sources = Sources::load(None)?;
    let calendars = calendars::load(config.calendars.directory.as_deref())
        .map_err(|error| Failure::Invalid(error.to_string()))?;
    let decision = Decision::new(
        &config.detectors,
        &config.limits,
        &calendars,
        sources.digest(),
    );
    let mut session = Session {
        replay: Replay::new(Arc::new(decision)),
        partitions: args.partitions,
        out: Out::open(args)?,
        report: Report::default(),
    };
    let records = Records::open(&args.inputs)?;
    let bar = progress(records.bytes());
    let records = records.with_progress(|bytes| bar.set_position(bytes));
    if args.source == "log" {
        session.log(records)?;
    } else {
        let reader = sources.reader(&args.source)?;
        let mut sorter = Sorter::default();
        for record in records {
            let record = record?;
            let place = record.place();
            let Record { bytes, .. } = record;
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(reject) => {
                    session.report.reject(&reject, &place);
                    continue;
                }
            };
            let mut due = Vec::new();
            reader.events(&bytes, &mut |mapped| match mapped {
                Ok(event) => due.extend(sorter.push(event.ts, event)),
                Err(reject) => session.report.reject(&reject, &place),
            });
            due.iter().try_for_each(|event| session.event(event))?;
        }
        while let Some(event) = sorter.pop() {
            session.event(&event)?;
        }
    }
    bar.finish_and_clear();
    session.finish(args)
}

struct Session {
    replay: Replay,
    partitions: u32,
    out: Out,
    report: Report,
}

impl Session {
    fn log(&mut self, records: Records<'_>) -> Result<(), Failure> {
        for record in records {
            let record = record?;
            let place = record.place();
            let line = record.bytes.and_then(|bytes| LogLine::parse(&bytes));
            match line.and_then(|line| self.replay.log_line(&line)) {
                Ok(()) => self.report.events += 1,
                Err(reject) => self.report.reject(&reject, &place),
            }
            self.publish()?;
        }
        Ok(())
    }

    fn event(&mut self, event: &MappedEvent) -> Result<(), Failure> {
        let partition = partition::of(event.identity.as_bytes(), self.partitions);
        match self.replay.event(partition, &event.identity, &event.json) {
            Ok(()) => self.report.time(event.ts),
            Err(reject) => self.report.reject(&reject, &event.identity),
        }
        self.publish()
    }

    fn publish(&mut self) -> Result<(), Failure> {
        for alert in self.replay.take_alerts() {
            let opened = u64::from(alert.revision == 1);
            *self.report.alerts.entry(alert.detector).or_default() += opened;
            match &mut self.out {
                Out::Lines(to, name) => writeln!(to, "{}", alert::native(&alert))
                    .map_err(|error| unwritable(name, &error))?,
                Out::Person { colour } if alert.revision == 1 => {
                    say(&format!("{}\n", alert::person(&alert, *colour)))?;
                }
                Out::Person { .. } => {}
            }
        }
        Ok(())
    }

    fn finish(mut self, args: &BacktestArgs) -> Result<ExitCode, Failure> {
        if let Out::Lines(to, name) = &mut self.out {
            to.flush().map_err(|error| unwritable(name, &error))?;
        }
        let mut err = std::io::stderr().lock();
        // Nobody is left to tell when standard error is gone.
        let _ = err.write_all(self.report.text(&self.replay).as_bytes());
        if args.digest {
            let digest = format!("digest {}\n", self.replay.digest());
            if args
                .alerts
                .as_ref()
                .is_some_and(|out| out.as_os_str() == "-")
            {
                let _ = err.write_all(digest.as_bytes());
            } else {
                say(&digest)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Where alerts go.
enum Out {
    Lines(Box<dyn Write>, String),
    Person { colour: bool },
}

impl Out {
    fn open(args: &BacktestArgs) -> Result<Self, Failure> {
        let Some(path) = &args.alerts else {
            let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            return Ok(Self::Person { colour });
        };
        let name = path.display().to_string();
        if name == "-" {
            return Ok(Self::Lines(
                Box::new(std::io::stdout()),
                "standard output".to_owned(),
            ));
        }
        let file = File::create(path).map_err(|error| unwritable(&name, &error))?;
        Ok(Self::Lines(Box::new(BufWriter::new(file)), name))
    }
}

fn unwritable(name: &str, error: &std::io::Error) -> Failure {
    Failure::Environment(format!("cannot write alerts to {name}: {error}"))
}

/// What was read and found.
#[derive(Default)]
struct Report {
    events: u64,
    span: Option<(Timestamp, Timestamp)>,
    /// How often, and where first, by reason.
    rejected: BTreeMap<&'static str, (u64, String)>,
    alerts: BTreeMap<&'static str, u64>,
}

impl Report {
    fn time(&mut self, ts: Timestamp) {
        self.events += 1;
        let (from, until) = self.span.unwrap_or((ts, ts));
        self.span = Some((from.min(ts), until.max(ts)));
    }

    fn reject(&mut self, reject: &Reject, place: &str) {
        let entry = self.rejected.entry(reject.reason.word()).or_default();
        entry.0 += 1;
        if entry.0 == 1 {
            entry.1 = format!("{}: {}", alert::escape(place), reject.detail);
        }
    }

    fn text(&self, replay: &Replay) -> String {
        let mut lines = Vec::new();
        if self.events == 0 {
            lines.push("read no events".to_owned());
        } else {
            let identities: u64 = replay
                .engines()
                .map(|engine| engine.stats().identities)
                .sum();
            let span = self.span.map_or(String::new(), |(from, until)| {
                format!(" from {from} to {until} ({})", until.since(from))
            });
            lines.push(format!(
                "read {} events of {identities} identities{span}",
                self.events
            ));
        }
        for &fate in Fate::ALL.iter().filter(|fate| **fate != Fate::Judged) {
            let count: u64 = replay
                .engines()
                .map(|engine| engine.stats().fates[fate as usize])
                .sum();
            if count > 0 {
                lines.push(format!("{count} {fate}"));
            }
        }
        for (reason, (count, first)) in &self.rejected {
            lines.push(format!(
                "{count} records could not be read ({reason}), first {first}"
            ));
        }
        let total: u64 = self.alerts.values().sum();
        lines.push(format!("{total} alerts"));
        for (detector, count) in &self.alerts {
            lines.push(format!("  {detector}: {count}"));
        }
        let young: Vec<(Young, Timestamp)> = replay
            .engines()
            .flat_map(|engine| {
                let now = engine.watermark().unwrap_or_default();
                engine.learning().into_iter().map(move |young| (young, now))
            })
            .collect();
        if !young.is_empty() {
            lines.push(format!(
                "{} identities are still being learned:",
                young.len()
            ));
        }
        for (young, now) in young.iter().take(10) {
            let left = Span::WEEK.times(4).days() - now.since(young.first_seen).days();
            let identity = alert::escape(&young.identity);
            lines.push(format!(
                "  {identity} ({}, {left:.0} days to go)",
                young.state
            ));
        }
        if young.len() > 10 {
            lines.push(format!("  and {} more", young.len() - 10));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

fn progress(bytes: u64) -> ProgressBar {
    if bytes == 0 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes}, {eta} to go");
    ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
