//! The ways that an identity's sessions go as a whole, from their first step on.

use serde::{Deserialize, Serialize};

use super::novelty::FEW;
use crate::kernel::familiar::Familiar;
use crate::kernel::names::Symbol;
use crate::kernel::trail::{Session, fingerprint};

/// The ways that sessions were seen to go, step by step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Paths(Familiar);

impl Paths {
    /// The first step at which `session` goes as none did before its day; nothing where that would tell
    /// nothing, as its sessions go another way all the time.
    pub(super) fn deviation(&self, session: &Session) -> Option<usize> {
        let mut steps = 0..session.steps().len();
        steps.find(|at| self.is_new(session, *at))
    }

    /// Whether it is the last step at which `session` goes as none did.
    pub(super) fn deviates_now(&self, session: &Session) -> bool {
        let Some(at) = session.steps().len().checked_sub(1) else {
            return false;
        };
        self.is_new(session, at) && (at == 0 || !self.is_new(session, at - 1))
    }

    /// The chance that a session of day `day` takes a step by which it goes as none did before that day.
    pub(super) fn p_new(&self, day: u16) -> f64 {
        self.0.p_new_before(day, FEW)
    }

    /// What was seen of it so far.
    pub(super) const fn known(&self) -> &Familiar {
        &self.0
    }

    /// Takes in how a session of day `day` went, which has ended.
    pub(super) fn learn(&mut self, session: &Session, day: u16) {
        for at in 0..session.steps().len() {
            if self.0.forgets() {
                return;
            }
            let Some(path) = session.path(at) else {
                return;
            };
            let full = self.0.kinds() >= KINDS_MAX && !self.0.has(path);
            // What came with an alert must not make it pass for one that explores.
            if session.suspect && full {
                return;
            }
            self.0.note(path, 1, day, session.suspect);
            let explores = self.0.trials() >= EXPLORES_FROM && self.0.p_new(1.0) > EXPLORES;
            if !session.suspect && (explores || full) {
                self.0.give_up();
            }
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
        match self.0.knows(path) {
            true => self.0.times(path),
            false => 0,
        }
    }

    fn is_new(&self, session: &Session, at: usize) -> bool {
        let day = session.last().day_number();
        let new = |path| !self.0.knew(path, day);
        !self.0.forgets() && session.path(at).is_some_and(new)
    }
}

/// Steps of ways that are kept: who takes more of them explores.
const KINDS_MAX: usize = 256;
/// From so many trials on, one whose sessions so often go another way explores.
const EXPLORES_FROM: u32 = 64;
const EXPLORES: f64 = 0.2;
