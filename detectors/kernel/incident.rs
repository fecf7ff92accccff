//! One incident: findings of one detector about one subject of one identity, however many there are.

use serde::{Deserialize, Serialize};

use super::alert::{Alert, IncidentId};
use super::detector::{Card, Finding, Severity};
use super::occasion::Occasion;
use super::time::{Span, Timestamp};

/// One thing that went wrong with one identity, however many findings report it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incident {
    pub(crate) id: IncidentId,
    pub(crate) detector: Box<str>,
    pub(crate) subject: Box<str>,
    pub(crate) opened: Timestamp,
    /// When its own detector last found something of it.
    pub(super) last: Timestamp,
    /// When anything was last found that keeps it open.
    pub(super) active: Timestamp,
    /// How often it was published; not at all while it is worth nothing by itself.
    pub(crate) revision: u32,
    pub(crate) findings: u32,
    /// How it stood when it was last published.
    pub(super) published: Stand,
    /// Whether it speaks for itself, as a broken rule does.
    rule: bool,
    /// Days on which anything was found of it.
    pub(crate) days: u16,
    /// Days on which its rule was broken in the incidents that it follows, where that has become a practice.
    pub(crate) practice: u16,
    /// What others have found that goes on with it, four at most.
    pub(crate) joined: Vec<Box<str>>,
    /// The storm that it was told with, if it was, and how severe it was then: what is no more than that
    /// is no news.
    folded: Option<(IncidentId, Severity)>,
    /// The incident that it goes on with, if it does, and how it stood when that was last told.
    joins: Option<(IncidentId, Stand)>,
    pub(crate) events: Vec<Box<str>>,
    /// What it last found, while it may still be published for the first time or anew.
    pub(crate) latest: Option<Box<Latest>>,
}

/// How an incident stands: how large it is, and how severe.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stand {
    findings: u32,
    /// Days on which anything was found of it.
    days: u16,
    /// The surprise of its latest finding, or, if more, of one before.
    bits: f64,
    pub(super) severity: Severity,
}

/// A finding and what it came with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latest {
    pub(crate) finding: Finding,
    pub(crate) action: Box<str>,
    pub(crate) ip: Option<Box<str>>,
}

impl Incident {
    /// One that opens with `finding`, which is still to be taken in.
    pub(super) fn new(card: &Card, finding: &Finding, occasion: &Occasion<'_>) -> Self {
        let ts = occasion.ts;
        Self {
            id: incident_id(card, finding, occasion),
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
            practice: 0,
            joined: Vec::new(),
            folded: None,
            joins: None,
            events: Vec::new(),
            latest: None,
        }
    }

    /// Takes in a finding of its own.
    pub(super) fn note(&mut self, finding: Finding, occasion: &Occasion<'_>) {
        let ts = occasion.ts;
        let another = self.days == 0 || ts.day() > self.last.day();
        self.findings = self.findings.saturating_add(1);
        self.days = self.days.saturating_add(u16::from(another));
        self.last = self.last.max(ts);
        self.keep_open(ts);
        self.keep(occasion.uid);
        self.latest = Some(Box::new(Latest {
            finding,
            action: occasion.action.into(),
            ip: occasion.ip.map(Into::into),
        }));
    }

    /// Something that keeps it open was found at `ts`, by itself or by another.
    pub(super) fn keep_open(&mut self, ts: Timestamp) {
        self.active = self.active.max(ts);
    }

    /// Whether it is news at `severity`, because it was never published, is more severe now, or has grown
    /// enough: something has `joined` it, its findings have doubled, their surprise has grown by ten bits,
    /// or its rule is broken on another day. Where it is, this counts as publishing it, and gives its
    /// severity.
    pub(super) fn publish(&mut self, severity: Severity, joined: bool) -> Option<Severity> {
        let before = (self.revision > 0).then_some(self.published);
        let news = joined || before.is_none_or(|before| self.has_grown(&before, severity));
        let with_others = !joined && self.folded.is_some_and(|(_, folded)| severity <= folded);
        if !news || with_others {
            return None;
        }
        self.published = self.stand(before, severity);
        self.revision += 1;
        Some(self.published.severity)
    }

