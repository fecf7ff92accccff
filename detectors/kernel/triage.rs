//! Findings become incidents, and incidents alerts: one place for all detectors.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::baseline::Baseline;
use super::clock::SKEW;
use super::detector::{Alert, BaselineState, Card, Family, Finding, IncidentId, Mode, Severity};
use super::event::{Class, Event};
use super::limit::Limit;
use super::time::{Span, Timestamp};

/// The incidents of one identity that may still grow, and some that are over, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incidents {
    kept: Vec<Incident>,
    /// The newest hour in which an incident opened that is not kept any more: an id made in that hour
    /// or before might be one that was published already.
    forgotten: Option<i64>,
}

/// One thing that went wrong with one identity, however many findings report it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Incident {
    id: IncidentId,
    detector: Box<str>,
    subject: Box<str>,
    opened: Timestamp,
    last: Timestamp,
    revision: u32,
    findings: u32,
    /// Findings and surprise in bits when it was last published.
    published: (u32, f64),
    events: Vec<Box<str>>,
}

/// What a finding came with.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    /// The event it was found at.
    pub(crate) event: &'a Event<'a>,
    /// What was known of the identity.
    pub(crate) baseline: &'a Baseline,
    /// The partition's time.
    pub(crate) front: Timestamp,
    /// Digest of the decisions in force.
    pub(crate) decision: &'a str,
}

impl Occasion<'_> {
    /// When it is to have happened: not after it arrived, or an incident would stay open for ever.
    fn ts(&self) -> Timestamp {
        let (ts, received) = (self.event.ts, self.event.received);
        received.map_or(ts, |received| ts.min(received.plus(SKEW)))
    }

    /// The newest time there is.
    fn now(&self) -> Timestamp {
        self.front.max(self.ts())
    }
}

impl Incidents {
    /// Takes in a finding; gives the alert to publish, if the incident is new or has grown enough.
    ///
    /// An incident closes after four hours of quiet, or after 24 hours. While it is open, findings of
    /// the same detector about the same subject raise it: it is published again when their number
    /// has doubled or the surprise has grown by ten bits.
    ///
    /// # Errors
    /// Where there is no room for another: only closed incidents make room, for an open one that was
    /// forgotten would be published anew under its old id.
    pub(crate) fn raise(
        &mut self,
        card: &'static Card,
        finding: Finding,
        occasion: &Occasion<'_>,
    ) -> Result<Option<Alert>, Limit> {
        let Occasion {
            event,
            baseline,
            decision,
            ..
        } = *occasion;
        let ts = occasion.ts();
        let bits = finding.p_value.map_or(0.0, super::detector::PValue::bits);
        let open = self.kept.iter_mut().find(|incident| {
            *incident.detector == *card.name
                && *incident.subject == *finding.subject
                && incident.is_open(ts)
        });
        let incident = match open {
            Some(incident) => {
                incident.findings = incident.findings.saturating_add(1);
                incident.last = incident.last.max(ts);
                incident.note(event);
                let doubled = incident.findings >= incident.published.0.saturating_mul(2);
                if !doubled && bits < incident.published.1 + UPDATE_BITS {
                    return Ok(None);
                }
                incident.revision += 1;
                incident
            }
            None => self.open(card, &finding, occasion)?,
        };
        incident.published = (incident.findings, bits.max(incident.published.1));
        let state = baseline_state(baseline.age(event.ts));
        Ok(Some(Alert {
            id: incident.id,
            revision: incident.revision,
            ts: event.ts,
            opened: incident.opened,
            identity: event.identity.to_owned(),
            kind: baseline.kind,
            declared: baseline.declared.clone(),
            detector: card.name,
            severity: severity(card, &finding, event, baseline, state),
            findings: incident.findings,
            events: incident.events.iter().map(|id| id.to_string()).collect(),
            action: event.action.to_owned(),
            ip: event.ip.map(str::to_owned),
            baseline: state,
            mode: Mode::Alert,
            decision: decision.to_owned(),
            finding,
        }))
    }

    /// The hours, first and last, that incident `id` spans.
    pub(crate) fn hours(&self, id: IncidentId) -> Option<(i64, i64)> {
        let incident = self.kept.iter().find(|incident| incident.id == id)?;
        Some((incident.opened.hour(), incident.last.hour()))
    }

