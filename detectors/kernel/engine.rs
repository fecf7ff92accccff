//! One engine per partition: admit, count, judge, triage, learn.

mod decision;
mod desk;
mod portrait;
mod prefetch;
mod shortfall;
mod state;
mod stats;

use std::sync::Arc;

pub use decision::{Decision, Limits, Settings};
pub use portrait::{Open, Portrait};
pub use state::RestoreError;
pub use stats::{DetectorStats, Stats};

use super::alert::Alert;
use super::clock::{Arrival, Clock, LATENESS};
use super::detector::{BaselineState, Finding, Mode};
use super::event::Event;
use super::groups::Groups;
use super::identities::Identities;
use super::input::{Fate, Input};
use super::inventory::Declared;
use super::limit::Limit;
use super::memory::Known;
use super::names::Names;
use super::noise::Common;
use super::seen::Seen;
use super::shortfalls::Shortfalls;
use super::storms::{Storms, Told};
use super::time::{Span, Timestamp};
use super::timers::Timers;
use desk::Desk;
pub use desk::Sighting;
use stats::heed;

/// The state machine of one partition.
///
/// Its only input is that partition's log, in order; it reads no clock and no random source, so the
/// same log always gives the same alerts and the same state.
pub struct Engine {
    partition: u32,
    decision: Arc<Decision>,
    clock: Clock,
    seen: Seen,
    names: Names,
    identities: Identities,
    stats: Stats,
    timers: Timers,
    groups: Groups,
    /// The noise of its identities; and what the record at hand adds, which counts from the next on.
    common: Common,
    fresh: Common,
    storms: Storms,
    shortfalls: Shortfalls,
    /// Findings of the event at hand; kept to reuse its allocation.
    findings: Vec<(usize, Mode, Finding)>,
    sightings: Option<Vec<Sighting>>,
}

impl Engine {
    /// An engine for `partition` that knows nothing yet.
    #[must_use]
    pub fn new(partition: u32, decision: Arc<Decision>) -> Self {
        Self {
            partition,
            clock: Clock::default(),
            seen: Seen::new(decision.limits.duplicates),
            names: Names::default(),
            identities: Identities::new(decision.limits.identities, decision.limits.newcomers),
            timers: Timers::default(),
            groups: Groups::default(),
            common: Common::default(),
            fresh: Common::default(),
            storms: Storms::default(),
            shortfalls: Shortfalls::default(),
            findings: Vec::new(),
            sightings: None,
            decision,
            stats: Stats::default(),
        }
    }

    /// The partition it owns.
    #[must_use]
    pub const fn partition(&self) -> u32 {
        self.partition
    }

    /// Takes one record in; what it raises is appended to `alerts`.
    pub fn handle(&mut self, input: &Input<'_>, alerts: &mut Vec<Alert>) -> Fate {
        let fate = match input {
            Input::Event(event) => self.event(event, alerts),
            Input::Inventory { identity, declared } => {
                self.declare(identity, declared.as_ref(), alerts);
                Fate::Control
            }
            Input::Feedback {
                identity,
                incident,
                ruling,
            } => {
                if let Some(slot) = self.identities.find(identity) {
                    if let Some(memory) = self.identities.memory(slot)
                        && let Some((from, until)) = memory.incidents.hours(*incident)
                    {
                        memory.baseline.rule(from, until, *ruling);
                    }
                    self.identities.touch(slot, false, true);
                }
                Fate::Control
            }
            Input::Unreadable {
                source,
                reason,
                count,
                received,
            } => {
                self.refuse((source, reason), *count, *received, alerts);
                Fate::Control
            }
            Input::Heartbeat { ts } => {
                self.clock.advance(*ts);
                self.pass(alerts);
                Fate::Control
            }
        };
        self.common.add(&mut self.fresh);
        self.stats.fates[fate as usize] += 1;
        fate
    }

    /// An inventory entry, or its end; the end of one that is not kept is no news.
    fn declare(&mut self, identity: &str, declared: Option<&Declared>, alerts: &mut Vec<Alert>) {
        let front = self.clock.front().unwrap_or(Timestamp::MIN);
        let mut slot = self.identities.find(identity);
        if slot.is_none() && declared.is_some() {
            slot = self.identities.admit_rather(identity, front);
            if slot.is_none() {
                self.miss_room(identity, Limit::Identities, alerts);
            }
        }
        let Some(slot) = slot else {
            return;
        };
        if let Some(memory) = self.identities.memory(slot) {
            self.groups.part(memory);
        }
        self.identities.declare(slot, declared.cloned());
        if let Some(memory) = self.identities.memory(slot) {
            memory.baseline.follow(&self.decision.holidays);
            self.groups.enrol(memory);
        }
    }

