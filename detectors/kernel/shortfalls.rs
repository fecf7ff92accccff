//! What a partition could not take in: told once a day for each cause, and again each time it has grown tenfold.

use serde::{Deserialize, Serialize};

use super::alert::{Alert, IncidentId, Members};
use super::detector::{BaselineState, Card, Finding, Mode, evidence};
use super::event::Kind;
use super::own::{IDENTITY_FLOOD, UNREADABLE};
use super::storm::{MANY, cut};
use super::storms::storm_key;
use super::time::Timestamp;

/// Why something was not taken in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub(crate) enum Lack {
    /// There is no room for more identities.
    Room,
    /// It could not be read.
    Sense,
}

impl Lack {
    const fn card(self) -> &'static Card {
        match self {
            Self::Room => &IDENTITY_FLOOD,
            Self::Sense => &UNREADABLE,
        }
    }
}

/// What one partition could not take in on the newest day on which there was any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shortfalls {
    /// Nothing as long as there is no time yet.
    day: Option<i64>,
    list: Vec<Shortfall>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shortfall {
    lack: Lack,
    /// Whose it is, and what is wrong with it.
    subject: Box<str>,
    id: IncidentId,
    opened: Timestamp,
    count: u64,
    /// How many they were when it was last told, and how often it was.
    told: u64,
    revision: u32,
    /// The first identities that were turned away.
    named: Vec<Box<str>>,
}

/// One or more records that are not taken in, for one reason.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed<'m> {
    pub(crate) lack: Lack,
    /// Who sent them, and what is wrong with them.
    pub(crate) subject: &'m str,
    pub(crate) count: u64,
    /// Whom they are about, where that can be told.
    pub(crate) identity: Option<&'m str>,
    /// The issuer that has the most newcomers, and how many.
    pub(crate) most: Option<(&'m str, usize)>,
    /// When: in the partition's time, or as it arrived.
    pub(crate) ts: Timestamp,
    /// The day it is by the partition's time, if there is any yet.
    pub(crate) day: Option<i64>,
}

impl Shortfalls {
    /// Takes `missed` into account, in `partition` under `decision`; gives what is to be told, where that is news.
    pub(crate) fn note(
        &mut self,
        missed: &Missed<'_>,
        partition: u32,
        decision: &str,
    ) -> Option<Alert> {
        if missed.day > self.day {
            (self.day, self.list) = (missed.day, Vec::new());
        }
        let day = self.day.unwrap_or(i64::MIN);
        let shortfall = self.of(missed, partition, (day, decision));
        shortfall.count = shortfall.count.saturating_add(missed.count);
        shortfall.name(missed.identity);
        if shortfall.count < shortfall.told.checked_mul(10)?.max(1) {
            return None;
        }
        shortfall.told = shortfall.count;
        shortfall.revision += 1;
        Some(shortfall.alert(missed, day, decision))
    }

    /// The shortfall that `missed` is of: of each lack the last one is of all that have no other.
    fn of(
        &mut self,
        missed: &Missed<'_>,
        partition: u32,
        (day, decision): (i64, &str),
    ) -> &mut Shortfall {
        let Missed { lack, ts, .. } = *missed;
        let position = |list: &[Shortfall], subject: &str| {
            let mut list = list.iter();
            list.position(|it| it.lack == lack && *it.subject == *subject)
        };
        let mut subject = cut(missed.subject);
        let mut at = position(&self.list, &subject);
        let own = self.list.iter().filter(|it| it.lack == lack).count();
        if at.is_none() && own >= CAUSES_MAX - 1 {
            subject = OTHERS.into();
            at = position(&self.list, &subject);
        }
        let at = at.unwrap_or_else(|| {
            let here = partition.to_le_bytes();
            let key = storm_key(lack.card().name, &subject, day);
            self.list.push(Shortfall {
                lack,
                subject,
                id: IncidentId::of([&key.0[..], &here, decision.as_bytes()]),
                opened: ts,
                count: 0,
                told: 0,
                revision: 0,
                named: Vec::new(),
            });
            self.list.len() - 1
        });
        &mut self.list[at]
    }
}

impl Shortfall {
    fn name(&mut self, identity: Option<&str>) {
        if let Some(identity) = identity
            && self.named.len() < NAMED_MAX
        {
            let name = cut(identity);
            if !self.named.contains(&name) {
                self.named.push(name);
            }
        }
    }

    fn alert(&self, missed: &Missed<'_>, day: i64, decision: &str) -> Alert {
        let card = self.lack.card();
        let key = storm_key(card.name, &self.subject, day);
        let (summary, expected, clears) = match self.lack {
            Lack::Room => (
                "more new identities than there is room for; the rest are held against the rules only",
                "no more than `limits.newcomers` first seen within a day, and `limits.identities` in all",
                "whoever issues them stops, or they are declared in the inventory; where so many are usual, raise the \
                 limit that nhiwatch_limits_total names",
            ),
            Lack::Sense => (
                "records cannot be read and are not judged",
                "every record can be read",
                "whoever writes them writes what is read there: what its mapping knows on a raw topic, else the event \
                 schema; the records are among the dead letters, each with the reason",
            ),
        };
        let mut facts = evidence([("records", self.count.to_string())]);
        if let Some((issuer, most)) = missed.most {
            facts.push((
                "most_newcomers".into(),
                format!("{most} of {}", cut(issuer)),
            ));
        }
        Alert {
            id: self.id,
            revision: self.revision,
            ts: missed.ts.max(self.opened),
            opened: self.opened,
            identity: MANY.to_owned(),
            kind: Kind::Unknown,
            declared: None,
            detector: card.name,
            severity: card.severity,
            finding: Finding {
                subject: self.subject.to_string(),
                p_value: None,
                begins: 1.0,
                summary: format!("{}: {summary}", self.subject),
                expected: expected.to_owned(),
                observed: match self.count {
                    1 => "one record so far on this day".to_owned(),
                    count => format!("{count} records so far on this day"),
                },
                evidence: facts,
                clears: clears.to_owned(),
                severity: None,
                sink: false,
                floor: 0.0,
            },
            findings: u32::try_from(self.count).unwrap_or(u32::MAX),
            events: Vec::new(),
            action: String::new(),
            ip: None,
            baseline: BaselineState::Mature,
            mode: Mode::Alert,
            decision: decision.to_owned(),
            risk: None,
            members: Some(Box::new(Members {
                storm: key,
                identities: self.named.iter().map(|name| name.to_string()).collect(),
            })),
        }
    }
}

