//! One identity on the desk: judged, and let learn.

use super::Decision;
use super::stats::{Stats, heed};
use crate::CARDS;
use crate::kernel::alert::Alert;
use crate::kernel::baseline::{Accepted, Closed, Day, Profile};
use crate::kernel::clock::LATENESS;
use crate::kernel::detector::{Finding, Mode};
use crate::kernel::event::{Class, Event, Kind};
use crate::kernel::groups::{Groups, gather};
use crate::kernel::hot::{Hour, Now};
use crate::kernel::limit::Limit;
use crate::kernel::memory::Memory;
use crate::kernel::names::{Names, Symbol};
use crate::kernel::noise::Common;
use crate::kernel::occasion::{Measure, Occasion};
use crate::kernel::registry::{Learned, Said};
use crate::kernel::time::Timestamp;
use crate::kernel::trail::Session;
use crate::kernel::triage::{announce, triage, watched};

/// A finding as it was made, whatever became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sighting {
    /// Name of the detector.
    pub detector: &'static str,
    /// Whom it is about.
    pub identity: String,
    /// When.
    pub ts: Timestamp,
    /// The finding.
    pub finding: Finding,
}

/// One identity's memory, with all that is needed to judge it and to let it learn.
pub(super) struct Desk<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) decision: &'a Decision,
    pub(super) names: &'a Names,
    pub(super) groups: &'a mut Groups,
    pub(super) stats: &'a mut Stats,
    pub(super) findings: &'a mut Vec<(usize, Mode, Finding)>,
    pub(super) sightings: &'a mut Option<Vec<Sighting>>,
    /// The partition's time.
    pub(super) front: Timestamp,
    /// The noise of the partition's identities, and what is to be added to it.
    pub(super) common: &'a Common,
    pub(super) fresh: &'a mut Common,
    pub(super) alerts: &'a mut Vec<Alert>,
}

