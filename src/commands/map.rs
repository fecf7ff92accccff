//! `nhiwatch map`: raw logs in, normalised events out, and what was missing.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use super::logs::LogArgs;
use super::progress::Progress;
use crate::alert::escape;
use crate::failure::Failure;
use crate::files::Records;
use crate::sources::{MappedEvent, Reader};
use crate::wire::{Reason, Reject};

/// Turn raw logs into events of the event schema, one per line, and say what was missing
#[derive(Clone, Debug, clap::Args)]
pub struct MapArgs {
    /// What to read.
    #[command(flatten)]
    pub logs: LogArgs,
}

/// Runs the command: events to standard output, the summary to standard error.
///
/// The exit code is 1 where a record was refused.
///
/// # Errors
/// [`Failure::Usage`] for an unknown source, [`Failure::Invalid`] for a wrong mapping, [`Failure::Environment`] for what
/// cannot be read or written.
pub fn run(args: &MapArgs) -> Result<ExitCode, Failure> {
    let sources = args.logs.mappings()?;
    let reader = sources.reader(&args.logs.source)?;
    let records = Records::open(&args.logs.inputs)?;
    let progress = Progress::beside_output(args.logs.bytes(&records));
    let records = records.with_progress(|bytes| progress.read(bytes));
    let (mut out, mut summary) = (BufWriter::new(io::stdout().lock()), Summary::default());
    let outcome = map(&reader, records, &mut out, &mut summary);
    progress.end();
    match outcome {
        // Whoever reads our output has read enough, as `head` does.
        Err(Stop::Output(error)) if error.kind() == ErrorKind::BrokenPipe => {
            return Ok(ExitCode::SUCCESS);
        }
        Err(Stop::Output(error)) => {
            return Err(Failure::Environment(format!("standard output: {error}")));
        }
        Err(Stop::Input(failure)) => return Err(failure),
        Ok(()) => {}
    }
    summary
        .write(&mut io::stderr().lock())
        .map_err(|error| Failure::Environment(format!("standard error: {error}")))?;
    Ok(if summary.rejected.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Why mapping stopped before the end.
#[derive(Debug)]
enum Stop {
    Input(Failure),
    Output(io::Error),
}

fn map(
    reader: &Reader<'_>,
    records: Records<'_>,
    to: &mut impl Write,
    summary: &mut Summary,
) -> Result<(), Stop> {
    for record in records {
        let record = record.map_err(Stop::Input)?;
        summary.records += 1;
        let mut written = Ok(());
        let mut each = |event: Result<MappedEvent, Reject>| match event {
            Ok(event) => {
                summary.add(&event);
                if written.is_ok() {
                    written = writeln!(to, "{}", event.json);
                }
            }
            Err(reject) => summary.reject(&reject, || record.place()),
        };
        match &record.bytes {
            Ok(bytes) => reader.events(bytes, &mut each),
            Err(reject) => each(Err(reject.clone())),
        }
        written.map_err(Stop::Output)?;
    }
    to.flush().map_err(Stop::Output)
}

/// What became of the records.
#[derive(Debug, Default)]
struct Summary {
    records: u64,
    events: u64,
    rejected: BTreeMap<Reason, (u64, String)>,
    missing: BTreeMap<&'static str, u64>,
}

impl Summary {
    fn add(&mut self, event: &MappedEvent) {
        self.events += 1;
        for &field in &event.missing {
            *self.missing.entry(field).or_default() += 1;
        }
    }

    fn reject(&mut self, reject: &Reject, place: impl FnOnce() -> String) {
        self.rejected
            .entry(reject.reason)
            .or_insert_with(|| (0, format!("{}: {reject}", escape(&place()))))
            .0 += 1;
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let rejected: u64 = self.rejected.values().map(|(n, _)| n).sum();
        writeln!(
            to,
            "{} records: {} events, {rejected} rejected",
            self.records, self.events
        )?;
        for (reason, (n, first)) in &self.rejected {
            writeln!(to, "  rejected {reason:<13} {n:>8}  first {first}")?;
        }
        let mut missing: Vec<_> = self.missing.iter().collect();
        missing.sort_by_key(|(field, n)| (std::cmp::Reverse(**n), **field));
        for (field, n) in missing {
            let share = 100.0 * *n as f64 / self.events as f64;
            writeln!(
                to,
                "  missing  {field:<17} {n:>4}  in {share:.0} % of events"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Sources;

    #[test]
    fn a_files_name_cannot_deceive_a_terminal() {
        let (mut summary, mut shown) = (Summary::default(), Vec::new());
        let place = || "a\u{1b}[2J:1".to_owned();
        summary.reject(&Reject::new(Reason::Json, "no"), place);
        summary.write(&mut shown).expect("not written");
        let shown = String::from_utf8_lossy(&shown);
        assert!(shown.contains("first a\\u{1b}[2J:1: json"), "{shown}");
    }

    #[test]
    fn the_summary_counts_and_shows_the_first_of_each_fault() {
        let file = tempfile::NamedTempFile::new().expect("no file");
        let event = r#"{"ts":1790000000,"identity":"svc","action":"a"}"#;
        std::fs::write(file.path(), format!("{event}\n{{oops\nno\n{event}\n"))
            .expect("not written");
        let sources = Sources::load(None).expect("refused");
        let reader = sources.reader("auto").expect("absent");
        let (mut out, mut summary, mut shown) = (Vec::new(), Summary::default(), Vec::new());
        let records = Records::open(&[file.path().to_owned()]).expect("not opened");
        map(&reader, records, &mut out, &mut summary).expect("stopped");
        summary.write(&mut shown).expect("not written");
        let line = "{\"ts\":\"2026-09-21T14:13:20Z\",\"identity\":\"svc\",\"action\":\"a\"}\n";
        assert_eq!(String::from_utf8_lossy(&out), line.repeat(2));
        let shown = String::from_utf8_lossy(&shown);
        assert!(
            shown.starts_with("4 records: 2 events, 2 rejected\n"),
            "{shown}"
        );
        assert!(
            shown.contains(&format!("first {}:2: json: ", file.path().display())),
            "{shown}"
        );
    }
}