    /// What was just published of it is told with `storm` instead, or alone.
    pub(super) fn fold(&mut self, storm: Option<IncidentId>) {
        self.folded = storm.map(|storm| (storm, self.published.severity));
    }

    /// The storm that it was told with, if it was.
    pub(super) fn storm(&self) -> Option<IncidentId> {
        self.folded.map(|(storm, _)| storm)
    }

    /// Lets it go on with `case` as `severity`; tells whether that is news: the first of it, or grown
    /// enough.
    pub(super) fn join(&mut self, case: IncidentId, severity: Severity) -> bool {
        let before = self.joins.filter(|(joins, _)| *joins == case);
        let before = before.map(|(_, stand)| stand);
        let news = before.is_none_or(|before| self.has_grown(&before, severity));
        if news {
            self.joins = Some((case, self.stand(before, severity)));
        }
        news
    }

    /// Whether it is about the same as `other`.
    pub(crate) fn is_about(&self, other: &Self) -> bool {
        (&self.detector, &self.subject) == (&other.detector, &other.subject)
    }

    /// What another incident calls it where it joins that one.
    pub(super) fn name(&self) -> String {
        format!("{}: {}", self.detector, self.subject)
    }

    /// Another incident goes on with it.
    pub(super) fn joined_by(&mut self, name: &str) {
        let named = self.joined.iter().any(|joined| **joined == *name);
        if !named && self.joined.len() < JOINED_MAX {
            self.joined.push(name.into());
        }
    }

    pub(super) fn is_open(&self, now: Timestamp) -> bool {
        !self.is_quiet(now) && now.since(self.opened) <= self.bounds().1
    }

    pub(super) fn is_quiet(&self, now: Timestamp) -> bool {
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

    /// The days of a practice that one which follows it at `now` goes on with: this broke its rule on ten
    /// days or more, was told each time, and closed for its age alone.
    pub(super) fn practised(&self, now: Timestamp) -> u16 {
        let habit = self.rule && self.revision > 0 && self.days >= PRACTICE_DAYS;
        if habit && !self.is_open(now) && !self.is_quiet(now) {
            self.practice.saturating_add(self.days)
        } else {
            0
        }
    }

    /// Whether it may not make room for another, however long it stays open.
    pub(super) fn is_recent(&self, now: Timestamp) -> bool {
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

/// Id of the incident that opens with `finding`: a hash of what it is about and of the hour, so that
/// every replay and every partition gives the same.
fn incident_id(card: &Card, finding: &Finding, occasion: &Occasion<'_>) -> IncidentId {
    IncidentId::of([
        occasion.identity.as_bytes(),
        card.name.as_bytes(),
        finding.subject.as_bytes(),
        occasion.measure.decision.as_bytes(),
        &occasion.ts.hour().to_le_bytes(),
    ])
}

/// A rule broken on so many days of an incident is a practice.
const PRACTICE_DAYS: u16 = 10;
/// An incident closes after this much quiet.
const QUIET: Span = Span::HOUR.times(4);
/// An incident closes at this age.
const LONGEST: Span = Span::DAY;
/// The same of one that was published as `medium` or more.
const CASE_QUIET: Span = Span::HOUR.times(74);
const CASE_LONGEST: Span = Span::WEEK.times(2);
/// The same where a rule is broken.
const HABIT_QUIET: Span = Span::WEEK;
const HABIT_LONGEST: Span = Span::WEEK.times(4);
/// Growth in bits that is worth an update.
const UPDATE_BITS: f64 = 10.0;
/// How many others' findings are named.
const JOINED_MAX: usize = 4;
