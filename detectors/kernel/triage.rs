//! Findings become incidents, and incidents alerts: one place for all detectors.

#[cfg(test)]
pub(super) mod tests;

use xxhash_rust::xxh3::xxh3_64;

use super::alert::{Alert, IncidentId};
use super::baseline::{Accepted, Baseline};
use super::detector::{BaselineState, Card, Evidence, Family, Finding, Mode, Severity};
use super::incident::Incident;
use super::incidents::Incidents;
use super::limit::Limit;
use super::noise::Common;
use super::occasion::{Measure, Occasion};
use super::own::{BASELINE, OWN, RISK};
use super::risk::{Reading, Risk};
use super::time::{Span, Timestamp};
use crate::CARDS;

/// What became of a finding.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The alert to publish, if it is news.
    pub(crate) alert: Option<Alert>,
    /// Whether its incident has been published: then what it is about is held back from learning.
    pub(crate) suspect: bool,
    /// What it adds to the noise of the partition.
    pub(crate) fresh: Common,
}

/// Makes an incident of a finding, weighs it, and gives the alert to publish, if it is news.
///
/// A rule speaks for itself. What is statistical is weighed with everything else that was found of
/// the identity lately: it is published where that exceeds the budget, as the incident that holds
/// half of the risk, or as an incident of risk itself where none does.
///
/// # Errors
/// Where the identity has no room for another incident.
pub(crate) fn triage(
    card: &'static Card,
    finding: Finding,
    incidents: &mut Incidents,
    risk: &mut Option<Box<Risk>>,
    occasion: &Occasion<'_>,
) -> Result<Outcome, Limit> {
    let weight = finding
        .weight()
        .filter(|_| card.family == Family::Statistical);
    let broken = finding.severity.unwrap_or(card.severity);
    let at = incidents.note(card, finding, occasion)?;
    // What went on for four weeks, told on each day, is a practice: on record, and no longer work.
    let practice = incidents.get(at).is_some_and(|it| it.practice > 0);
    let rule = if practice { Severity::Info } else { broken };
    let id = incidents.get(at).map(|incident| incident.id);
    let (alert, fresh) = match weight {
        None => (
            told(card, incidents, at, rule, None, occasion),
            Common::default(),
        ),
        Some(bits) => weigh(card, bits, at, incidents, risk, occasion),
    };
    // By its id: an incident of risk may have opened meanwhile, and places have moved.
    let noted = id.and_then(|id| incidents.named(id));
    let suspect = noted.is_some_and(Incident::is_told);
    Ok(Outcome {
        alert,
        suspect,
        fresh,
    })
}

/// Weighs the finding of `bits` that the incident at `at` has just taken in.
fn weigh(
    card: &'static Card,
    bits: f64,
    at: usize,
    incidents: &mut Incidents,
    risk: &mut Option<Box<Risk>>,
    occasion: &Occasion<'_>,
) -> (Option<Alert>, Common) {
    let Some(id) = incidents.get(at).map(|incident| incident.id) else {
        return (None, Common::default());
    };
    incidents.go_on(at, occasion.ts);
    let Measure {
        thresholds, common, ..
    } = occasion.measure;
    let fingerprint = xxh3_64(card.name.as_bytes()) as u32;
    let Some(watched) = watched(occasion.baseline, occasion.ts) else {
        // What is found before there are tails to judge by says nothing of what is to come.
        let mut lone = Risk::default();
        lone.note(occasion.ts, fingerprint, id, bits);
        let reading = lone.reading(thresholds, common, Span::from_micros(0));
        let told = reading
            .severity
            .and_then(|_| told(card, incidents, at, Severity::Info, Some(reading), occasion));
        return (told, Common::default());
    };
    let risk = risk.get_or_insert_default();
    let called = risk.called(occasion.ts, thresholds, common, watched);
    let fresh = risk.note(occasion.ts, fingerprint, id, bits);
    let reading = risk.reading(thresholds, common, watched);
    let Some(worth) = reading.severity else {
        return (None, fresh);
    };
    let parts = risk.parts(reading.memory);
    let leading = leading(&parts, &reading, at, incidents, occasion.ts);
    // Risk that has been called so severe already is no news, but of a case it goes on with; the
    // finding may still be, alone.
    let is_told = incidents.get(at).is_some_and(Incident::is_told);
    let goes_on = leading == Some(at) && is_told || incidents.overdue(occasion.ts).is_some();
    let told = if worth > Severity::Low && (called < Some(worth) || goes_on) {
        risk.call(worth);
        let led = Led { at, leading, parts };
        risen(card, &led, worth, reading, incidents, occasion)
    } else if risk.stands_out(thresholds, common, watched) {
        let severity = deserved(Severity::Low, incidents.get(at), occasion);
        let other = incidents.case(occasion.ts).filter(|case| *case != at);
        match other.and_then(|case| Some((case, card_at(incidents, case)?))) {
            // What its sink makes work for somebody goes on with the work at hand.
            Some(case) if severity > Severity::Low && !is_told => {
                joined(case, at, severity, reading, incidents, occasion)
            }
            _ => told(card, incidents, at, severity, Some(reading), occasion),
        }
    } else {
        None
    };
    (told, fresh)
}

