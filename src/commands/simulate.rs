//! `nhiwatch simulate`: events, and labels, of a synthetic bank.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chrono::NaiveDate;
use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::files::is_one_file;
use crate::simulate::{Attack, Bank, Label, Line, ListError, Nuisance, Plan, PlanError};

const DAY_MICROS: i64 = 86_400_000_000;

/// Write the events of a simulated bank, with the attacks asked for
#[derive(Clone, Debug, clap::Args)]
pub struct SimulateArgs {
    /// Identities of the bank
    #[arg(
        long,
        default_value_t = 40,
        value_name = "N",
        allow_negative_numbers = true,
        env = "NHIWATCH_IDENTITIES"
    )]
    pub identities: usize,
    /// Days to simulate
    ///
    /// At most 600.
    #[arg(
        long,
        default_value_t = 42,
        value_name = "D",
        allow_negative_numbers = true,
        env = "NHIWATCH_DAYS"
    )]
    pub days: u32,
    /// The last day
    ///
    /// Trading holidays are known for 2025 and 2026.
    #[arg(
        long,
        default_value = "2026-11-13",
        value_name = "DATE",
        env = "NHIWATCH_UNTIL"
    )]
    pub until: NaiveDate,
    /// The same seed gives the same bank
    ///
    /// Byte for byte.
    #[arg(
        long,
        default_value_t = 1,
        value_name = "S",
        allow_negative_numbers = true,
        env = "NHIWATCH_SEED"
    )]
    pub seed: u64,
    /// Attacks among A1 to A20, such as A3,A5x2; or none, all, or standard
    ///
    /// `all` is one of each of A1 to A18, `standard` one of each of these for every 50 identities.
    /// docs/simulation.md describes them.
    #[arg(
        long,
        default_value = "none",
        value_name = "LIST",
        env = "NHIWATCH_ATTACKS"
    )]
    pub attacks: String,
    /// How many times their size the attacks have
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "X",
        allow_negative_numbers = true,
        env = "NHIWATCH_STRENGTH"
    )]
    pub strength: f64,
    /// Harmless changes that should not alert, labelled as such
    ///
    /// Among N1 to N18, such as N1,N4x3; or none, all, or standard. Without a value: all.
    #[arg(
        long,
        default_value = "none",
        num_args = 0..=1,
        default_missing_value = "all",
        value_name = "LIST",
        env = "NHIWATCH_NUISANCES"
    )]
    pub nuisances: String,
    /// Where to write what happened to whom, as NDJSON
    #[arg(long, value_name = "FILE", env = "NHIWATCH_LABELS")]
    pub labels: Option<PathBuf>,
    /// Where to write what the bank declares of its identities, as an inventory in YAML
    #[arg(long, value_name = "FILE", env = "NHIWATCH_SIMULATE_INVENTORY")]
    pub inventory: Option<PathBuf>,
    /// How cloud roles are written: as their audit trail does, or in our event schema
    #[arg(long, value_enum, default_value_t = Format::Mixed, env = "NHIWATCH_SIMULATE_FORMAT")]
    pub format: Format,
}

/// How the events of cloud roles are written; all others are always in our event schema.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// Everything in the published event schema
    Native,
    /// Cloud roles as AWS CloudTrail records
    Mixed,
}

/// Writes the events to standard output.
///
/// # Errors
/// [`Failure::Usage`] where the attacks are unknown or the plan impossible,
/// [`Failure::Environment`] where the labels or the events cannot be written.
pub fn run(args: &SimulateArgs) -> Result<ExitCode, Failure> {
    if let (Some(labels), Some(inventory)) = (&args.labels, &args.inventory)
        && is_one_file(labels, inventory)
    {
        return Err(Failure::Usage(format!(
            "--labels and --inventory are both {}; name two files",
            inventory.display()
        )));
    }
    let bank = bank(args)?;
    if let Some(path) = &args.labels {
        write_labels(path, &bank.labels())?;
    }
    if let Some(path) = &args.inventory {
        write_inventory(path, &bank)?;
    }
    let bar = progress(args.days);
    let written = write_events(&mut io::stdout().lock(), bank.events(), &bar);
    bar.finish_and_clear();
    match written {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Whoever read has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::Environment(format!(
            "standard output cannot be written ({error}): give it a file or a pipe with room left"
        ))),
    }
}

