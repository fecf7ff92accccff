//! Incidents: findings of one detector about one subject of one identity, however many there are.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::detector::{Alert, Card, Finding, IncidentId, Severity};
use super::limit::Limit;
use super::time::{Span, Timestamp};
use super::triage::Occasion;

/// The incidents of one identity that may still grow, and some that are over, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incidents {
    kept: Vec<Incident>,
    /// The newest hour in which an incident opened that is not kept any more: an id made in that hour
    /// or before might be one that was published already.
    forgotten: Option<i64>,
}

/// One thing that went wrong with one identity, however many findings report it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: IncidentId,
    pub(crate) detector: Box<str>,
    pub(crate) subject: Box<str>,
    pub(crate) opened: Timestamp,
    /// When its own detector last found something of it.
    last: Timestamp,
    /// When anything was last found that keeps it open.
    active: Timestamp,
    /// How often it was published; not at all while it is worth nothing by itself.
    pub(crate) revision: u32,
    pub(crate) findings: u32,
    /// How it stood when it was last published.
    published: Stand,
    /// Whether a rule was broken.
    rule: bool,
    /// Days on which anything was found of it.
    pub(crate) days: u16,
    /// What others have found that goes on with it, at most [`JOINED_MAX`].
    pub(crate) joined: Vec<Box<str>>,
    /// The incident that it goes on with, if it does, and how it stood when that was last told.
    joins: Option<(IncidentId, Stand)>,
    pub(crate) events: Vec<Box<str>>,
    /// What it last found, while it may still be published for the first time or anew.
    pub(crate) latest: Option<Box<Latest>>,
}

/// How an incident stands: how large it is, and how severe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Stand {
    findings: u32,
    /// Days on which anything was found of it.
    days: u16,
    /// The surprise of its latest finding, or, if more, of one before.
    bits: f64,
    severity: Severity,
}

/// A finding and what it came with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latest {
    pub(crate) finding: Finding,
    pub(crate) action: Box<str>,
    pub(crate) ip: Option<Box<str>>,
}

impl Incidents {
    /// Takes in a finding, and tells where its incident stands.
    ///
    /// While an incident is open, findings of the same detector about the same subject are its own. It
    /// closes after four hours of quiet, or after 24 hours; one that was published as `medium` or more,
    /// after 26 hours and a week, so that what comes back every day is one; and where a rule is broken,
    /// after a week and four, for that is a habit sooner than an attack.
    ///
    /// # Errors
    /// Where there is no room for another: only closed incidents make room, for an open one that was
    /// forgotten would be published anew under its old id.
    pub(crate) fn note(
        &mut self,
        card: &Card,
        finding: Finding,
        occasion: &Occasion<'_>,
    ) -> Result<usize, Limit> {
        let ts = occasion.ts;
        self.forget_details(occasion.now);
        let open = self.kept.iter().position(|incident| {
            *incident.detector == *card.name
                && *incident.subject == *finding.subject
                && incident.is_open(ts)
        });
        let at = match open {
            Some(at) => at,
            None => self.open(card, &finding, occasion)?,
        };
        let incident = &mut self.kept[at];
        incident.findings = incident.findings.saturating_add(1);
        let another = incident.days == 0 || ts.day() > incident.last.day();
        incident.days = incident.days.saturating_add(u16::from(another));
        incident.last = incident.last.max(ts);
        incident.active = incident.active.max(ts);
        incident.keep(occasion.uid);
        incident.latest = Some(Box::new(Latest {
            finding,
            action: occasion.action.into(),
            ip: occasion.ip.map(Into::into),
        }));
        Ok(at)
    }

    /// Forgets what only open incidents need of those that have closed by `now`; tells whether there was
    /// any.
    pub(crate) fn forget_details(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        for incident in &mut self.kept {
            if !incident.is_open(now) && (incident.latest.is_some() || !incident.events.is_empty())
            {
                incident.latest = None;
                incident.events = Vec::new();
                any = true;
            }
        }
        any
    }

    /// Whether the incident at `at` is news at `severity`, because it was never published, is more
    /// severe now, or has grown enough: something `joined` it, its findings have doubled, their surprise has
    /// grown by ten bits, or its rule is broken on another day. Where it is, this counts as publishing it,
    /// and gives it.
    pub(crate) fn publish(
        &mut self,
        at: usize,
        severity: Severity,
        joined: bool,
    ) -> Option<(&Incident, Severity)> {
        let incident = self.kept.get_mut(at)?;
        let before = (incident.revision > 0).then_some(incident.published);
        let news = joined || before.is_none_or(|before| incident.has_grown(&before, severity));
        if !news {
            return None;
        }
        incident.published = incident.stand(before, severity);
        incident.revision += 1;
        Some((incident, incident.published.severity))
    }