impl Desk<'_> {
    /// Before an event at `ts` is counted: learns the sessions that have ended by `watermark`, and,
    /// where the event opens an hour, the hours and days since the last one. Tells whether it
    /// learned anything.
    pub(super) fn catch_up(&mut self, ts: Timestamp, watermark: Timestamp) -> bool {
        let mut ended = Vec::new();
        self.memory
            .hot
            .expire(watermark, |session| ended.push(session));
        let mut learned = !ended.is_empty();
        for session in ended {
            self.end(session);
        }
        let hot = &self.memory.hot;
        if !hot.open_hours().any(|start| start == ts.hour()) {
            let over = watermark.minus(LATENESS).hour();
            let until = hot.open_hours().fold(over, i64::min);
            learned |= until > self.memory.baseline.next_hour() && self.learn_until(until);
        }
        learned
    }

    /// Judges a session that has ended as a whole, and learns it.
    fn end(&mut self, session: Session) {
        let at = session.last();
        let mut over = Closed::Session(session);
        let suspect = self.review(&over, at);
        if let Closed::Session(session) = &mut over {
            session.suspect |= suspect;
        }
        self.learn(&over);
    }

    /// Counts `event`; tells where it stands, and whether something was learned.
    pub(super) fn count(&mut self, event: &Event<'_>, symbol: Symbol) -> (Now, bool) {
        let mut ended = None;
        let opens = !self
            .memory
            .hot
            .open_hours()
            .any(|start| start == event.ts.hour());
        if opens {
            self.groups.peers.leave(self.memory);
        }
        gather(self.memory, self.groups, Groups::leave);
        let Memory { hot, baseline, .. } = &mut *self.memory;
        let now = hot.count(event, symbol, baseline, |session| ended = Some(session));
        gather(self.memory, self.groups, Groups::join);
        if opens {
            self.groups.peers.join(self.memory);
        }
        if self.memory.hot.twins.note(symbol) {
            self.groups.part(self.memory);
            self.groups.enrol(self.memory);
        }
        let mut learned = ended.is_some();
        if let Some(session) = ended {
            self.end(session);
        }
        let kind = &mut self.memory.baseline.kind;
        if event.kind != Kind::Unknown && event.kind != *kind {
            *kind = event.kind;
            learned = true;
        }
        if let Some(venue) = event.venue
            && event.class == Class::Order
            && self.memory.baseline.venue.is_none()
        {
            self.groups.part(self.memory);
            self.memory.baseline.venue = Some(venue.into());
            self.memory.baseline.follow(&self.decision.holidays);
            self.groups.enrol(self.memory);
            learned = true;
        }
        (now, learned)
    }

    /// Judges `event`; tells whether anything came of it.
    pub(super) fn judge(&mut self, event: &Event<'_>, now: &Now) -> bool {
        let detectors = &self.decision.detectors;
        let (stats, findings) = (&mut self.stats.detectors, &mut *self.findings);
        let mut fine = true;
        let declared = self.memory.baseline.declared.as_ref();
        detectors.rule(event, declared, |index, mode, said| {
            fine &= heed(&mut stats[index], findings, index, mode, said);
        });
        let profile = profile(self.memory, now, self.names, self.groups);
        detectors.judge(event, &profile, &self.memory.states, |index, mode, said| {
            stats[index].evaluations += 1;
            fine &= heed(&mut stats[index], findings, index, mode, said);
        });
        self.note_failure(!fine);
        if self.findings.is_empty() {
            return !fine;
        }
        if self.triage(Some(event), event.ts) {
            self.memory.hot.suspect(now);
        }
        true
    }

    /// Closes the hours that are over at `due`, oldest first; tells whether there were any.
    pub(super) fn close(&mut self, due: Timestamp) -> bool {
        let mut closed = false;
        while let Some(start) = self.memory.hot.over(due) {
            closed = true;
            self.learn_until(start);
            let Some(hour) = self.memory.hot.take_over(due) else {
                break;
            };
            let end = hour.end();
            let mut over = Closed::Hour(hour);
            let suspect = self.review(&over, end);
            if let Closed::Hour(hour) = &mut over {
                hour.suspect |= suspect;
                let excused = self.excused(hour);
                let accepted = self.memory.baseline.close(hour, excused);
                if let Some(accepted) = accepted {
                    self.announce(&accepted, end);
                }
            }
            self.learn(&over);
            self.expect_anew();
            self.memory.incidents.forget_details(end);
            if let Some(risk) = &mut self.memory.risk {
                self.fresh.add(&mut risk.fold(end));
            }
        }
        closed
    }

    fn announce(&mut self, accepted: &Accepted, ts: Timestamp) {
        let Memory {
            identity,
            baseline,
            incidents,
            ..
        } = &mut *self.memory;
        let measure = Measure {
            decision: self.decision.digest(),
            thresholds: &self.decision.thresholds,
            common: self.common,
        };
        let occasion = Occasion::alone(identity, ts, self.front.max(ts), baseline, measure);
        match announce(accepted, incidents, &occasion) {
            Ok(alert) => self.alerts.extend(alert),
            Err(limit) => self.stats.limits[limit as usize] += 1,
        }
    }

    /// Once a detector has failed on it, an identity is not watched any more, and no peer either.
    pub(super) fn note_failure(&mut self, failed: bool) {
        if failed && !self.memory.failed {
            self.groups.part(self.memory);
            self.memory.failed = true;
        }
    }

    /// Calls of an hour beyond what is usual that busy peers explain.
    fn excused(&self, hour: &Hour) -> f64 {
        let nowhere = Now::default();
        let profile = profile(self.memory, &nowhere, self.names, self.groups);
        profile.excused(hour, hour.end())
    }

    /// If an alarm is set for `now`, until when all that counts has come, asks whether it is news that nothing has happened until then;
    /// tells whether it asked, and whether anything came of it.
    pub(super) fn ask(&mut self, now: Timestamp) -> (bool, bool) {
        let minute = now.minute();
        if self.memory.hot.alarm != Some(minute) {
            return (false, false);
        }
        self.memory.hot.alarm = None;
        let nowhere = Now::default();
        let profile = profile(self.memory, &nowhere, self.names, self.groups);
        let (stats, findings) = (&mut self.stats.detectors, &mut *self.findings);
        let mut fine = true;
        let each = |index: usize, mode, said: Said| {
            fine &= heed(&mut stats[index], findings, index, mode, said);
        };
        let states = &self.memory.states;
        self.decision.detectors.wake(now, &profile, states, each);
        self.note_failure(!fine);
        let told = !self.findings.is_empty();
        if told {
            self.memory.hot.told = Some(now);
        }
        self.triage(None, now);
        (true, told || !fine)
    }

    /// The minute for which an alarm must be set anew, if any: there is none yet, or a later one.
    ///
    /// Between the ends of hours a deadline only moves on: an alarm that is set rings early at worst.
    pub(super) fn set_alarm(&mut self, now: Timestamp) -> Option<i64> {
        let nowhere = Now::default();
        let profile = profile(self.memory, &nowhere, self.names, self.groups);
        let deadline = self
            .decision
            .detectors
            .deadline(&profile, &self.memory.states)?;
        // Rounded up, and never now: who wakes for nothing would wake for ever.
        let minute = (deadline.minute() + 1).max(now.minute() + 1);
        let alarm = &mut self.memory.hot.alarm;
        let sooner = alarm.is_none_or(|set| minute < set);
        sooner.then(|| {
            *alarm = Some(minute);
            minute
        })
    }

    /// Learns that nothing happened in the hours before `until` that are not closed yet, the days that
    /// end with them, and what has been held back long enough: also where there is no hour between.
    fn learn_until(&mut self, until: i64) -> bool {
        if !self.memory.baseline.is_behind(until) {
            return false;
        }
        let mut days: Vec<(Day, Timestamp)> = Vec::new();
        self.memory
            .baseline
            .catch_up(until, |day, end| days.push((day, end)));
        for (mut day, end) in days {
            let over = Closed::Day(day.clone());
            day.suspect |= self.review(&over, end);
            self.fresh.days += u64::from(watched(&self.memory.baseline, end).is_some());
            self.memory.baseline.learn_day(&day, end.hour());
            self.learn(&Closed::Day(day));
        }
        self.expect_anew();
        true
    }

    /// Expects of the open hours what is now known of those before them.
    fn expect_anew(&mut self) {
        self.groups.part(self.memory);
        let Memory { hot, baseline, .. } = &mut *self.memory;
        hot.expect(baseline);
        gather(self.memory, self.groups, Groups::join);
        self.groups.peers.join(self.memory);
    }

    /// Lets every detector look once more at what is over; tells whether it is held back.
    fn review(&mut self, over: &Closed, at: Timestamp) -> bool {
        let nowhere = Now::default();
        let profile = profile(self.memory, &nowhere, self.names, self.groups);
        let (stats, findings) = (&mut self.stats.detectors, &mut *self.findings);
        let mut fine = true;
        let each = |index: usize, mode, said: Said| {
            fine &= heed(&mut stats[index], findings, index, mode, said);
        };
        let states = &self.memory.states;
        self.decision.detectors.review(over, &profile, states, each);
        self.note_failure(!fine);
        self.triage(None, at)
    }

    fn learn(&mut self, closed: &Closed) {
        let Stats {
            detectors, limits, ..
        } = &mut *self.stats;
        let mut fine = true;
        let Memory {
            baseline, states, ..
        } = &mut *self.memory;
        self.decision
            .detectors
            .learn(closed, baseline, states, |index, learned| match learned {
                Learned::Full => limits[Limit::Memory as usize] += 1,
                Learned::Failed => {
                    detectors[index].panics += 1;
                    fine = false;
                }
            });
        self.note_failure(!fine);
    }

    /// Makes incidents of the findings at hand, and of these alerts; tells whether what they are
    /// about is held back from learning. Where `event` is none, time alone has told, at `ts`.
    pub(super) fn triage(&mut self, event: Option<&Event<'_>>, ts: Timestamp) -> bool {
        let mut suspect = false;
        let Memory {
            identity,
            baseline,
            incidents,
            risk,
            ..
        } = &mut *self.memory;
        for (index, mode, finding) in self.findings.drain(..) {
            let card = &CARDS[index];
            if let Some(sightings) = &mut *self.sightings {
                sightings.push(Sighting {
                    detector: card.name,
                    identity: identity.to_string(),
                    ts,
                    finding: finding.clone(),
                });
            }
            if mode != Mode::Alert {
                continue;
            }
            let measure = Measure {
                decision: self.decision.digest(),
                thresholds: &self.decision.thresholds,
                common: self.common,
            };
            let occasion = match event {
                Some(event) => Occasion::at(event, self.front, baseline, measure),
                None => Occasion::alone(identity, ts, self.front.max(ts), baseline, measure),
            };
            match triage(card, finding, incidents, risk, &occasion) {
                Ok(mut outcome) => {
                    suspect |= outcome.suspect;
                    self.alerts.extend(outcome.alert);
                    self.fresh.add(&mut outcome.fresh);
                }
                Err(limit) => {
                    self.stats.limits[limit as usize] += 1;
                    suspect = true;
                }
            }
        }
        suspect
    }
}

pub(super) fn profile<'a>(
    memory: &'a Memory,
    now: &'a Now,
    names: &'a Names,
    groups: &'a Groups,
) -> Profile<'a> {
    Profile {
        hot: &memory.hot,
        closed: &memory.baseline,
        now,
        names,
        peers: memory.peers.map(|number| (&groups.peers, number)),
        groups: memory
            .groups
            .map(|group| group.and_then(|group| groups.get(group))),
    }
}
