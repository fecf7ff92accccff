//! What was read, judged and found, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::own::OWN;
use nhiwatch_detectors::kernel::time::Span;
use nhiwatch_detectors::{CARDS, Configs};

use crate::alert::escape;
use crate::replay::Replay;
use crate::wire::{Reason, Reject};

/// How many identities are named.
const NAMED: usize = 10;

/// What only the driver sees; the rest is asked of the engines at the end.
#[derive(Debug, Default)]
pub(super) struct Report {
    rejected: BTreeMap<Reason, (u64, String)>,
    alerts: BTreeMap<&'static str, Raised>,
    unknown: u64,
    /// Identities that are declared and had no event yet.
    unseen: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Raised {
    opened: u64,
    updates: u64,
}

impl Report {
    /// Notes a record that could not be read, and where it was.
    pub(super) fn reject(&mut self, reject: &Reject, place: impl FnOnce() -> String) {
        self.rejected
            .entry(reject.reason)
            .or_insert_with(|| (0, format!("{}: {reject}", escape(&place()))))
            .0 += 1;
    }

    /// Notes fields that were ignored before the event came to the replay.
    pub(super) fn ignored(&mut self, unknown: u32) {
        self.unknown += u64::from(unknown);
    }

    /// Notes that `identity` is declared.
    pub(super) fn declared(&mut self, identity: &str) {
        self.unseen.insert(identity.to_owned());
    }

    /// Notes an event of `identity`.
    pub(super) fn seen(&mut self, identity: &str) {
        self.unseen.remove(identity);
    }

    /// Notes an alert or an update of one.
    pub(super) fn alert(&mut self, alert: &Alert) {
        let raised = self.alerts.entry(alert.detector).or_default();
        if alert.revision == 1 {
            raised.opened += 1;
        } else {
            raised.updates += 1;
        }
    }

    /// The report over all that `replay` did under `detectors`.
    pub(super) fn text(&self, replay: &Replay, detectors: &Configs) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.read(&mut text, replay);
        if replay.span().is_some() {
            let _ = self.found(&mut text, replay);
            let _ = learning(&mut text, replay, learning_span(detectors));
        }
        text
    }

    /// What could not be read, a line for each reason.
    pub(super) fn unreadable(&self) -> String {
        let rejected = self.rejected.iter();
        rejected
            .map(|(reason, (n, first))| {
                format!("  unreadable  {reason:<14} {n:>8}  first {first}\n")
            })
            .collect()
    }

    /// Whether something could not be read.
    pub(super) fn refused_any(&self) -> bool {
        !self.rejected.is_empty()
    }

    fn read(&self, text: &mut String, replay: &Replay) -> std::fmt::Result {
        let mut fates = [0; Fate::ALL.len()];
        let (mut identities, mut evicted) = (0, 0);
        for stats in replay.engines().map(Engine::stats) {
            for (sum, n) in fates.iter_mut().zip(stats.fates) {
                *sum += n;
            }
            identities += stats.identities;
            evicted += stats.evicted;
        }
        let identities = identities.saturating_sub(self.unseen.len() as u64);
        let events = fates.iter().sum::<u64>() - fates[Fate::Control as usize];
        match replay.span() {
            None => writeln!(
                text,
                "read no events; `--source auto` knows our event schema and CloudTrail, and \
                 `nhiwatch map` shows what a file becomes"
            )?,
            Some((first, last)) => writeln!(
                text,
                "read {} of {}, {} to {} ({})",
                counted(events, "event", "events"),
                counted(identities, "identity", "identities"),
                first.rfc3339(),
                last.rfc3339(),
                last.since(first)
            )?,
        }
        for (fate, n) in Fate::ALL.iter().zip(fates) {
            if n > 0 && *fate != Fate::Judged {
                writeln!(text, "  not judged  {:<14} {n:>8}", fate.word())?;
            }
        }
        text.push_str(&self.unreadable());
        let unknown = self.unknown + replay.unknown_fields();
        if unknown > 0 {
            writeln!(text, "  ignored     unknown fields {unknown:>8}")?;
        }
        if let Some(first) = self.unseen.first() {
            let unseen = counted(self.unseen.len() as u64, "identity", "identities");
            let first = escape(first);
            writeln!(
                text,
                "  not seen    {unseen} of the inventory, such as {first}"
            )?;
        }
        if evicted > 0 {
            let evicted = counted(evicted, "identity", "identities");
            writeln!(text, "  forgotten   {evicted}, to stay within `limits`")?;
        }
        Ok(())
    }

