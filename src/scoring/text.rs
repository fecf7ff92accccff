//! The scores as text for a person.

use std::fmt::{self, Write as _};

use super::difference::{Difference, Told};
use super::exposure::Exposure;
use super::false_alarms::{FalseIncidents, Rate};
use super::nuisances::Nuisance;
use super::recall::{Attack, Recall};
use super::{Against, Known, Run, Scores};
use crate::alert::escape;

/// Incidents of each sort of difference that are told; `--scores` has all.
const EXAMPLES: usize = 10;

impl fmt::Display for Scores {
    /// Tables, each under a line that says what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(labels) = &self.labels {
            known(f, labels)?;
            exposure(f, self.scored.as_ref())?;
        }
        run(f, &self.this)?;
        self.against.as_ref().map_or(Ok(()), |one| against(f, one))
    }
}

fn known(f: &mut fmt::Formatter<'_>, labels: &Known) -> fmt::Result {
    let Known {
        rows,
        instances,
        unseen,
        outside,
    } = labels;
    writeln!(
        f,
        "labels: {instances} attacks and nuisances in {rows} rows"
    )?;
    if *outside > 0 {
        writeln!(
            f,
            "  before or after all events, and counted as missed: {outside}; are they of this input?"
        )?;
    }
    unseen.first().map_or(Ok(()), |first| {
        writeln!(
            f,
            "  of identities without an event: {}, such as {}; is it the name that the events have?",
            unseen.len(),
            escape(first)
        )
    })
}

fn exposure(f: &mut fmt::Formatter<'_>, scored: Option<&Exposure>) -> fmt::Result {
    let Some(scored) = scored else {
        return writeln!(f, "scored: nothing, there was no event");
    };
    let (from, to) = (scored.from.rfc3339(), scored.to.rfc3339());
    if scored.days <= 0.0 {
        return writeln!(
            f,
            "scored: no day, the input ends at {to} and would be scored from {from} on; \
             set --score-from or give more of it"
        );
    }
    writeln!(
        f,
        "scored: {from} to {to}, {:.1} days of {} identities seen: {:.2} identity-years",
        scored.days, scored.identities, scored.identity_years
    )?;
    if scored.from_given {
        return Ok(());
    }
    let learned = Exposure::LEARNED.days();
    writeln!(
        f,
        "  that is from {learned} days after the first event on; --score-from sets another time"
    )
}

fn run(f: &mut fmt::Formatter<'_>, run: &Run) -> fmt::Result {
    if run.left_out > 0 {
        writeln!(
            f,
            "{} alerts are not scored: only {} incidents are kept",
            run.left_out, run.incidents
        )?;
    }
    attacks(f, &run.attacks)?;
    nuisances(f, &run.nuisances)?;
    let found = run.false_incidents.as_ref();
    found.map_or(Ok(()), |found| false_incidents(f, found))
}

fn attacks(f: &mut fmt::Formatter<'_>, attacks: &[Attack]) -> fmt::Result {
    if attacks.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "attacks seen, with the 95 % interval of Clopper and Pearson"
    )?;
    let rows = attacks.iter().map(|attack| {
        let of = |recall: &Recall| {
            let per_cent = |share: f64| (share * 100.0).round();
            let (low, high) = (recall.interval.low, recall.interval.high);
            format!(
                "{}/{} ({}-{} %)",
                recall.seen,
                attack.instances,
                per_cent(low),
                per_cent(high)
            )
        };
        let delay = |which: fn(&super::recall::Delay) -> String| {
            attack.delay.as_ref().map_or_else(|| "-".to_owned(), which)
        };
        vec![
            escape(&attack.scenario),
            of(&attack.any),
            attack.info_only.to_string(),
            of(&attack.medium),
            of(&attack.meant),
            delay(|delay| delay.median.to_string()),
            delay(|delay| delay.p90.to_string()),
            attack.incidents_medium.to_string(),
        ]
    });
    let heads = [
        "scenario",
        "at any severity",
        "by info alone",
        "at medium or more",
        "by those meant",
        "delay, median",
        "90 %",
        "incidents >= medium",
    ];
    table(f, &heads, rows.collect())
}

fn nuisances(f: &mut fmt::Formatter<'_>, nuisances: &[Nuisance]) -> fmt::Result {
    if nuisances.is_empty() {
        return Ok(());
    }
    writeln!(f, "incidents of nuisances")?;
    let rows = nuisances.iter().map(|nuisance| {
        let counts = [
            nuisance.instances,
            nuisance.incidents,
            nuisance.incidents_info,
            nuisance.incidents_medium,
            nuisance.most_per_instance,
        ];
        let mut row = vec![escape(&nuisance.scenario)];
        row.extend(counts.iter().map(usize::to_string));
        row
    });
    let heads = [
        "scenario",
        "instances",
        "incidents",
        "of these info",
        ">= medium",
        "most per instance",
    ];
    table(f, &heads, rows.collect())
}