fn bank(args: &SimulateArgs) -> Result<Bank, Failure> {
    let plan = plan(args)?;
    if plan.has_unknown_holidays() {
        tracing::warn!(
            "trading holidays are known for 2025 and 2026: on those of other years this bank's venues are open"
        );
    }
    Bank::new(&plan).map_err(usage)
}

fn plan(args: &SimulateArgs) -> Result<Plan, Failure> {
    if !(1..=Plan::MAX_DAYS).contains(&args.days) {
        let (days, identities) = (args.days, args.identities);
        return Err(usage(PlanError::Size { days, identities }));
    }
    let unread = |flag: &str, error: ListError| Failure::Usage(format!("{flag}: {error}"));
    let mut plan = Plan::new(args.identities, args.days, args.seed).until(args.until);
    plan.attacks = match args.attacks.trim() {
        "standard" => Attack::standard(args.identities),
        list => Attack::list(list).map_err(|error| unread("--attacks", error))?,
    };
    plan.strength = args.strength;
    plan.nuisances =
        Nuisance::list(&args.nuisances, &plan).map_err(|error| unread("--nuisances", error))?;
    plan.native = args.format == Format::Native;
    Ok(plan)
}

fn usage(error: PlanError) -> Failure {
    Failure::Usage(error.to_string())
}

fn write_labels(path: &Path, labels: &[Label]) -> Result<(), Failure> {
    let lines = labels.iter().map(|label| label.json() + "\n");
    write_file("labels", path, lines)
}

fn write_inventory(path: &Path, bank: &Bank) -> Result<(), Failure> {
    let list = bank.inventory().map(|entry| entry.yaml());
    let head = "identities:\n".to_owned();
    write_file("inventory", path, std::iter::once(head).chain(list))
}

fn write_file(what: &str, path: &Path, parts: impl Iterator<Item = String>) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        for part in parts {
            file.write_all(part.as_bytes())?;
        }
        file.flush()
    };
    write().map_err(|error| {
        Failure::Environment(format!(
            "{what} file {} cannot be written ({error}): name a file in a folder you may write to",
            path.display()
        ))
    })
}

