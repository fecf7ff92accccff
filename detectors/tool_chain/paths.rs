//! The ways that an identity's sessions go as a whole, from their first step on.

use serde::{Deserialize, Serialize};

use super::novelty::FEW;
use crate::kernel::familiar::Familiar;
use crate::kernel::names::Symbol;
use crate::kernel::trail::{Session, fingerprint};

/// The ways that sessions were seen to go, step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Paths {
    known: Familiar,
    /// Sessions since it was last asked whether the identity explores, and those of them that went a new way.
    sessions: u8,
    strayed: u8,
    /// Whether so many sessions were seen before: at first every way is new.
    settled: bool,
    /// The last day on which events of a session came in another order than they happened in.
    shuffled: Option<u16>,
}

impl Paths {
    /// The first step at which `session` goes as none did before its day; nothing where that would tell
    /// nothing, as its sessions go another way all the time.
    pub(super) fn deviation(&self, session: &Session) -> Option<usize> {
        let mut steps = 0..session.steps().len();
        steps.find(|at| self.is_new(session, *at))
    }

    /// Whether it is the step at `at` at which `session` first goes as none did.
    pub(super) fn deviates_at(&self, session: &Session, at: usize) -> bool {
        self.is_new(session, at) && (at == 0 || !self.is_new(session, at - 1))
    }

    /// Whether the way that `session` goes is known only when it has ended: events of it, or of others lately, came in
    /// another order than they happened in.
    pub(super) fn must_wait_for(&self, session: &Session) -> bool {
        // By its begin: what waits once does so until the session has ended.
        let begun = session.began().day_number();
        let lately = |day: u16| begun.saturating_sub(day) < ORDERLY_AFTER;
        session.is_shuffled() || self.shuffled.is_some_and(lately)
    }

    /// The chance that a session of day `day` takes a step by which it goes as none did before that day.
    pub(super) fn p_new(&self, day: u16) -> f64 {
        self.known.p_new_before(day, FEW)
    }

    /// What was seen of it so far.
    pub(super) const fn known(&self) -> &Familiar {
        &self.known
    }

    /// Takes in how a session of day `day` went, which has ended.
    pub(super) fn learn(&mut self, session: &Session, day: u16) {
        if session.is_shuffled() {
            self.shuffled = self.shuffled.max(Some(day));
        }
        let ways = (0..session.steps().len()).map_while(|at| session.path(at));
        let mut strays = None;
        for way in ways {
            if self.known.forgets() {
                return;
            }
            let new = !self.known.has(way);
            strays = Some(new || strays == Some(true));
            match (new && self.known.kinds() >= KINDS_MAX, session.suspect) {
                // What came with an alert must not make it pass for one that explores.
                (true, true) => return,
                (true, false) => return self.known.give_up(),
                (false, _) => self.known.note(way, 1, day, session.suspect),
            }
        }
        // A session whose start is not known went no way.
        if let Some(strays) = strays.filter(|_| !session.suspect) {
            self.count(strays);
        }
    }

    /// Counts a session, and asks once in a while whether the identity goes another way all the time.
    fn count(&mut self, strays: bool) {
        self.sessions += 1;
        self.strayed += u8::from(strays);
        if self.sessions == ASKED_AFTER {
            if self.settled && self.strayed > STRAYED_MAX {
                self.known.give_up();
            }
            (self.sessions, self.strayed, self.settled) = (0, 0, true);
        }
    }

    /// The ways that sessions went and ended, of steps that are among `steps`: how many did, most first.
    pub(super) fn ways(&self, steps: &[Symbol]) -> Vec<(u32, Vec<Symbol>)> {
        let (mut ways, mut open) = (Vec::new(), vec![Vec::new()]);
        while let Some(way) = open.pop() {
            let mut ended = self.times(&way);
            for step in steps {
                let longer = [&way[..], &[*step]].concat();
                let times = self.times(&longer);
                if times > 0 && longer.len() <= Session::STEPS_MAX {
                    ended = ended.saturating_sub(times);
                    open.push(longer);
                }
            }
            if ended > 0 {
                ways.push((ended, way));
            }
        }
        ways.sort_unstable_by(|a, b| b.cmp(a));
        ways
    }

    /// The known step that sessions mostly took after `way`, and how many did.
    pub(super) fn usual(&self, way: &[Symbol], steps: &Familiar) -> Option<(u32, Symbol)> {
        let next = steps.iter().map(Symbol);
        let often = next.map(|next| (self.times(&[way, &[next]].concat()), next));
        often.filter(|(times, _)| *times > 0).max()
    }

    /// Sessions that began with `way`, where that is known.
    fn times(&self, way: &[Symbol]) -> u32 {
        let path = fingerprint(way);
        match self.known.knows(path) {
            true => self.known.times(path),
            false => 0,
        }
    }

    fn is_new(&self, session: &Session, at: usize) -> bool {
        let day = session.last().day_number();
        let new = |path| !self.known.knew(path, day);
        !self.known.forgets() && session.path(at).is_some_and(new)
    }
}

/// Steps of ways that are kept: who takes more of them explores.
const KINDS_MAX: usize = 512;
/// It is asked so many sessions after the last time whether the identity explores: it does if more than so
/// many of them went a way that none went before.
const ASKED_AFTER: u8 = 64;
const STRAYED_MAX: u8 = 16;
/// Days after which a log whose events came out of order is taken to be in order again.
const ORDERLY_AFTER: u16 = 30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::Event;
    use crate::kernel::time::Timestamp;
    use crate::kernel::trail::Trail;

    /// Learns of `sessions` sessions, an hour apart, of which each goes through the steps that `recipe` gives.
    fn learned(sessions: i64, recipe: impl Fn(i64) -> Vec<String>) -> Paths {
        let (mut paths, mut trail) = (Paths::default(), Trail::default());
        for hour in 0..sessions {
            for action in recipe(hour) {
                let event = Event {
                    ts: Timestamp::from_seconds(hour * 3_600),
                    action: &action,
                    ..Event::default()
                };
                let ended = |session: Session| paths.learn(&session, session.last().day_number());
                trail.step(&event, Symbol::of(&event), ended);
            }
        }
        paths
    }

    fn steps(name: impl Fn(i64) -> String) -> Vec<String> {
        (0..16).map(name).collect()
    }

    #[test]
    fn who_follows_some_long_recipes_is_known_for_them() {
        // One after the other, so that at first all are new.
        let paths = learned(600, |n| steps(|at| format!("recipe{} step{at}", n % 30)));
        assert!(!paths.known.forgets());
        assert!(paths.p_new(60) < 0.01);
    }

    #[test]
    fn who_goes_another_way_all_the_time_is_given_up() {
        let paths = learned(160, |n| vec![format!("step{}", n % 7), format!("step{n}")]);
        assert!(paths.known.forgets());
        let too_long = learned(40, |n| steps(|at| format!("session{n} step{at}")));
        assert!(too_long.known.forgets());
    }
}
