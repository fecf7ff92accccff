//! What is normal for one identity, for whoever wants to see by what it is judged.

use chrono_tz::Tz;

use super::Engine;
use super::desk::profile;
use crate::kernel::alert::IncidentId;
use crate::kernel::detector::{BaselineState, Evidence};
use crate::kernel::event::Kind;
use crate::kernel::hot::Now;
use crate::kernel::tails::Expected;
use crate::kernel::time::{HourOfWeek, Timestamp};

/// What is normal for one identity, as of the newest event of its partition.
#[derive(Clone, Debug)]
pub struct Portrait {
    /// Its name.
    pub identity: String,
    /// What sort of actor it is.
    pub kind: Kind,
    /// Event time of its first event; nothing while it has only been declared.
    pub first_seen: Option<Timestamp>,
    /// Event time of its newest event.
    pub last_seen: Timestamp,
    /// How much is known about it.
    pub state: BaselineState,
    /// The wall clock that its hours are told by.
    pub zone: Tz,
    /// The hours of the week, from Monday 00:00 on: how probable it is that there is anything at all.
    pub active: Vec<f64>,
    /// The same hours: how many calls one brings.
    pub calls: Vec<Expected>,
    /// What each detector knows of it beyond that, by the detector's name.
    pub stories: Vec<(&'static str, Evidence)>,
    /// Whether a detector failed on it, so that nothing of it is judged any more.
    pub failed: bool,
    /// Its incidents that are open, oldest first.
    pub open: Vec<Open>,
}

/// An incident that is open.
#[derive(Clone, Debug)]
pub struct Open {
    /// Its id.
    pub id: IncidentId,
    /// The detector that opened it.
    pub detector: String,
    /// What it is about.
    pub subject: String,
    /// Event time at which it opened.
    pub opened: Timestamp,
    /// Findings so far.
    pub findings: u32,
}

impl Engine {
    /// Everybody that is known, by name.
    #[must_use]
    pub fn identities(&self) -> Vec<String> {
        let sorted = self.identities.sorted();
        sorted.iter().map(|it| it.name().to_owned()).collect()
    }

    /// What is normal for `identity`; nothing of who is not known.
    #[must_use]
    pub fn portrait(&mut self, identity: &str) -> Option<Portrait> {
        let slot = self.identities.find(identity)?;
        let front = self.clock.front().unwrap_or(Timestamp::MIN);
        let memory = self.identities.memory(slot)?;
        let nowhere = Now::default();
        let profile = profile(memory, &nowhere, &self.names, &self.groups);
        let baseline = &memory.baseline;
        let usual = HourOfWeek::all().map(|cell| baseline.presence.usual(cell).p);
        let calls = HourOfWeek::all().map(|cell| baseline.rate.expected(cell.index()));
        let open = memory.incidents.open_at(front).map(|incident| Open {
            id: incident.id,
            detector: incident.detector.to_string(),
            subject: incident.subject.to_string(),
            opened: incident.opened,
            findings: incident.findings,
        });
        Some(Portrait {
            identity: memory.identity.to_string(),
            kind: baseline.kind,
            first_seen: baseline.first_seen,
            last_seen: memory.hot.last,
            state: BaselineState::of(baseline.age(front)),
            zone: profile.zone(),
            active: usual.collect(),
            calls: calls.collect(),
            stories: self.decision.detectors.stories(&profile, &memory.states),
            failed: memory.failed,
            open: open.collect(),
        })
    }
}
