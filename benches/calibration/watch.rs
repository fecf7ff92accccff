//! One partition of identities that nothing is wrong with, watched by an engine that begins cold.

use std::collections::BTreeMap;
use std::sync::Arc;

use nhiwatch_detectors::kernel::alert::{Alert, IncidentId};
use nhiwatch_detectors::kernel::budget::FINDINGS_PER_DAY;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::{Engine, Sighting};
use nhiwatch_detectors::kernel::event::{Class, Count, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use super::nulls::{Family, Null};
use super::sessions::{Habit, Judged};

/// A Monday in 2026 after which no clock changes for 26 weeks.
pub(crate) const MONDAY: Timestamp = Timestamp::from_seconds(1_775_433_600);
const WEEK: u32 = 168;
pub(crate) const WEEKS: u32 = 26;
/// Weeks of which nothing is counted.
pub(crate) const UNSCORED: u32 = 14;

/// What was seen of one partition, in the weeks that are scored.
#[derive(Default)]
pub(crate) struct Seen {
    /// Identities of each family.
    pub(crate) identities: BTreeMap<Family, u64>,
    /// The smallest p-value of every identity-hour in which a test spoke.
    pub(crate) windows: BTreeMap<Test, Vec<(Family, f64)>>,
    /// The highest severity of every incident that was published.
    pub(crate) incidents: Vec<(Family, &'static str, Severity)>,
    /// Sessions of other identities, by how they are put together.
    pub(crate) sessions: BTreeMap<Habit, Judged>,
    /// Calls and records, of all weeks.
    pub(crate) calls: u64,
    pub(crate) records: u64,
}

/// One detector's tests that begin to speak at the same p-value.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Test {
    pub(crate) detector: &'static str,
    /// The bits of that p-value, which order as it does.
    begins: u64,
}

impl Test {
    pub(crate) const fn begins(&self) -> f64 {
        f64::from_bits(self.begins)
    }
}

impl Seen {
    /// Adds what was seen of another partition.
    pub(crate) fn add(&mut self, other: Self) {
        for (family, identities) in other.identities {
            *self.identities.entry(family).or_default() += identities;
        }
        for (test, windows) in other.windows {
            self.windows.entry(test).or_default().extend(windows);
        }
        self.incidents.extend(other.incidents);
        for (habit, judged) in other.sessions {
            let own = self.sessions.entry(habit).or_default();
            own.sessions += judged.sessions;
            own.found.extend(judged.found);
        }
        self.calls += other.calls;
        self.records += other.records;
    }
}

/// Watches so many identities `of_each` family, made from `seed`, for 26 weeks.
pub(crate) fn watch(seed: u64, of_each: u64) -> Seen {
    let families = Family::ALL.into_iter().cycle();
    let total = of_each * Family::ALL.len() as u64;
    let mut nulls: Vec<(String, Family, Null)> = (0..total)
        .zip(families)
        .map(|(number, family)| {
            let null = Null::new(family, seed, number);
            (format!("null-{number}"), family, null)
        })
        .collect();
    let mut books = Books::new(&nulls);
    let mut engine = engine();
    let (mut alerts, mut records, mut hour_of_all) = (Vec::new(), Vec::new(), Vec::new());
    for hour in 0..WEEKS * WEEK {
        for (at, (_, _, null)) in nulls.iter_mut().enumerate() {
            null.hour(hour, &mut records);
            hour_of_all.extend(records.drain(..).map(|(second, calls)| (second, at, calls)));
        }
        hour_of_all.sort_unstable();
        let start = MONDAY.plus(Span::HOUR.times(i64::from(hour)));
        for (second, at, calls) in hour_of_all.drain(..) {
            books.seen.calls += calls;
            books.seen.records += 1;
            let event = Event {
                ts: start.plus(Span::from_seconds(i64::from(second))),
                identity: &nulls[at].0,
                action: "call",
                class: Class::Read,
                count: Count::new(calls).unwrap_or_default(),
                ..Event::default()
            };
            engine.handle(&Input::Event(event), &mut alerts);
        }
        let over = start.plus(Span::HOUR);
        engine.handle(&Input::Heartbeat { ts: over }, &mut alerts);
        books.note(engine.take_sightings(), &mut alerts);
    }
    books.close()
}

fn engine() -> Engine {
    let mut engine = Engine::new(0, Arc::default());
    engine.keep_sightings();
    engine
}

/// What happened in the weeks that are scored, while it is collected.
struct Books {
    families: BTreeMap<String, Family>,
    windows: BTreeMap<(Test, String, i64), f64>,
    incidents: BTreeMap<IncidentId, (Family, &'static str, Severity)>,
    seen: Seen,
}

impl Books {
    fn new(nulls: &[(String, Family, Null)]) -> Self {
        let mut seen = Seen::default();
        for (_, family, _) in nulls {
            *seen.identities.entry(*family).or_default() += 1;
        }
        Self {
            families: nulls
                .iter()
                .map(|(name, family, _)| (name.clone(), *family))
                .collect(),
            windows: BTreeMap::new(),
            incidents: BTreeMap::new(),
            seen,
        }
    }

    fn note(&mut self, sightings: Vec<Sighting>, alerts: &mut Vec<Alert>) {
        for sighting in sightings {
            let Some(p) = sighting.finding.p_value.filter(|_| scored(sighting.ts)) else {
                continue;
            };
            let (begins, p) = comparable(sighting.finding.begins, p.get());
            let test = Test {
                detector: sighting.detector,
                begins: begins.to_bits(),
            };
            let key = (test, sighting.identity, sighting.ts.hour());
            let least = self.windows.entry(key).or_insert(1.0);
            *least = least.min(p);
        }
        for alert in alerts.drain(..).filter(|alert| scored(alert.opened)) {
            let family = self.families[&alert.identity];
            let incident = (family, alert.detector, alert.severity);
            let highest = self.incidents.entry(alert.id).or_insert(incident);
            highest.2 = highest.2.max(alert.severity);
        }
    }

    fn close(self) -> Seen {
        let mut seen = self.seen;
        for ((test, identity, _), p) in self.windows {
            let windows = seen.windows.entry(test).or_default();
            windows.push((self.families[&identity], p));
        }
        seen.incidents = self.incidents.into_values().collect();
        seen
    }
}

/// Where a test begins, and its p-value. Of a detector that makes tests as often as each identity does
/// something, both are taken for a whole day, so that all identities are one test.
fn comparable(begins: f64, p: f64) -> (f64, f64) {
    let tests_per_day = FINDINGS_PER_DAY / begins;
    // So many a day, or so many in three days.
    let fixed = 3.0 * tests_per_day;
    if (fixed - fixed.round()).abs() < 1e-6 {
        (begins, p)
    } else {
        (FINDINGS_PER_DAY, p * tests_per_day)
    }
}

fn scored(ts: Timestamp) -> bool {
    ts >= MONDAY.plus(Span::WEEK.times(i64::from(UNSCORED)))
}