fn write_events(
    out: &mut impl Write,
    lines: impl Iterator<Item = Line>,
    bar: &ProgressBar,
) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let mut day = None;
    for line in lines {
        let today = line.ts_micros.div_euclid(DAY_MICROS);
        if day.is_some_and(|day| day != today) {
            bar.inc(1);
        }
        day = Some(today);
        out.write_all(line.json.as_bytes())?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// A bar on standard error; it draws nothing where that is no terminal.
fn progress(days: u32) -> ProgressBar {
    let bar = ProgressBar::new(u64::from(days));
    if let Ok(style) = ProgressStyle::with_template("simulating {bar:30} day {pos} of {len} {eta}")
    {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(attacks: &str) -> SimulateArgs {
        SimulateArgs {
            identities: 10,
            days: 3,
            seed: 1,
            attacks: attacks.to_owned(),
            strength: 1.0,
            nuisances: "none".to_owned(),
            until: NaiveDate::from_ymd_opt(2026, 11, 13).unwrap(),
            labels: None,
            inventory: None,
            format: Format::Native,
        }
    }

    /// Takes `room` bytes, then breaks like a closed pipe.
    struct Pipe {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.taken.len() >= self.room {
                return Err(ErrorKind::BrokenPipe.into());
            }
            self.taken.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_event_is_written_on_each_line() {
        let mut pipe = Pipe {
            room: usize::MAX,
            taken: Vec::new(),
        };
        let bank = bank(&args("none")).unwrap();
        write_events(&mut pipe, bank.events(), &ProgressBar::hidden()).unwrap();
        let text = String::from_utf8(pipe.taken).unwrap();
        assert_eq!(text.lines().count(), bank.events().count());
        for line in text.lines() {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(event["identity"].is_string(), "{line}");
        }
    }

    #[test]
    fn a_reader_that_leaves_ends_the_writing() {
        let mut pipe = Pipe {
            room: 1,
            taken: Vec::new(),
        };
        let bank = bank(&args("none")).unwrap();
        let error = write_events(&mut pipe, bank.events(), &ProgressBar::hidden()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn wrong_usage_is_named_and_told_apart_from_a_bad_environment() {
        let unknown = bank(&args("A99")).unwrap_err();
        assert!(
            matches!(&unknown, Failure::Usage(text) if text.contains("A99") && text.contains("A3"))
        );
        assert!(matches!(bank(&args("A5x9")), Err(Failure::Usage(_))));
        assert!(matches!(
            bank(&SimulateArgs {
                days: 0,
                ..args("none")
            }),
            Err(Failure::Usage(_))
        ));
        let folder = tempfile::tempdir().unwrap();
        let error = write_labels(folder.path(), &[]).unwrap_err();
        assert!(matches!(&error, Failure::Environment(text) if text.contains("labels file")));
    }

    #[test]
    fn labels_are_written_one_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.ndjson");
        let bank = bank(&args("A3,A5")).unwrap();
        write_labels(&path, &bank.labels()).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("\"scenario\":\"A5\""), "{text}");
    }

    #[test]
    fn the_inventory_is_yaml_and_declares_every_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.yaml");
        let bank = bank(&args("A10")).unwrap();
        write_inventory(&path, &bank).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let file: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        let entries = file["identities"].as_array().unwrap();
        let names = entries.iter().map(|entry| entry["identity"].as_str());
        assert!(names.eq(bank.identities().map(Some)), "{text}");
        for entry in entries {
            let zone = entry["timezone"].as_str().unwrap();
            assert!(zone.parse::<chrono_tz::Tz>().is_ok(), "{entry}");
            assert!(
                (1..=4).contains(&entry["tier"].as_u64().unwrap()),
                "{entry}"
            );
            for field in ["kind", "owner", "app", "env", "group"] {
                assert!(entry[field].is_string(), "{field} in {entry}");
            }
            let algo = entry["kind"] == "algo";
            assert!(
                !algo
                    || entry["schedule"][0]
                        .as_str()
                        .unwrap()
                        .starts_with("Mon-Fri ")
            );
        }
        let retired = entries.iter().filter(|entry| entry["status"] == "retired");
        let dates: Vec<_> = retired
            .map(|entry| entry["decommissioned"].is_string())
            .collect();
        assert_eq!(dates, [true]);
    }

    #[test]
    fn nuisances_are_a_switch_or_a_list() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            simulate: SimulateArgs,
        }
        let asked = |flags: &[&str]| {
            let flags = std::iter::once("simulate").chain(flags.iter().copied());
            let line = <Line as clap::Parser>::try_parse_from(flags).unwrap();
            plan(&line.simulate).unwrap().nuisances
        };
        assert_eq!(asked(&[]), []);
        let all = asked(&["--nuisances", "--until", "2026-12-04"]);
        assert!(all.len() >= 16, "{all:?}");
        let list = asked(&["--nuisances", "N1,n4x2", "--days", "5"]);
        let (one, four) = (Nuisance::Deployment, Nuisance::BlueGreen);
        assert_eq!(list, [one, four, four]);
        let wrong = SimulateArgs {
            nuisances: "N1,N99".to_owned(),
            ..args("none")
        };
        let error = bank(&wrong).unwrap_err();
        assert!(
            matches!(&error, Failure::Usage(text) if text.contains("--nuisances")
                && text.contains("N99") && text.contains("N1 to N18"))
        );
        let standard = plan(&args("standard")).unwrap().attacks;
        assert_eq!(Ok(standard), Attack::list("all"));
    }
}