    /// Lets time pass up to the partition's watermark: closes the hours that are over, and asks
    /// whether silence is news, in the order of time.
    fn pass(&mut self, alerts: &mut Vec<Alert>) {
        let Some(watermark) = self.clock.watermark() else {
            return;
        };
        while let Some((due, slots)) = self.timers.due(watermark) {
            let before = alerts.len();
            for slot in slots {
                self.look_at(slot, due, alerts);
            }
            self.common.add(&mut self.fresh);
            self.groups.expire(due);
            // Slots are numbered as it happens; names are not.
            alerts[before..].sort_by(|a, b| a.identity.cmp(&b.identity));
            self.fold(alerts, before);
        }
    }

    /// Looks at one identity because it is time to.
    fn look_at(&mut self, slot: u32, due: Timestamp, alerts: &mut Vec<Alert>) {
        let Some(memory) = self.identities.memory(slot) else {
            return;
        };
        if memory.failed {
            return;
        }
        let mut desk = Desk {
            memory,
            decision: &self.decision,
            names: &self.names,
            groups: &mut self.groups,
            stats: &mut self.stats,
            findings: &mut self.findings,
            sightings: &mut self.sightings,
            front: self.clock.front().unwrap_or(due),
            common: &self.common,
            fresh: &mut self.fresh,
            alerts,
        };
        let closed = desk.close(due);
        let complete = due.minus(LATENESS);
        let (asked, told) = desk.ask(complete);
        let alarm = (closed || asked)
            .then(|| desk.set_alarm(complete))
            .flatten();
        if let Some(minute) = alarm {
            self.timers.alarm(minute, slot);
        }
        if closed || asked || alarm.is_some() {
            self.identities.touch(slot, true, closed || told);
        }
    }

    /// One event, after all that time has brought until then.
    fn event(&mut self, event: &Event<'_>, alerts: &mut Vec<Alert>) -> Fate {
        let arrival = self.clock.observe(event.ts, event.received);
        self.pass(alerts);
        let before = alerts.len();
        let fate = self.take(event, arrival, alerts);
        self.fold(alerts, before);
        fate
    }

    /// Tells those of the alerts from `at` on that are one of a storm with the storm.
    fn fold(&mut self, alerts: &mut Vec<Alert>, at: usize) {
        if alerts.len() == at {
            return;
        }
        for alert in alerts.split_off(at) {
            // What is about several is about none.
            let one = alert.members.is_none();
            let slot = one.then(|| self.identities.find(&alert.identity)).flatten();
            // It is marked as changed already, by what the alert came from.
            let Some(memory) = slot.and_then(|slot| self.identities.memory(slot)) else {
                alerts.push(alert);
                continue;
            };
            let folded = memory.incidents.storm(alert.id);
            let told = match alert.revision {
                1 => self.storms.opened(&alert, self.partition),
                _ => self.storms.updated(&alert, folded),
            };
            match told {
                Told::Alone => {
                    memory.incidents.fold(alert.id, None);
                    alerts.push(alert);
                }
                Told::Folded(key, storm) => {
                    memory.incidents.fold(alert.id, Some(key));
                    self.stats.folded += u64::from(alert.revision == 1);
                    alerts.extend(storm.map(|storm| *storm));
                }
            }
        }
    }

    /// Takes in one event: admit, count, judge, triage, learn.
    fn take(&mut self, event: &Event<'_>, arrival: Arrival, alerts: &mut Vec<Alert>) -> Fate {
        // Admit.
        let front = self.clock.front().unwrap_or(event.ts);
        let excused = match arrival {
            Arrival::Late => Some(Fate::Late),
            Arrival::Future => Some(Fate::Filtered),
            Arrival::OnTime => event
                .uid
                .is_some_and(|uid| self.seen.note(event.identity, uid, front))
                .then_some(Fate::Duplicate),
        };
        if let Some(fate) = excused {
            return self.excuse(event, fate, alerts);
        }
        let slot = match self.admit(event.identity, front) {
            Ok(slot) => slot,
            Err(limit) => {
                self.miss_room(event.identity, limit, alerts);
                return self.excuse(event, Fate::Filtered, alerts);
            }
        };
        let symbol = self.names.note(event);
        let Some(memory) = self.identities.memory(slot) else {
            return Fate::Filtered;
        };
        if memory.failed {
            return Fate::Quarantined;
        }
        let known_since = memory.baseline.first_seen;
        let unproven = memory.unproven();
        let begins = memory.baseline.begin(event.ts);
        let watermark = self.clock.watermark();
        let mut desk = Desk {
            memory,
            decision: &self.decision,
            names: &self.names,
            groups: &mut self.groups,
            stats: &mut self.stats,
            findings: &mut self.findings,
            sightings: &mut self.sightings,
            front,
            common: &self.common,
            fresh: &mut self.fresh,
            alerts,
        };

        // Learn what has ended since, then count.
        let mut rest = watermark.is_some_and(|watermark| desk.catch_up(event.ts, watermark));
        let (now, learned) = desk.count(event, symbol);
        rest |= learned || begins;

        // Judge, triage.
        rest |= desk.judge(event, &now);
        if let Some(opened) = now.opened {
            self.timers.hour(opened, slot);
        }
        if let Some(front) = self.clock.front() {
            self.storms.begin(front.day());
        }
        if begins {
            let identities = &mut self.identities;
            identities.born(event.identity, known_since, event.ts, front);
        }
        self.identities.place(slot, unproven);
        self.identities.touch(slot, true, rest);
        Fate::Judged
    }