/// The incident that holds half of the risk of `reading` or more; or the one at `at`, where it is about
/// the same as a case that was closed for its age: that opens the next.
fn leading(
    parts: &[(IncidentId, f64)],
    reading: &Reading,
    at: usize,
    incidents: &Incidents,
    ts: Timestamp,
) -> Option<usize> {
    let most = parts
        .first()
        .filter(|(_, bits)| *bits >= reading.bits / 2.0)
        .and_then(|(id, _)| incidents.find(*id));
    most.or_else(|| {
        let (overdue, own) = (incidents.overdue(ts)?, incidents.get(at)?);
        overdue.is_about(own).then_some(at)
    })
}

/// What risk that has risen is made of.
struct Led {
    /// The incident whose finding made it rise.
    at: usize,
    /// The one that leads, if one does.
    leading: Option<usize>,
    /// The id and the bits of each that adds to it, the most first.
    parts: Vec<(IncidentId, f64)>,
}

/// Publishes risk that has risen to `worth`: with the case that analysts are at work on, as the
/// incident that leads, or as one of risk itself.
fn risen(
    card: &'static Card,
    led: &Led,
    worth: Severity,
    reading: Reading,
    incidents: &mut Incidents,
    occasion: &Occasion<'_>,
) -> Option<Alert> {
    let Led { at, leading, parts } = led;
    // One case at a time: what adds to one that analysts are at work on goes on with it.
    let is_case = |at: &usize| incidents.get(*at).is_some_and(Incident::is_case);
    let case = leading
        .filter(is_case)
        .or_else(|| incidents.case(occasion.ts));
    if let Some(case) = case.and_then(|case| Some((case, card_at(incidents, case)?))) {
        // What joins brings its own step with it.
        let severity = [case.0, *at].map(|at| deserved(worth, incidents.get(at), occasion));
        let severity = severity[0].max(severity[1]);
        return joined(case, *at, severity, reading, incidents, occasion);
    }
    let leader = leading.and_then(|at| Some((at, card_at(incidents, at)?)));
    let (at, card) = leader.unwrap_or_else(|| {
        let itemised = parts.iter().filter_map(|(id, bits)| {
            let incident = incidents.named(*id)?;
            Some((incident.name().into(), format!("{bits:.1} bits")))
        });
        let finding = accumulated(&reading, itemised.collect());
        // Where there is no room for it, the finding at hand is told in its place.
        let opened = incidents.note(&RISK, finding, occasion);
        opened.map_or((*at, card), |at| (at, &RISK))
    });
    let severity = deserved(worth, incidents.get(at), occasion);
    told(card, incidents, at, severity, Some(reading), occasion)
}

