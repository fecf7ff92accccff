//! What is known to have happened: labels, one JSON object a line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde::Deserialize;

use super::incidents::Incident;
use crate::alert::escape;
use crate::config::contents;
use crate::failure::Failure;
use crate::wire::timestamp;

/// No file of labels is larger, in bytes: some three hundred thousand rows.
const SIZE_MAX: u64 = 64 << 20;
/// Faults of one file that are told at once.
const FAULTS_MAX: usize = 20;
/// A row as it must be.
const EXAMPLE: &str = r#"{"scenario":"A5","identity":"svc-1","from":"2026-11-12T07:37:20Z","to":"2026-11-12T07:49:25Z","detectors":["off-hours"],"malicious":true}"#;

/// A row as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    scenario: String,
    identity: String,
    from: String,
    to: String,
    detectors: Vec<String>,
    malicious: bool,
}

/// One attack on one identity, or one harmless change of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Instance {
    /// What sort it is of, such as `A5`.
    pub scenario: String,
    /// Whom it befell.
    pub identity: String,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// The detectors meant to see it.
    pub detectors: BTreeSet<String>,
    /// Whether it is an attack.
    pub malicious: bool,
}

impl Instance {
    /// How long after its end an incident may still be about it.
    pub const AFTER: Span = Span::DAY;

    /// Whether `incident` may be about it: of its identity, and in its time.
    #[must_use]
    pub fn meets(&self, incident: &Incident) -> bool {
        incident.is_about(&self.identity)
            && incident.opened <= self.to.plus(Self::AFTER)
            && incident.last >= self.from
    }
}

/// What happened to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    instances: Vec<Instance>,
    rows: usize,
}

impl Labels {
    /// The labels in `file`.
    ///
    /// # Errors
    /// [`Failure::Environment`] where it cannot be read, [`Failure::Invalid`] for all that is wrong
    /// with its rows, each with its place.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        let name = file.display();
        let text = contents(file, SIZE_MAX).map_err(|reason| {
            Failure::Environment(format!("labels file {name} cannot be read: {reason}"))
        })?;
        Self::parse(&text).map_err(|faults| {
            let mut told: Vec<String> = faults
                .iter()
                .take(FAULTS_MAX)
                .map(|(line, fault)| format!("{name}:{line}: {fault}"))
                .collect();
            if faults.len() > FAULTS_MAX {
                told.push(format!("and {} more", faults.len() - FAULTS_MAX));
            }
            Failure::Invalid(told.join("\n"))
        })
    }

    /// The labels in `text`, one a line; lines without text are passed over.
    ///
    /// # Errors
    /// What is wrong, each with its line from 1.
    pub fn parse(text: &str) -> Result<Self, Vec<(usize, String)>> {
        let (mut rows, mut faults) = (Vec::new(), Vec::new());
        let mut harm: BTreeMap<String, (bool, usize)> = BTreeMap::new();
        for (line, written) in (1..).zip(text.lines()) {
            if written.trim().is_empty() {
                continue;
            }
            let row = match instance(written) {
                Ok(row) => row,
                Err(fault) => {
                    faults.push((line, fault));
                    continue;
                }
            };
            let (malicious, first) = *harm
                .entry(row.scenario.clone())
                .or_insert((row.malicious, line));
            if malicious == row.malicious {
                rows.push(row);
            } else {
                let fault = format!(
                    "scenario `{}` is malicious: {}, and malicious: {malicious} on line {first}; \
                     an attack and a nuisance need names of their own",
                    escape(&row.scenario),
                    row.malicious
                );
                faults.push((line, fault));
            }
        }
        if rows.is_empty() && faults.is_empty() {
            faults.push((
                1,
                format!("no label is here; write one a line, as {EXAMPLE}"),
            ));
        }
        if faults.is_empty() {
            let count = rows.len();
            Ok(Self {
                instances: merged(rows),
                rows: count,
            })
        } else {
            Err(faults)
        }
    }

    /// Each attack and each nuisance, by scenario, identity and time.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// How many rows there were.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// The instances of each scenario that is an attack, or of each that is none.
    #[must_use]
    pub fn scenarios(&self, malicious: bool) -> BTreeMap<&str, Vec<&Instance>> {
        let mut scenarios: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
        for instance in &self.instances {
            if instance.malicious == malicious {
                let scenario = scenarios.entry(&instance.scenario).or_default();
                scenario.push(instance);
            }
        }
        scenarios
    }
}