    /// The incident that an identity's analysts are at work on at `now`, if there is one: open, and
    /// published as `medium` or more; of several the one that was found last.
    pub(crate) fn case(&self, now: Timestamp) -> Option<usize> {
        let at_work = |incident: &Incident| {
            incident.is_case() && incident.is_open(now) && incident.latest.is_some()
        };
        let cases = (0..).zip(&self.kept).filter(|(_, it)| at_work(it));
        cases
            .max_by_key(|(at, it)| (it.active, *at))
            .map(|(at, _)| at)
    }

    /// Whether the case at hand at `now` was closed for its age alone: it goes on, and must be told anew.
    pub(crate) fn is_overdue(&self, now: Timestamp) -> bool {
        let aged = |it: &Incident| it.is_case() && !it.is_open(now) && !it.is_quiet(now);
        self.case(now).is_none() && self.kept.iter().any(aged)
    }

    /// Keeps the case at hand open: the incident at `at`, perhaps another, has just found something.
    pub(crate) fn go_on(&mut self, at: usize, ts: Timestamp) {
        if let Some(case) = self.case(ts).filter(|case| *case != at)
            && let Some(case) = self.kept.get_mut(case)
        {
            case.active = case.active.max(ts);
        }
    }

    /// Lets what the incident at `from` has found go on with the one at `at`, as `severity`; tells whether
    /// that is news: the first of it, or grown enough.
    pub(crate) fn join(&mut self, at: usize, from: usize, severity: Severity) -> bool {
        let Some(id) = self.kept.get(at).map(|case| case.id) else {
            return false;
        };
        let Some(found) = self.kept.get_mut(from) else {
            return false;
        };
        let before = found.joins.filter(|(joins, _)| *joins == id);
        let before = before.map(|(_, stand)| stand);
        let news = before.is_none_or(|before| found.has_grown(&before, severity));
        if news {
            found.joins = Some((id, found.stand(before, severity)));
        }
        let name = format!("{}: {}", found.detector, found.subject);
        let active = found.active;
        if let Some(case) = self.kept.get_mut(at) {
            case.active = case.active.max(active);
            let named = case.joined.iter().any(|joined| **joined == *name);
            if !named && case.joined.len() < JOINED_MAX {
                case.joined.push(name.into());
            }
        }
        news
    }

    /// The place of the incident `id`, if it is kept and was found something of that can be told.
    pub(crate) fn find(&self, id: IncidentId) -> Option<usize> {
        let is = |incident: &Incident| incident.id == id && incident.latest.is_some();
        self.kept.iter().position(is)
    }

    /// The incident at `at`.
    pub(crate) fn get(&self, at: usize) -> Option<&Incident> {
        self.kept.get(at)
    }

    /// The incident `id`, if it is kept.
    pub(crate) fn named(&self, id: IncidentId) -> Option<&Incident> {
        self.kept.iter().find(|incident| incident.id == id)
    }

    /// The hours, first and last, that incident `id` spans.
    pub(crate) fn hours(&self, id: IncidentId) -> Option<(i64, i64)> {
        let incident = self.named(id)?;
        Some((incident.opened.hour(), incident.last.hour()))
    }

    fn open(
        &mut self,
        card: &Card,
        finding: &Finding,
        occasion: &Occasion<'_>,
    ) -> Result<usize, Limit> {
        let ts = occasion.ts;
        let (mut room, mut forgotten) = (None, self.forgotten);
        if self.kept.len() == INCIDENTS_MAX {
            let closed = (0..).zip(&self.kept);
            let closed = closed.filter(|(_, incident)| !incident.is_recent(occasion.now));
            let oldest = closed.min_by_key(|(at, incident)| (incident.active, *at));
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
        let id = incident_id(
            occasion.identity,
            card.name,
            &finding.subject,
            ts,
            occasion.measure.decision,
        );
        self.kept.push(Incident {
            id,
            detector: card.name.into(),
            subject: finding.subject.as_str().into(),
            opened: ts,
            last: ts,
            active: ts,
            revision: 0,
            findings: 0,
            published: Stand {
                findings: 0,
                days: 0,
                bits: 0.0,
                severity: Severity::Info,
            },
            rule: finding.p_value.is_none(),
            days: 0,
            joined: Vec::new(),
            joins: None,
            events: Vec::new(),
            latest: None,
        });
        Ok(self.kept.len() - 1)
    }
}

impl Incident {
    fn is_open(&self, now: Timestamp) -> bool {
        !self.is_quiet(now) && now.since(self.opened) <= self.bounds().1
    }