    fn found(&self, text: &mut String, replay: &Replay) -> std::fmt::Result {
        let opened = self.alerts.values().map(|raised| raised.opened).sum();
        writeln!(text, "{}", counted(opened, "alert", "alerts"))?;
        for (index, card) in CARDS.iter().enumerate() {
            let none = Raised::default();
            let Raised { opened, updates } = self.alerts.get(card.name).unwrap_or(&none);
            let (mut findings, mut learning, mut panics) = (0, 0, 0);
            for engine in replay.engines() {
                let stats = &engine.stats().detectors[index];
                findings += stats.findings;
                learning += stats.learning;
                panics += stats.panics;
            }
            write!(
                text,
                "  {:<18} {opened:>6}, {}, of {}; knew too little to judge {learning} times",
                card.name,
                counted(*updates, "update", "updates"),
                counted(findings, "finding", "findings"),
            )?;
            if panics > 0 {
                write!(text, ", FAILED {panics} times")?;
            }
            text.push('\n');
        }
        let folded: u64 = replay.engines().map(|engine| engine.stats().folded).sum();
        if folded > 0 {
            let folded = counted(folded, "incident is", "incidents are");
            writeln!(text, "  {folded} told as part of a storm only")?;
        }
        for card in OWN {
            if let Some(Raised { opened, updates }) = self.alerts.get(card.name) {
                let updates = counted(*updates, "update", "updates");
                writeln!(text, "  {:<18} {opened:>6}, {updates}", card.name)?;
            }
        }
        Ok(())
    }
}

/// Names the identities that are too young for some detector. Age is all that is known here: of an
/// identity that does little, a detector may know too little at any age.
fn learning(text: &mut String, replay: &Replay, needed: Span) -> std::fmt::Result {
    let mut young: Vec<(String, i64)> = Vec::new();
    for engine in replay.engines() {
        let now = engine.watermark();
        young.extend(engine.learning().into_iter().filter_map(|young| {
            // A log may end before time has passed.
            let now = now.max(Some(young.first_seen))?;
            let missing = days_missing(now.since(young.first_seen), needed)?;
            Some((young.identity, missing))
        }));
    }
    if young.is_empty() {
        return writeln!(
            text,
            "every identity has been watched long enough for every detector"
        );
    }
    young.sort();
    writeln!(
        text,
        "{} too young for some detector",
        counted(young.len() as u64, "identity is", "identities are")
    )?;
    for (identity, days) in young.iter().take(NAMED) {
        let days = counted(days.unsigned_abs(), "day", "days");
        writeln!(
            text,
            "  {}  old enough for every detector in {days}",
            escape(identity)
        )?;
    }
    if young.len() > NAMED {
        writeln!(text, "  and {} more", young.len() - NAMED)?;
    }
    Ok(())
}

/// Days, begun ones counted whole, until an identity of `age` is as old as `needed`.
fn days_missing(age: Span, needed: Span) -> Option<i64> {
    let missing = needed.micros() - age.micros();
    let day = Span::DAY.micros();
    (missing > 0).then(|| (missing + day - 1) / day)
}

/// How long the slowest detector that is on watches an identity before it judges.
fn learning_span(detectors: &Configs) -> Span {
    let spans = detectors.learning().into_iter().flatten();
    spans.max().unwrap_or(Span::from_micros(0))
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use nhiwatch_detectors::kernel::detector::Mode;

    use super::*;

    #[test]
    fn begun_days_are_missing_whole_and_none_is_once_old_enough() {
        let week = Span::WEEK;
        for (age, missing) in [
            (Span::from_micros(0), Some(7)),
            (Span::from_micros(1), Some(7)),
            (Span::DAY, Some(6)),
            (Span::from_seconds(7 * 86_400 - 1), Some(1)),
            (week, None),
            (week.times(2), None),
        ] {
            assert_eq!(days_missing(age, week), missing, "{age}");
        }
    }

    #[test]
    fn the_slowest_detector_that_is_on_says_how_long_is_learned() {
        let mut detectors = Configs::default();
        assert_eq!(learning_span(&detectors), Span::WEEK.times(4));
        detectors.drift.mode = Mode::Off;
        assert_eq!(learning_span(&detectors), Span::WEEK.times(3));
        detectors.off_hours.mode = Mode::Off;
        detectors.silence.mode = Mode::Off;
        assert_eq!(learning_span(&detectors), Span::WEEK.times(2));
        detectors.api_volume.mode = Mode::Off;
        detectors.egress_volume.mode = Mode::Off;
        detectors.tool_chain.mode = Mode::Off;
        assert_eq!(learning_span(&detectors), Span::WEEK);
        detectors.error_burst.mode = Mode::Off;
        assert_eq!(learning_span(&detectors), Span::from_micros(0));
    }

    #[test]
    fn the_first_place_of_each_fault_is_kept_and_cannot_deceive_a_terminal() {
        let mut report = Report::default();
        for place in ["a\u{1b}[2J:1", "b:2"] {
            report.reject(&Reject::new(Reason::Json, "no"), || place.to_owned());
        }
        let (n, first) = &report.rejected[&Reason::Json];
        assert_eq!((*n, first.as_str()), (2, "a\\u{1b}[2J:1: json: no"));
    }
}
