//! One storm: many identities of which the same is found on one day.

use serde::{Deserialize, Serialize};

use super::alert::{Alert, IncidentId, Members};
use super::detector::{BaselineState, Finding, Mode, PValue, Severity, evidence};
use super::event::Kind;
use super::own::STORM;
use super::time::Timestamp;

/// Those that a day's incidents about one subject were told of first: three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct First {
    members: Vec<Member>,
}

/// One identity of a storm, and how it resembles others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Member {
    identity: Box<str>,
    severity: Severity,
    /// What is new of it, where its finding says, and whose it is.
    traits: [Box<str>; 2],
}

impl Member {
    fn of(alert: &Alert) -> Self {
        let facts = &alert.finding.evidence;
        let new = facts.iter().find(|(name, _)| name == "new");
        let new = new.map_or("", |(_, fact)| fact);
        let group = alert
            .declared
            .as_ref()
            .and_then(|declared| declared.group.as_deref());
        let whose = group.unwrap_or(alert.kind.word());
        Self {
            identity: alert.identity.as_str().into(),
            severity: alert.severity,
            traits: [cut(new), cut(whose)],
        }
    }
}

impl First {
    pub(crate) fn is_full(&self) -> bool {
        self.members.len() >= ALONE
    }

    /// Notes whom `alert` is about; tells whether that is another than those before.
    pub(crate) fn note(&mut self, alert: &Alert) -> bool {
        let member = Member::of(alert);
        let again = self.members.iter().any(|it| it.identity == member.identity);
        if !again && !self.is_full() {
            self.members.push(member);
        }
        !again
    }
}

/// Many identities of which the same is found on one day.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Storm {
    key: IncidentId,
    id: IncidentId,
    subject: Box<str>,
    opened: Timestamp,
    severity: Severity,
    /// How probable it was by chance when it became one, and how many a day were usual.
    p: f64,
    usual: f64,
    /// All of it, those that went out alone among them.
    size: u32,
    /// The first of them, as many as are named.
    named: Vec<Box<str>>,
    /// How often each trait was seen, of the first that there were.
    traits: [Vec<(Box<str>, u32)>; 2],
    /// Those that differ from the rest and went out alone, and in what.
    odd: Vec<(Box<str>, Box<str>)>,
    /// In what its members became worse, and the first of each, who went out alone.
    worse: Vec<(Box<str>, Vec<Box<str>>)>,
    events: Vec<Box<str>>,
    revision: u32,
    /// Size and severity when it was last published.
    published: (u32, Severity),
}

impl Storm {
    /// The storm that began with `first` and which `alert` shows to be one; `alert` is still to be folded.
    pub(crate) fn new(
        key: IncidentId,
        alert: &Alert,
        first: &First,
        partition: u32,
        p: PValue,
        usual: f64,
    ) -> Self {
        let here = partition.to_le_bytes();
        let mut storm = Self {
            key,
            id: IncidentId::of([&key.0[..], &here, alert.decision.as_bytes()]),
            subject: subject(alert).into(),
            opened: alert.opened,
            severity: Severity::Info,
            p: p.get(),
            usual,
            size: 0,
            named: Vec::new(),
            traits: Default::default(),
            odd: Vec::new(),
            worse: Vec::new(),
            events: Vec::new(),
            revision: 0,
            published: (0, Severity::Info),
        };
        for member in &first.members {
            storm.admit(member);
            storm.severity = storm.severity.max(member.severity);
        }
        storm
    }

    /// The same in every partition.
    pub(crate) const fn key(&self) -> IncidentId {
        self.key
    }

    /// The day on which it began.
    pub(crate) const fn day(&self) -> i64 {
        self.opened.day()
    }

    /// Whether `alert` is of an incident that was told before there was a storm.
    pub(crate) fn began_with(&self, alert: &Alert) -> bool {
        let first = self.named.iter().take(ALONE);
        first.into_iter().any(|it| **it == *alert.identity)
            && *self.subject == *subject(alert)
            && alert.opened.day() == self.day()
    }

    /// Whether an incident that has become worse, by its severity or by what has joined it, goes out alone:
    /// the first three that become so do.
    pub(crate) fn lets_out_worse(&mut self, alert: &Alert) -> bool {
        let how = if alert.severity > self.severity {
            alert.severity.word()
        } else {
            let mut facts = alert.finding.evidence.iter();
            let joined = facts.find(|(name, _)| name == "joined_by");
            joined.map_or("", |(_, by)| by)
        };
        let (how, who) = (cut(how), alert.identity.as_str());
        if how.is_empty() {
            return false;
        }
        let at = self.worse.iter().position(|(so, _)| *so == how);
        if at.is_none() && self.worse.len() < TRAITS_MAX {
            self.worse.push((how, vec![who.into()]));
            return true;
        }
        let Some((_, first)) = at.and_then(|at| self.worse.get_mut(at)) else {
            return true;
        };
        let is_one = first.iter().any(|it| **it == *who);
        let room = first.len() < ALONE;
        if room && !is_one {
            first.push(who.into());
        }
        room || is_one
    }

    /// Many of it have become worse, as `alert` has; gives what is to be told of that, where it is news.
    pub(crate) fn worsen(&mut self, alert: &Alert) -> Option<Alert> {
        let more = alert.severity > self.severity;
        self.severity = self.severity.max(alert.severity);
        more.then(|| self.publish(alert))
    }