    fn is_quiet(&self, now: Timestamp) -> bool {
        now.since(self.active) > self.bounds().0
    }

    /// How long it may be quiet, and how old it may grow, before it closes.
    fn bounds(&self) -> (Span, Span) {
        if self.rule {
            (HABIT_QUIET, HABIT_LONGEST)
        } else if self.is_case() {
            (CASE_QUIET, CASE_LONGEST)
        } else {
            (QUIET, LONGEST)
        }
    }

    /// Whether it may not make room for another, however long it stays open.
    fn is_recent(&self, now: Timestamp) -> bool {
        now.since(self.active) <= QUIET && now.since(self.opened) <= LONGEST
    }

    /// Whether it is news after it stood so: more severe, or larger.
    fn has_grown(&self, before: &Stand, severity: Severity) -> bool {
        severity > before.severity
            || self.rule && self.days > before.days
            || self.findings >= before.findings.saturating_mul(2)
            || self.bits() >= before.bits + UPDATE_BITS
    }

    /// How it stands; what is told takes nothing back of what was told before.
    fn stand(&self, before: Option<Stand>, severity: Severity) -> Stand {
        Stand {
            findings: self.findings,
            days: self.days,
            bits: before.map_or(0.0, |before| before.bits).max(self.bits()),
            severity: before.map_or(severity, |before| before.severity.max(severity)),
        }
    }

    /// Whether it was published, by itself or as what another goes on with.
    pub(crate) fn is_told(&self) -> bool {
        self.revision > 0 || self.joins.is_some()
    }

    /// Whether it was published as `medium` or more.
    pub(crate) fn is_case(&self) -> bool {
        self.revision > 0 && self.published.severity >= Severity::Medium
    }

    fn bits(&self) -> f64 {
        let finding = self.latest.as_ref().map(|latest| &latest.finding);
        finding
            .and_then(|finding| finding.p_value)
            .map_or(0.0, super::detector::PValue::bits)
    }