fn false_incidents(f: &mut fmt::Formatter<'_>, found: &FalseIncidents) -> fmt::Result {
    writeln!(
        f,
        "false incidents in an identity-year, with the exact 95 % interval of a Poisson count"
    )?;
    let row = |name: &str, rate: &Rate, info: Option<usize>| {
        let year = rate.per_identity_year.map_or_else(
            || "-".to_owned(),
            |year| {
                let (low, high) = (year.interval.low, year.interval.high);
                format!("{:.2} ({low:.2}-{high:.2})", year.rate)
            },
        );
        let info = info.map_or_else(String::new, |n| n.to_string());
        vec![name.to_owned(), rate.incidents.to_string(), year, info]
    };
    let info = found.by_detector.iter().map(|of| of.info).sum();
    let mut rows = vec![row("low or more", &found.total, Some(info))];
    let levels = found.by_severity.iter().rev();
    rows.extend(levels.map(|of| row(of.severity.word(), &of.rate, None)));
    let detectors = found.by_detector.iter();
    let detectors = detectors.filter(|of| of.rate.incidents + of.info > 0);
    rows.extend(detectors.map(|of| row(of.detector, &of.rate, Some(of.info))));
    table(
        f,
        &["", "incidents", "per identity-year", "info beside"],
        rows,
    )
}

fn against(f: &mut fmt::Formatter<'_>, against: &Against) -> fmt::Result {
    let name = escape(&against.config);
    writeln!(f, "against {name}")?;
    run(f, &against.other)?;
    difference(f, &against.difference)?;
    for fall in &against.falls {
        writeln!(
            f,
            "{} FALLS with {name}, at {}: {} seen, {} without it",
            escape(&fall.scenario),
            if fall.recall == "any" {
                "any severity"
            } else {
                "medium or more"
            },
            fall.other,
            fall.this
        )?;
    }
    Ok(())
}

fn difference(f: &mut fmt::Formatter<'_>, difference: &Difference) -> fmt::Result {
    if difference.is_none() {
        return writeln!(
            f,
            "no difference: {} incidents are the same",
            difference.same
        );
    }
    writeln!(
        f,
        "{} incidents added, {} removed, {} changed, {} the same",
        difference.added.len(),
        difference.removed.len(),
        difference.changed.len(),
        difference.same
    )?;
    let rows = difference.by_detector.iter().map(|of| {
        let mut row = vec![of.detector.to_owned()];
        let counts = [of.this, of.other, of.added, of.removed, of.changed];
        row.extend(counts.iter().map(usize::to_string));
        row
    });
    let heads = ["detector", "before", "after", "added", "removed", "changed"];
    table(f, &heads, rows.collect())?;
    examples(f, "added", &difference.added, |told| {
        (told, told.severity.to_string())
    })?;
    examples(f, "removed", &difference.removed, |told| {
        (told, told.severity.to_string())
    })?;
    examples(f, "changed", &difference.changed, |one| {
        let severity = format!("{} to {}", one.this.severity, one.other_severity);
        (&one.this, severity)
    })
}

fn examples<T>(
    f: &mut fmt::Formatter<'_>,
    verb: &str,
    all: &[T],
    each: impl Fn(&T) -> (&Told, String),
) -> fmt::Result {
    for one in all.iter().take(EXAMPLES) {
        let (told, severity) = each(one);
        writeln!(
            f,
            "  {verb:<7}  {}  {severity}  {}  {}  {}",
            told.opened.rfc3339(),
            told.detector,
            escape(&told.identity),
            escape(&told.subject)
        )?;
    }
    if all.len() > EXAMPLES {
        writeln!(f, "  {verb:<7}  and {} more", all.len() - EXAMPLES)?;
    }
    Ok(())
}

/// Writes columns as wide as what they hold, the first to the left and the others to the right.
fn table(f: &mut fmt::Formatter<'_>, heads: &[&str], rows: Vec<Vec<String>>) -> fmt::Result {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&heads])
            .filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    for row in [&heads].into_iter().chain(&rows) {
        let mut line = String::new();
        for (nth, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if nth == 0 {
                write!(line, "  {cell:<width$}")?;
            } else {
                write!(line, "  {cell:>width$}")?;
            }
        }
        writeln!(f, "{}", line.trim_end())?;
    }
    Ok(())
}