/// Causes of one day and one lack that are told apart, the last of which is [`OTHERS`].
const CAUSES_MAX: usize = 64;
/// What is told of as one where there are too many causes.
const OTHERS: &str = "(others)";
/// Identities that are named.
const NAMED_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::Span;

    const NOON: Timestamp = Timestamp::from_hour(500_004);

    fn missed(subject: &str, count: u64, ts: Timestamp) -> Missed<'_> {
        Missed {
            lack: Lack::Sense,
            subject,
            count,
            identity: None,
            most: None,
            ts,
            day: Some(ts.day()),
        }
    }

    #[test]
    fn a_cause_is_told_once_a_day_and_again_when_it_has_grown_tenfold() {
        let mut shortfalls = Shortfalls::default();
        let mut told = Vec::new();
        for n in 0..1000 {
            let ts = NOON.plus(Span::from_seconds(n));
            // Another decision later on changes no incident that is open.
            let decision = if n < 500 { "d" } else { "e" };
            told.extend(shortfalls.note(&missed("a: json", 1, ts), 3, decision));
        }
        let said: Vec<_> = told.iter().map(|it| (it.revision, it.findings)).collect();
        assert_eq!(said, [(1, 1), (2, 10), (3, 100), (4, 1000)]);
        let first = &told[0];
        assert!(told.iter().all(|it| it.id == first.id && it.opened == NOON));
        let other = shortfalls.note(&missed("b: json", 1, NOON), 3, "d");
        assert_ne!(other.unwrap().id, first.id);
        let morrow = missed("a: json", 5000, NOON.plus(Span::DAY));
        let again = shortfalls.note(&morrow, 3, "d").unwrap();
        assert_eq!((again.revision, again.findings), (1, 5000));
        assert_ne!(again.id, first.id);
        let huge = missed("a: json", u64::MAX, NOON.plus(Span::DAY));
        assert!(shortfalls.note(&huge, 3, "d").is_some());
        let more = shortfalls.note(&huge, 3, "d");
        assert!(more.is_none(), "it cannot grow tenfold");
    }

    #[test]
    fn what_comes_before_there_is_any_time_is_one_incident_whatever_its_stamps_say() {
        let mut shortfalls = Shortfalls::default();
        let mut told = Vec::new();
        let timeless = |ts| Missed {
            day: None,
            ..missed("a: json", 1, ts)
        };
        for n in 0..1000 {
            let ts = NOON.minus(Span::DAY.times(n % 2));
            told.extend(shortfalls.note(&timeless(ts), 3, "d"));
        }
        assert_eq!(told.len(), 4);
        assert!(
            told.iter()
                .all(|it| it.id == told[0].id && it.ts >= it.opened)
        );
        let timed = shortfalls
            .note(&missed("a: json", 1, NOON), 3, "d")
            .unwrap();
        assert!(timed.revision == 1 && timed.id != told[0].id);
        assert!(shortfalls.note(&timeless(NOON), 3, "d").is_none());
    }

    #[test]
    fn a_partition_has_an_incident_of_its_own_and_a_key_in_common() {
        let of = |partition| {
            let alert = Shortfalls::default().note(&missed("a: json", 1, NOON), partition, "d");
            let alert = alert.unwrap();
            (alert.id, alert.members.unwrap().storm)
        };
        let (one, other) = (of(0), of(1));
        assert!(one.0 != other.0 && one.1 == other.1);
    }

    #[test]
    fn causes_beyond_the_bound_are_told_as_one_and_take_no_room_of_the_other_lack() {
        let mut shortfalls = Shortfalls::default();
        let mut told = Vec::new();
        for n in 0..200 {
            let subject = format!("mint-{n}");
            let (lack, most) = (Lack::Room, Some(("mint-0", 7)));
            let missed = Missed {
                lack,
                most,
                ..missed(&subject, 1, NOON)
            };
            told.extend(shortfalls.note(&missed, 0, "d"));
        }
        let others = told.iter().filter(|it| it.finding.subject == OTHERS);
        let others: Vec<_> = others.map(|it| it.findings).collect();
        assert_eq!((told.len(), others), (CAUSES_MAX - 1 + 3, vec![1, 10, 100]));
        assert_eq!(told[0].finding.evidence[1].1, "7 of mint-0");
        let unreadable = shortfalls.note(&missed("a: json", 1, NOON), 0, "d");
        assert_eq!(unreadable.unwrap().finding.subject, "a: json");
        assert_eq!(shortfalls.list.len(), CAUSES_MAX + 1);
    }
}