    /// Keeps the first ids and the newest: the middle of a long incident is the least telling.
    fn keep(&mut self, uid: Option<&str>) {
        if let Some(uid) = uid {
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

/// An incident closes after this much quiet.
const QUIET: Span = Span::HOUR.times(4);
/// An incident closes at this age.
const LONGEST: Span = Span::DAY;
/// The same of one that was published as `medium` or more.
const CASE_QUIET: Span = Span::HOUR.times(26);
const CASE_LONGEST: Span = Span::WEEK;
/// The same where a rule is broken.
const HABIT_QUIET: Span = Span::WEEK;
const HABIT_LONGEST: Span = Span::WEEK.times(4);
/// How many others' findings are named.
const JOINED_MAX: usize = 4;
/// Growth in bits that is worth an update.
const UPDATE_BITS: f64 = 10.0;
/// Incidents kept for one identity.
const INCIDENTS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::baseline::Baseline;
    use crate::kernel::budget::{Budget, Thresholds};
    use crate::kernel::detector::{Family, PValue, Scope};
    use crate::kernel::event::Event;
    use crate::kernel::risk::Common;
    use crate::kernel::triage::Measure;

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

    #[derive(Debug, PartialEq)]
    struct Told {
        id: IncidentId,
        revision: u32,
    }

    fn find(
        incidents: &mut Incidents,
        subject: &str,
        times: (Timestamp, Timestamp),
        p: f64,
    ) -> Result<Option<Told>, Limit> {
        tell(incidents, subject, times, Some(p), Severity::Low)
    }

    /// Makes a finding with this p-value, or that a rule is broken, and publishes it.
    fn tell(
        incidents: &mut Incidents,
        subject: &str,
        (ts, front): (Timestamp, Timestamp),
        p: Option<f64>,
        severity: Severity,
    ) -> Result<Option<Told>, Limit> {
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
            p_value: p.map(PValue::new),
            begins: 1.0,
            summary: String::new(),
            expected: String::new(),
            observed: String::new(),
            evidence: Vec::new(),
            clears: String::new(),
            severity: None,
            sink: false,
            floor: 0.0,
        };
        let thresholds = Thresholds::new(&Budget::default());
        let measure = Measure {
            decision: "d",
            thresholds: &thresholds,
            common: &Common::default(),
        };
        let occasion = Occasion::at(&event, front, &baseline, measure);
        let at = incidents.note(&CARD, finding, &occasion)?;
        let told = incidents.publish(at, severity, false);
        Ok(told.map(|(incident, _)| Told {
            id: incident.id,
            revision: incident.revision,
        }))
    }

    fn raise(incidents: &mut Incidents, minutes: i64, p: f64) -> Option<Told> {
        let found = find(incidents, "s", (at(minutes), at(minutes)), p);
        found.expect("there is room")
    }

    #[test]
    fn no_alert_is_published_twice_however_many_subjects_there_are() {
        let (mut incidents, mut dropped) = (Incidents::default(), 0);
        let mut published = std::collections::BTreeMap::new();
        let mut take = |found: Result<Option<Told>, Limit>| match found {
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
    fn more_severe_is_news_and_less_severe_is_not() {
        let mut incidents = Incidents::default();
        raise(&mut incidents, 0, 1e-6).expect("opens");
        for n in 1..4 {
            raise(&mut incidents, n, 1e-6);
        }
        raise(&mut incidents, 5, 1e-6);
        assert!(incidents.publish(0, Severity::Low, false).is_none());
        let raised = incidents.publish(0, Severity::High, false);
        assert!(raised.is_some_and(|(_, severity)| severity == Severity::High));
        assert!(incidents.publish(0, Severity::Medium, false).is_none());
        for n in 6..20 {
            if let Some((_, severity)) = raise(&mut incidents, n, 1e-6)
                .map(|_| incidents.kept[0].published.severity)
                .map(|s| (0, s))
            {
                assert_eq!(
                    severity,
                    Severity::High,
                    "a later update takes nothing back"
                );
            }
        }
    }

    #[test]
    fn after_four_quiet_hours_a_new_incident_opens() {
        let mut incidents = Incidents::default();
        let first = raise(&mut incidents, 0, 1e-6).expect("opens");
        let second = raise(&mut incidents, 241, 1e-6).expect("opens anew");
        assert_ne!(first.id, second.id);
        assert_eq!(second.revision, 1);
    }

    /// The minutes at which an incident of this sort opens anew, where it is found every day for six weeks.
    fn opened(p: Option<f64>, severity: Severity) -> (Vec<i64>, usize) {
        let (mut incidents, mut opened, mut updates) = (Incidents::default(), Vec::new(), 0);
        for day in 0..42 {
            let ts = at(day * 1440);
            let told = tell(&mut incidents, "s", (ts, ts), p, severity);
            match told.expect("there is room") {
                Some(told) if told.revision == 1 => opened.push(day),
                Some(_) => updates += 1,
                None => {}
            }
        }
        (opened, updates)
    }

    #[test]
    fn what_comes_back_every_day_is_one_incident_for_a_week_or_four() {
        let (low, _) = opened(Some(1e-6), Severity::Low);
        assert_eq!(low.len(), 42);
        let (medium, updates) = opened(Some(1e-6), Severity::Medium);
        assert_eq!(medium, [0, 8, 16, 24, 32, 40]);
        assert!(updates < 42 - medium.len(), "{updates}");
        let (rule, updates) = opened(None, Severity::Medium);
        assert_eq!(rule, [0, 29]);
        assert_eq!(updates, 40, "each day on which a rule is broken is told");
    }

    #[test]
    fn what_others_find_goes_on_with_the_case_at_hand_and_is_named_once() {
        let mut incidents = Incidents::default();
        let day = |hours: i64| (at(hours * 60), at(hours * 60));
        let told = |incidents: &mut Incidents, subject: &str, hours, severity| {
            let told = tell(incidents, subject, day(hours), Some(1e-6), severity);
            told.expect("there is room").expect("it is news")
        };
        told(&mut incidents, "low", 0, Severity::Low);
        assert_eq!(incidents.case(at(60)), None);
        let case = told(&mut incidents, "case", 1, Severity::Medium);
        let at_work = incidents.case(at(25 * 60)).expect("a case");
        assert_eq!(incidents.kept[at_work].id, case.id);
        let quiet = find(&mut incidents, "quiet", day(1), 0.9);
        assert!(quiet.is_ok() && incidents.join(at_work, 2, Severity::Medium));
        incidents.kept[2].revision = 0;
        assert!(incidents.kept[2].is_told(), "it is held back from learning");
        incidents.kept.pop();
        incidents.kept[at_work].joined.clear();
        assert!(incidents.join(at_work, 0, Severity::Medium));
        assert!(!incidents.join(at_work, 0, Severity::Medium));
        assert_eq!(incidents.kept[at_work].joined, ["test: low".into()]);
        assert_eq!(incidents.case(at(28 * 60)), None);
        // The same again, after the first has closed, is news though its name is known.
        told(&mut incidents, "low", 7, Severity::Low);
        assert!(incidents.join(at_work, 2, Severity::Medium));
        assert_eq!(incidents.kept[at_work].joined.len(), 1);
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
