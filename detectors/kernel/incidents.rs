//! The incidents of one identity: which a finding belongs to, and what is news of them.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use super::alert::IncidentId;
use super::detector::{Card, Finding, Severity};
use super::incident::Incident;
use super::limit::Limit;
use super::occasion::Occasion;
use super::time::Timestamp;

/// The incidents of one identity that may still grow, and some that are over, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Incidents {
    kept: Vec<Incident>,
    /// The newest hour in which an incident opened that is not kept any more: an id made in that hour
    /// or before might be one that was published already.
    forgotten: Option<i64>,
}

impl Incidents {
    /// Takes in a finding, and tells where its incident stands.
    ///
    /// While an incident is open, findings of the same detector about the same subject are its own. It
    /// closes after four hours of quiet, or after 24 hours; one that was published as `medium` or more,
    /// after 74 hours and two weeks, so that what comes back on every working day is one; and where a rule
    /// is broken, after a week and four, for that is a habit sooner than an attack.
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
        self.kept[at].note(finding, occasion);
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

    /// Counts the incident at `at` as published at `severity`, if that is news: see [`Incident::publish`].
    /// Gives it, and the severity that it has.
    pub(crate) fn publish(
        &mut self,
        at: usize,
        severity: Severity,
        joined: bool,
    ) -> Option<(&Incident, Severity)> {
        let incident = self.kept.get_mut(at)?;
        let severity = incident.publish(severity, joined)?;
        Some((incident, severity))
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

    /// The case that was closed by `now` for its age alone, where none has taken its place: it goes on, and
    /// must be told anew.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<&Incident> {
        if self.case(now).is_some() {
            return None;
        }
        let aged = |it: &&Incident| it.is_case() && !it.is_open(now) && !it.is_quiet(now);
        self.kept.iter().rev().find(aged)
    }

    /// Keeps the case at hand open: the incident at `at`, perhaps another, has just found something.
    pub(crate) fn go_on(&mut self, at: usize, ts: Timestamp) {
        if let Some(case) = self.case(ts).filter(|case| *case != at)
            && let Some(case) = self.kept.get_mut(case)
        {
            case.keep_open(ts);
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
        let news = found.join(id, severity);
        let (name, active) = (found.name(), found.active);
        if let Some(case) = self.kept.get_mut(at) {
            case.keep_open(active);
            case.joined_by(&name);
        }
        news
    }

    /// The storm that the incident `id` was told with, if it was.
    pub(crate) fn storm(&self, id: IncidentId) -> Option<IncidentId> {
        self.named(id).and_then(Incident::storm)
    }

    /// What was just published of the incident `id` is told with `storm` instead, or alone.
    pub(crate) fn fold(&mut self, id: IncidentId, storm: Option<IncidentId>) {
        if let Some(incident) = self.kept.iter_mut().find(|incident| incident.id == id) {
            incident.fold(storm);
        }
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

    /// Those that were published and are open at `now`, oldest first.
    pub(crate) fn open_at(&self, now: Timestamp) -> impl Iterator<Item = &Incident> {
        let open = move |it: &&Incident| it.is_told() && it.is_open(now);
        self.kept.iter().filter(open)
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
        let mut opened = Incident::new(card, finding, occasion);
        let before = self.kept.iter().rev().find(|it| it.is_about(&opened));
        opened.practice = before.map_or(0, |before| before.practised(ts));
        if let Some(at) = room {
            self.kept.remove(at);
            self.forgotten = forgotten;
        }
        self.kept.push(opened);
        Ok(self.kept.len() - 1)
    }
}

/// Incidents kept for one identity.
const INCIDENTS_MAX: usize = 16;