    /// The slot of `identity`; see [`Identities::admit`]. On the first seven days of a partition everybody is new.
    fn admit(&mut self, identity: &str, front: Timestamp) -> Result<u32, Limit> {
        let settled = self.clock.days() > 7;
        self.identities.admit(identity, front, settled)
    }

    /// An event that does not count is still held against the rules, whoever it is of. Who was never
    /// seen is remembered only where a rule was broken, so that the next time is the same incident.
    fn excuse(&mut self, event: &Event<'_>, fate: Fate, alerts: &mut Vec<Alert>) -> Fate {
        let front = self.clock.front().unwrap_or(event.ts);
        let mut slot = self.identities.find(event.identity);
        let memory = slot.and_then(|slot| self.identities.memory(slot));
        if memory.as_ref().is_some_and(|memory| memory.failed) {
            return Fate::Quarantined;
        }
        let declared = memory.and_then(|memory| memory.baseline.declared.as_ref());
        let stats = &mut self.stats.detectors;
        let findings = &mut self.findings;
        let mut fine = true;
        let detectors = &self.decision.detectors;
        detectors.rule(event, declared, |index, mode, said| {
            stats[index].evaluations += 1;
            fine &= heed(&mut stats[index], findings, index, mode, said);
        });
        findings.retain(|(_, mode, _)| *mode == Mode::Alert);
        if findings.is_empty() && fine {
            return fate;
        }
        if slot.is_none() {
            slot = self.identities.admit_rather(event.identity, front);
        }
        let Some((slot, memory)) = slot.zip(slot.and_then(|slot| self.identities.memory(slot)))
        else {
            self.findings.clear();
            self.miss_room(event.identity, Limit::Identities, alerts);
            return fate;
        };
        let mut desk = Desk {
            memory,
            decision: &self.decision,
            names: &self.names,
            groups: &mut self.groups,
            stats: &mut self.stats,
            findings: &mut self.findings,
            sightings: &mut self.sightings,
            front,
            common: &self.common,
            fresh: &mut self.fresh,
            alerts,
        };
        desk.note_failure(!fine);
        desk.triage(Some(event), event.ts);
        self.identities.touch(slot, false, true);
        fate
    }

    /// Keeps every finding from now on, for whoever measures how often findings come.
    pub fn keep_sightings(&mut self) {
        self.sightings.get_or_insert_default();
    }

    /// The findings since the last call, if they are kept.
    pub fn take_sightings(&mut self) -> Vec<Sighting> {
        self.sightings
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// How far event time has come.
    #[must_use]
    pub fn watermark(&self) -> Option<Timestamp> {
        self.clock.watermark()
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let front = self.clock.front();
        let mut limits = self.stats.limits;
        limits[Limit::Duplicates as usize] = self.seen.lost();
        limits[Limit::Names as usize] = self.names.lost();
        Stats {
            identities: self.identities.len() as u64,
            learning: front.map_or(0, |front| self.identities.young(front)),
            evicted: self.identities.evicted(),
            limits,
            ..self.stats.clone()
        }
    }

    /// Every identity whose baseline is not mature yet, ordered by name.
    #[must_use]
    pub fn learning(&self) -> Vec<Young> {
        let front = self.clock.front();
        let young = |entry: &Known<'_>| {
            let first_seen = entry.first_seen()?;
            // The time of a lone event is not believed yet.
            let age = front.map_or(Span::from_micros(0), |front| front.since(first_seen));
            let state = BaselineState::of(age);
            let identity = entry.name().to_owned();
            (state != BaselineState::Mature).then_some(Young {
                identity,
                first_seen,
                state,
            })
        };
        self.identities.sorted().iter().filter_map(young).collect()
    }
}

/// An identity whose baseline is not mature yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Young {
    /// Its name.
    pub identity: String,
    /// Event time of its first event.
    pub first_seen: Timestamp,
    /// How much is known about it.
    pub state: BaselineState,
}