    fn open(
        &mut self,
        card: &Card,
        finding: &Finding,
        occasion: &Occasion<'_>,
    ) -> Result<&mut Incident, Limit> {
        let (event, ts) = (occasion.event, occasion.ts());
        let (mut room, mut forgotten) = (None, self.forgotten);
        if self.kept.len() == INCIDENTS_MAX {
            let closed = (0..).zip(&self.kept);
            let closed = closed.filter(|(_, incident)| !incident.is_open(occasion.now()));
            let oldest = closed.min_by_key(|(at, incident)| (incident.last, *at));
            let (at, oldest) = oldest.ok_or(Limit::Incidents)?;
            forgotten = forgotten.max(Some(oldest.opened.hour()));
            room = Some(at);
        }
        if forgotten >= Some(ts.hour()) {
            return Err(Limit::Incidents);
        }
        if let Some(at) = room {
            self.kept.remove(at);
            self.forgotten = forgotten;
        }
        let mut incident = Incident {
            id: incident_id(
                event.identity,
                card.name,
                &finding.subject,
                ts,
                occasion.decision,
            ),
            detector: card.name.into(),
            subject: finding.subject.as_str().into(),
            opened: ts,
            last: ts,
            revision: 1,
            findings: 1,
            published: (1, 0.0),
            events: Vec::new(),
        };
        incident.note(event);
        let at = self.kept.len();
        self.kept.push(incident);
        Ok(&mut self.kept[at])
    }
}

impl Incident {
    fn is_open(&self, now: Timestamp) -> bool {
        now.since(self.last) <= QUIET && now.since(self.opened) <= LONGEST
    }

    /// Keeps the first ids and the newest: the middle of a long incident is the least telling.
    fn note(&mut self, event: &Event<'_>) {
        if let Some(uid) = event.uid {
            if self.events.len() == Alert::EVENTS_MAX {
                self.events.remove(Alert::EVENTS_MAX / 2);
            }
            self.events.push(uid.into());
        }
    }
}