/// Publishes the incident at `case` as `severity`: what the one at `at` has found goes on with it.
fn joined(
    (case, card): (usize, &'static Card),
    at: usize,
    severity: Severity,
    reading: Reading,
    incidents: &mut Incidents,
    occasion: &Occasion<'_>,
) -> Option<Alert> {
    let news = case != at && incidents.join(case, at, severity);
    published_as(
        card,
        incidents,
        case,
        severity,
        news,
        Some(reading),
        occasion,
    )
}

/// The severity of an incident whose risk is worth `worth`: information only while little is known.
fn deserved(worth: Severity, incident: Option<&Incident>, occasion: &Occasion<'_>) -> Severity {
    match occasion.state() {
        BaselineState::Mature => stepped(worth, incident, occasion),
        _ => Severity::Info,
    }
}

/// How long the findings of an identity with this baseline have counted at `ts`; nothing while they
/// do not yet.
pub(crate) fn watched(baseline: &Baseline, ts: Timestamp) -> Option<Span> {
    let watched = baseline.age(ts.minus(COUNTED_FROM));
    (watched >= Span::from_micros(0)).then_some(watched)
}

fn accumulated(reading: &Reading, itemised: Evidence) -> Finding {
    Finding {
        subject: "accumulated".to_owned(),
        p_value: Some(reading.p_value),
        begins: 1.0,
        summary: format!(
            "{} findings, none of which is much alone, add up to {:.1} bits",
            itemised.len(),
            reading.bits
        ),
        expected: format!(
            "less than {:.1} bits in about {:.0} days",
            reading.threshold, reading.memory
        ),
        observed: format!("{:.1} bits", reading.bits),
        evidence: itemised,
        clears: "risk fades with its memory; each finding says what would clear it".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    }
}

/// Says aloud that a level has been taken for normal: whoever raised it slowly enough hears of it here.
///
/// # Errors
/// Where the identity has no room for another incident.
pub(crate) fn announce(
    accepted: &Accepted,
    incidents: &mut Incidents,
    occasion: &Occasion<'_>,
) -> Result<Option<Alert>, Limit> {
    let (before, now) = (accepted.before, accepted.now);
    let finding = Finding {
        subject: "calls per hour".to_owned(),
        p_value: None,
        begins: 1.0,
        summary: format!(
            "about {now:.0} calls an hour are normal from now on, where about {before:.0} were: seven such hours \
             came in a row"
        ),
        expected: format!("about {before:.0} calls in such an hour"),
        observed: format!("{now:.0} calls"),
        evidence: Evidence::new(),
        clears: "nothing needs to be done where this was meant".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    };
    let at = incidents.note(&BASELINE, finding, occasion)?;
    Ok(told(
        &BASELINE,
        incidents,
        at,
        Severity::Info,
        None,
        occasion,
    ))
}

/// The alert of the incident at `at`, if it is news.
fn told(
    card: &'static Card,
    incidents: &mut Incidents,
    at: usize,
    severity: Severity,
    risk: Option<Reading>,
    occasion: &Occasion<'_>,
) -> Option<Alert> {
    published_as(card, incidents, at, severity, false, risk, occasion)
}

/// The same, where something may have `joined` it.
fn published_as(
    card: &'static Card,
    incidents: &mut Incidents,
    at: usize,
    severity: Severity,
    joined: bool,
    risk: Option<Reading>,
    occasion: &Occasion<'_>,
) -> Option<Alert> {
    let (incident, severity) = incidents.publish(at, severity, joined)?;
    alert(card, incident, severity, risk, occasion)
}

fn card_at(incidents: &Incidents, at: usize) -> Option<&'static Card> {
    card_of(&incidents.get(at)?.detector)
}

fn card_of(detector: &str) -> Option<&'static Card> {
    CARDS.iter().chain(OWN).find(|card| card.name == detector)
}

fn alert(
    card: &'static Card,
    incident: &Incident,
    severity: Severity,
    risk: Option<Reading>,
    occasion: &Occasion<'_>,
) -> Option<Alert> {
    let latest = incident.latest.as_ref()?;
    let mut finding = latest.finding.clone();
    if incident.days >= DAYS_TOLD {
        let since = incident.opened.rfc3339();
        let days = format!("found on {} days since {since}", incident.days);
        finding.evidence.push(("habitual".into(), days));
    }
    if incident.practice > 0 {
        let days = format!("its rule was broken on {} days before", incident.practice);
        finding.evidence.push(("accepted_practice".into(), days));
    }
    if !incident.joined.is_empty() {
        let joined = incident.joined.join("; ");
        finding.evidence.push(("joined_by".into(), joined));
    }
    finding
        .evidence
        .extend(occasion.baseline.remarks(occasion.ts));
    Some(Alert {
        id: incident.id,
        revision: incident.revision,
        ts: occasion.said,
        opened: incident.opened,
        identity: occasion.identity.to_owned(),
        kind: occasion.baseline.kind,
        declared: occasion.baseline.declared.clone(),
        detector: card.name,
        severity,
        findings: incident.findings,
        events: incident.events.iter().map(|id| id.to_string()).collect(),
        action: latest.action.to_string(),
        ip: latest.ip.as_ref().map(|ip| ip.to_string()),
        baseline: occasion.state(),
        mode: Mode::Alert,
        decision: occasion.measure.decision.to_owned(),
        finding,
        risk,
        members: None,
    })
}

/// One step more where the finding is about what moves orders, money or rights, or leaves the house; and
/// for a critical identity, where there is more than one finding alone: of these the budget promises
/// fewer than `low` has.
fn stepped(severity: Severity, incident: Option<&Incident>, occasion: &Occasion<'_>) -> Severity {
    let latest = incident.and_then(|incident| incident.latest.as_ref());
    let sink = latest.is_some_and(|latest| latest.finding.sink);
    let declared = occasion.baseline.declared.as_ref();
    let critical = declared.and_then(|declared| declared.tier) == Some(1);
    if sink || critical && severity >= Severity::Medium {
        severity.raised()
    } else {
        severity
    }
}

/// From this age on an identity's findings count for its risk and as its noise: tails are learned.
const COUNTED_FROM: Span = Span::WEEK.times(3);
/// On so many days an incident is called habitual.
const DAYS_TOLD: u16 = 3;
