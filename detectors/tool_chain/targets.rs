//! To what an identity does things: the accounts it pays, the addresses it writes to.

use serde::{Deserialize, Serialize};

use super::novelty::MANY;
use crate::kernel::familiar::Familiar;
use crate::kernel::names::Symbol;
use crate::kernel::trail::{Session, Target};

/// The known targets of each step, for as many steps as there is room for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Targets(Vec<(Symbol, Familiar)>);

impl Targets {
    /// The chance that `target` is one that its step was never done to, if it is; nothing where the step
    /// was never done, or is done to something new all the time.
    ///
    /// It is Good and Turing's of the step alone, with as much of what its other steps say as one new
    /// target is worth: `(k + 1) / (n + 1 / r)`, where `k` of its `n` trials are singletons, and `r` is the
    /// same of all others.
    pub(super) fn p_new(&self, target: &Target) -> Option<f64> {
        let known = self.known(target.step)?;
        if known.forgets() || known.knows(target.resource) {
            return None;
        }
        let others = self
            .0
            .iter()
            .filter(|(step, it)| *step != target.step && !it.forgets());
        let (trials, singletons) = others.fold((MANY, 1.0), |(trials, singletons), (_, it)| {
            let (more, single) = (f64::from(it.trials()), f64::from(it.singletons()));
            (trials + more, singletons + single)
        });
        Some(known.p_new(trials / singletons))
    }

    /// Targets of `step` that are known.
    pub(super) fn kinds(&self, step: Symbol) -> usize {
        self.known(step).map_or(0, Familiar::kinds)
    }

    /// Takes in the targets of a session of day `day` that has ended.
    pub(super) fn learn(&mut self, session: &Session, day: u16) {
        for target in session.targets() {
            let at = self.0.iter().position(|(step, _)| *step == target.step);
            let at = at.unwrap_or(self.0.len());
            if at == self.0.len() && at < STEPS_MAX {
                self.0.push((target.step, Familiar::default()));
            }
            // Where there is no room for another step, what comes later stays unjudged.
            let Some((_, known)) = self.0.get_mut(at) else {
                continue;
            };
            // What came with an alert must not make the step pass for one that explores.
            let full = known.kinds() >= KINDS_MAX && !known.has(target.resource);
            if known.forgets() || session.suspect && full {
                continue;
            }
            known.note(target.resource, 1, day, session.suspect);
            let explores = known.trials() >= EXPLORES_FROM && known.p_new(1.0) > EXPLORES;
            if !session.suspect && (explores || full) {
                known.give_up();
            }
        }
    }

    fn known(&self, step: Symbol) -> Option<&Familiar> {
        let known = self.0.iter().find(|(known, _)| *known == step);
        known.map(|(_, known)| known)
    }
}

/// Steps whose targets are kept.
const STEPS_MAX: usize = 8;
/// Targets kept of one step: who does something to more explores, or serves the public.
const KINDS_MAX: usize = 64;
/// From so many trials on, a step that is done to something new so often explores, and says nothing.
const EXPLORES_FROM: u32 = 24;
const EXPLORES: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::{Class, Event};
    use crate::kernel::time::Timestamp;
    use crate::kernel::trail::Trail;

    /// Pays these accounts, one a session, and learns of them.
    fn paid(accounts: impl Iterator<Item = String>) -> (Targets, Symbol) {
        let (mut targets, mut trail) = (Targets::default(), Trail::default());
        let mut step = Symbol(0);
        for (day, account) in (0..).zip(accounts) {
            let event = Event {
                ts: Timestamp::from_seconds(day * 86_400),
                identity: "payer",
                action: "pay",
                class: Class::Payment,
                resource: Some(&account),
                ..Event::default()
            };
            step = Symbol::of(&event);
            trail.step(&event, step, |session| targets.learn(&session, day as u16));
        }
        (targets, step)
    }

    #[test]
    fn a_new_account_is_improbable_for_who_always_pays_the_same() {
        let (few, step) = paid((0..200).map(|n| (n % 3).to_string()));
        let new = Target { step, resource: 1 };
        assert!(few.p_new(&new).expect("it is new") < 0.005);
        assert_eq!(few.kinds(step), 3);
        let (many, step) = paid((0..200).map(|n| n.to_string()));
        assert_eq!(many.p_new(&Target { step, resource: 1 }), None);
        assert_eq!(many.kinds(step), 0, "nothing is kept of who explores");
    }

    #[test]
    fn a_step_that_was_never_done_says_nothing_of_targets() {
        let (targets, _) = paid((0..200).map(|n| (n % 3).to_string()));
        let other = Target {
            step: Symbol(77),
            resource: 1,
        };
        assert_eq!(targets.p_new(&other), None);
    }
}