/// The instance a row stands for, or what is wrong with the row.
fn instance(written: &str) -> Result<Instance, String> {
    let row: Row = serde_json::from_str(written).map_err(|error| {
        let error = error
            .to_string()
            .replace(" at line 1 column ", " at column ");
        format!("{}; a label is written as {EXAMPLE}", escape(&error))
    })?;
    for (key, value) in [("scenario", &row.scenario), ("identity", &row.identity)] {
        if value.trim().is_empty() {
            return Err(format!("`{key}` is empty; name it, as in {EXAMPLE}"));
        }
    }
    // The fault names the field that an event has.
    let time = |key: &str, written: &str| {
        timestamp::text(written).map_err(|reject| {
            let fault = reject.detail.trim_start_matches("ts: ");
            format!("`{key}`: {}", escape(fault))
        })
    };
    let (from, to) = (time("from", &row.from)?, time("to", &row.to)?);
    if to < from {
        return Err("`to` is before `from`; exchange them".to_owned());
    }
    Ok(Instance {
        scenario: row.scenario,
        identity: row.identity,
        from,
        to,
        detectors: row.detectors.into_iter().collect(),
        malicious: row.malicious,
    })
}

/// Makes one of what touches: one scenario, one identity, no time between.
fn merged(mut rows: Vec<Instance>) -> Vec<Instance> {
    rows.sort_by(|a, b| {
        let key = |row: &Instance| (row.from, row.to);
        (&a.scenario, &a.identity, key(a)).cmp(&(&b.scenario, &b.identity, key(b)))
    });
    let mut instances: Vec<Instance> = Vec::new();
    for row in rows {
        match instances.last_mut() {
            Some(last)
                if last.scenario == row.scenario
                    && last.identity == row.identity
                    && row.from <= last.to =>
            {
                last.to = last.to.max(row.to);
                last.detectors.extend(row.detectors);
            }
            _ => instances.push(row),
        }
    }
    instances
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(scenario: &str, identity: &str, (from, to): (u32, u32), malicious: bool) -> String {
        format!(
            "{{\"scenario\":\"{scenario}\",\"identity\":\"{identity}\",\
             \"from\":\"2026-11-12T{from:02}:00:00Z\",\"to\":\"2026-11-12T{to:02}:00:00Z\",\
             \"detectors\":[\"d{from}\"],\"malicious\":{malicious}}}\n"
        )
    }

    #[test]
    fn rows_that_touch_are_one_instance_and_others_are_not() {
        let text = [
            row("A1", "x", (5, 6), true),
            row("A1", "x", (1, 3), true),
            row("A1", "x", (3, 4), true),
            row("A1", "y", (3, 4), true),
            row("A2", "x", (3, 4), true),
            row("N1", "x", (3, 4), false),
        ];
        let labels = Labels::parse(&text.concat()).unwrap();
        let hours = |instance: &Instance| (instance.from.hour() % 24, instance.to.hour() % 24);
        let spans: Vec<_> = labels
            .instances()
            .iter()
            .map(|one| (one.scenario.as_str(), one.identity.as_str(), hours(one)))
            .collect();
        assert_eq!(
            spans,
            [
                ("A1", "x", (1, 4)),
                ("A1", "x", (5, 6)),
                ("A1", "y", (3, 4)),
                ("A2", "x", (3, 4)),
                ("N1", "x", (3, 4))
            ]
        );
        assert_eq!(labels.rows(), 6);
        let meant: Vec<_> = labels.instances()[0].detectors.iter().collect();
        assert_eq!(meant, ["d1", "d3"]);
        assert_eq!(labels.scenarios(true)["A1"].len(), 3);
        assert_eq!(labels.scenarios(false).len(), 1);
    }

    #[test]
    fn the_example_is_a_label() {
        assert_eq!(Labels::parse(EXAMPLE).unwrap().rows(), 1);
    }

    #[test]
    fn every_fault_is_told_with_its_line_and_its_cure() {
        let good = row("A1", "x", (1, 3), true);
        for (bad, says) in [
            (
                "garbage",
                "expected value at column 1; a label is written as",
            ),
            (
                &good.replace("scenario", "scenari"),
                "unknown field `scenari`",
            ),
            (
                &good.replace(",\"malicious\":true", ""),
                "missing field `malicious`",
            ),
            (
                &good.replace("\"x\"", "\" \""),
                "`identity` is empty; name it",
            ),
            (
                &good.replace("T03", "T00"),
                "`to` is before `from`; exchange them",
            ),
            (
                &good.replace("T03:00:00Z", ""),
                "`to`: `2026-11-12` is not an RFC 3339 time",
            ),
            (
                &good.replace("true", "false"),
                "malicious: true on line 2; an attack and",
            ),
        ] {
            let text = format!("\n{good}{bad}\n");
            let faults = Labels::parse(&text).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(faults[0].0, 3);
            assert!(faults[0].1.contains(says), "{}", faults[0].1);
        }
    }

    #[test]
    fn a_file_without_labels_is_refused() {
        let faults = Labels::parse("\n \n").unwrap_err();
        assert!(
            faults[0]
                .1
                .starts_with("no label is here; write one a line")
        );
    }
}