/// Id of the incident that `identity` opens at `ts`: a hash of what it is about and of the hour, so
/// that every replay and every partition gives the same.
fn incident_id(
    identity: &str,
    detector: &str,
    subject: &str,
    ts: Timestamp,
    decision: &str,
) -> IncidentId {
    let mut hash = Sha256::new();
    for part in [identity, detector, subject, decision] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(ts.hour().to_le_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    IncidentId(id)
}

/// How severe a finding is. A rule speaks for itself. A probability alone is `low`, one step more
/// where the action moves orders, money or rights or the identity is critical, and `info` while the
/// baseline is young.
fn severity(
    card: &Card,
    finding: &Finding,
    event: &Event<'_>,
    baseline: &Baseline,
    state: BaselineState,
) -> Severity {
    if finding.p_value.is_none() || card.family == Family::Policy {
        return finding.severity.unwrap_or(card.severity);
    }
    if state != BaselineState::Mature {
        return Severity::Info;
    }
    let sink = matches!(event.class, Class::Order | Class::Payment | Class::Admin);
    let critical = baseline
        .declared
        .as_ref()
        .and_then(|declared| declared.tier)
        == Some(1);
    if sink || critical {
        Severity::Medium
    } else {
        Severity::Low
    }
}

/// How much is known about an identity that is `age` old.
#[must_use]
pub fn baseline_state(age: Span) -> BaselineState {
    if age < Span::WEEK {
        BaselineState::Learning
    } else if age < Span::WEEK.times(4) {
        BaselineState::Provisional
    } else {
        BaselineState::Mature
    }
}

/// An incident closes after this much quiet.
const QUIET: Span = Span::HOUR.times(4);
/// An incident closes at this age.
const LONGEST: Span = Span::DAY;
/// Growth in bits that is worth an update.
const UPDATE_BITS: f64 = 10.0;
/// Incidents kept for one identity.
const INCIDENTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::detector::{PValue, Scope};

    const CARD: Card = Card {
        name: "test",
        summary: "",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &[],
        page: "",
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + minutes * 60)
    }

    fn find(
        incidents: &mut Incidents,
        subject: &str,
        (ts, front): (Timestamp, Timestamp),
        p: f64,
    ) -> Result<Option<Alert>, Limit> {
        let event = Event {
            ts,
            received: Some(front),
            identity: "x",
            uid: Some("u"),
            ..Event::default()
        };
        let baseline = Baseline::new(ts.minus(Span::WEEK.times(9)));
        let finding = Finding {
            subject: subject.into(),
            p_value: Some(PValue::new(p)),
            summary: String::new(),
            expected: String::new(),
            observed: String::new(),
            evidence: Vec::new(),
            clears: String::new(),
            severity: None,
        };
        let occasion = Occasion {
            event: &event,
            baseline: &baseline,
            front,
            decision: "d",
        };
        incidents.raise(&CARD, finding, &occasion)
    }

    fn raise(incidents: &mut Incidents, minutes: i64, p: f64) -> Option<Alert> {
        let found = find(incidents, "s", (at(minutes), at(minutes)), p);
        found.expect("there is room")
    }

    #[test]
    fn no_alert_is_published_twice_however_many_subjects_there_are() {
        let (mut incidents, mut dropped) = (Incidents::default(), 0);
        let mut published = std::collections::BTreeMap::new();
        let mut take = |found: Result<Option<Alert>, Limit>| match found {
            Ok(None) => {}
            Ok(Some(alert)) => {
                let last = published.insert(alert.id, alert.revision);
                assert!(last < Some(alert.revision), "{last:?} before {alert:?}");
            }
            Err(_) => dropped += 1,
        };
        for n in 0..2000 {
            // Five new subjects an hour, each again at once and half an hour later, and five days late,
            // when it is long forgotten.
            for (subject, minutes) in [(n, n), (n, n), (n - 3, n), (n - 600, n - 600)] {
                let times = (at(minutes * 12), at(n * 12));
                take(find(&mut incidents, &subject.to_string(), times, 1e-6));
            }
        }
        assert!(dropped > 0 && published.len() > 100);
    }

    #[test]
    fn a_late_event_does_not_open_again_what_was_forgotten() {
        let mut incidents = Incidents::default();
        for n in 0..=INCIDENTS_MAX as i64 {
            let times = (at(n * 300), at(n * 300));
            let found = find(&mut incidents, &n.to_string(), times, 1e-6);
            assert!(found.is_ok_and(|alert| alert.is_some()));
        }
        let kept = incidents.clone();
        let late = (at(0), at(INCIDENTS_MAX as i64 * 300));
        let found = find(&mut incidents, "0", late, 1e-6);
        assert_eq!(found, Err(Limit::Incidents));
        assert_eq!(incidents, kept);
    }

    #[test]
    fn closed_incidents_make_room_and_a_stamp_from_the_future_does_not_keep_one_open() {
        let mut incidents = Incidents::default();
        for n in 0..INCIDENTS_MAX as i64 {
            let times = (at(1_000_000), at(n));
            let found = find(&mut incidents, &n.to_string(), times, 1e-6);
            assert!(found.is_ok_and(|alert| alert.is_some()));
        }
        let new = |incidents: &mut Incidents, minutes| {
            find(incidents, "new", (at(minutes), at(minutes)), 1e-6)
        };
        assert_eq!(new(&mut incidents, 60), Err(Limit::Incidents));
        assert!(new(&mut incidents, 300).is_ok_and(|alert| alert.is_some()));
    }

    #[test]
    fn findings_of_one_incident_keep_its_id_and_raise_its_revision_when_it_grows() {
        let mut incidents = Incidents::default();
        let opened = raise(&mut incidents, 0, 1e-6).expect("opens");
        let doubled = raise(&mut incidents, 1, 1e-6).expect("doubled");
        assert_eq!((doubled.id, doubled.revision), (opened.id, 2));
        assert_eq!(raise(&mut incidents, 2, 1e-6), None);
        let stranger = raise(&mut incidents, 2, 1e-12).expect("ten bits more");
        assert_eq!((stranger.id, stranger.revision), (opened.id, 3));
    }

    #[test]
    fn after_four_quiet_hours_a_new_incident_opens() {
        let mut incidents = Incidents::default();
        let first = raise(&mut incidents, 0, 1e-6).expect("opens");
        let second = raise(&mut incidents, 241, 1e-6).expect("opens anew");
        assert_ne!(first.id, second.id);
        assert_eq!(second.revision, 1);
    }

    #[test]
    fn the_number_of_incidents_and_event_ids_is_bounded() {
        let mut incidents = Incidents::default();
        for n in 0..1000 {
            raise(&mut incidents, n * 300, 1e-6);
        }
        assert_eq!(incidents.kept.len(), INCIDENTS_MAX);
        for n in 0..100 {
            raise(&mut incidents, 1_000_000 + n, 1e-6);
        }
        assert!(
            incidents
                .kept
                .iter()
                .all(|i| i.events.len() <= Alert::EVENTS_MAX)
        );
    }
}