    /// Whether `alert` differs so much that it goes out alone: `high` where nothing was, or the first of its
    /// kind where most of the storm are of another.
    pub(crate) fn lets_out(&mut self, alert: &Alert) -> bool {
        let member = Member::of(alert);
        if alert.severity > self.severity.max(Severity::Medium) {
            return true;
        }
        let size = self.size;
        let differs = self.traits.iter().zip(&member.traits).find(|(seen, own)| {
            let most = seen.iter().map(|(_, times)| *times).max().unwrap_or(0);
            !seen.iter().any(|(value, _)| value == *own) && most >= COMMON && most * 2 > size
        });
        let Some((_, own)) = differs else {
            return false;
        };
        if self.odd.len() == ODD_MAX {
            return false;
        }
        let own = own.clone();
        self.odd.push((member.identity.clone(), own));
        self.admit(&member);
        true
    }

    /// Takes `alert` in; gives what is to be told of the storm, where that is news: it has begun, has
    /// doubled, or is more severe.
    pub(crate) fn fold(&mut self, alert: &Alert) -> Option<Alert> {
        self.admit(&Member::of(alert));
        self.severity = self.severity.max(alert.severity);
        if self.events.len() < Alert::EVENTS_MAX {
            let newest = alert.events.last().filter(|id| id.len() <= TEXT_MAX);
            self.events.extend(newest.map(|id| id.as_str().into()));
        }
        let (size, severity) = self.published;
        let news = self.size >= size.saturating_mul(2) || self.severity > severity;
        (self.revision == 0 || news).then(|| self.publish(alert))
    }

    fn publish(&mut self, last: &Alert) -> Alert {
        self.revision += 1;
        self.published = (self.size, self.severity);
        self.alert(last)
    }

    fn admit(&mut self, member: &Member) {
        self.size = self.size.saturating_add(1);
        if self.named.len() < NAMED_MAX {
            self.named.push(member.identity.clone());
        }
        for (seen, own) in self.traits.iter_mut().zip(&member.traits) {
            let room = seen.len() < TRAITS_MAX;
            match seen.iter_mut().find(|(value, _)| value == own) {
                Some((_, times)) => *times = times.saturating_add(1),
                None if room => seen.push((own.clone(), 1)),
                None => {}
            }
        }
    }

    /// What most of it share of a trait, where more than half do.
    fn shared(&self, which: usize) -> Option<String> {
        let seen = self.traits.get(which)?;
        let (value, times) = seen.iter().max_by_key(|(_, times)| *times)?;
        let shared = !value.is_empty() && times.saturating_mul(2) > self.size;
        shared.then(|| format!("{value} ({times} of {})", self.size))
    }

    fn alert(&self, last: &Alert) -> Alert {
        let mut facts = evidence([
            ("identities", self.size.to_string()),
            ("usual_a_day", format!("{:.2}", self.usual)),
        ]);
        let shared = ["shared_news", "shared_group"].into_iter().enumerate();
        facts.extend(shared.filter_map(|(at, name)| Some((name.into(), self.shared(at)?))));
        let odd = self.odd.iter();
        let odd: Vec<_> = odd.map(|(who, what)| format!("{who} ({what})")).collect();
        if !odd.is_empty() {
            facts.push(("odd_ones_out".into(), odd.join(", ")));
        }
        for (how, first) in &self.worse {
            let fact = format!("{how}, first {}", first.join(", "));
            facts.push(("became_worse".into(), fact));
        }
        Alert {
            id: self.id,
            revision: self.revision,
            ts: last.ts,
            opened: self.opened,
            identity: MANY.to_owned(),
            kind: Kind::Unknown,
            declared: None,
            detector: STORM.name,
            severity: self.severity,
            finding: Finding {
                subject: self.subject.to_string(),
                p_value: Some(PValue::new(self.p)),
                begins: 1.0,
                summary: format!("the same is found of {} identities on one day", self.size),
                expected: format!("about {:.2} such incidents a day", self.usual),
                observed: format!("{} incidents, the first of {}", self.size, self.opened),
                evidence: facts,
                clears: "a deployment, an outage or the market explains it; the odd ones out and the first \
                         three have incidents of their own"
                    .to_owned(),
                severity: None,
                sink: false,
                floor: 0.0,
            },
            findings: self.size,
            events: self.events.iter().map(|id| id.to_string()).collect(),
            action: last.action.clone(),
            ip: None,
            baseline: BaselineState::Mature,
            mode: Mode::Alert,
            decision: last.decision.clone(),
            risk: None,
            members: Some(Box::new(Members {
                storm: self.key,
                identities: self.named.iter().map(|name| name.to_string()).collect(),
            })),
        }
    }
}

/// What a storm calls what `alert` is about.
fn subject(alert: &Alert) -> String {
    format!("{}: {}", alert.detector, alert.finding.subject)
}

/// `text`, or the beginning of it.
pub(crate) fn cut(text: &str) -> Box<str> {
    text.chars().take(TEXT_MAX).collect::<String>().into()
}

/// What an alert calls the identity it is about where that is no one in particular.
pub(crate) const MANY: &str = "(many)";
/// How many go out alone before there is a storm.
const ALONE: usize = 3;
/// How many of one kind make another odd.
const COMMON: u32 = 3;
/// How many odd ones go out alone.
const ODD_MAX: usize = 3;
/// How many of its identities a storm names.
const NAMED_MAX: usize = 100;
/// Values of a trait that are told apart.
const TRAITS_MAX: usize = 16;
/// Characters of a trait that are kept; an event's id that is longer is not.
const TEXT_MAX: usize = 256;
