//! How improbable it is that an identity chains its steps as it has just done.

use arrayvec::ArrayVec;

use super::State;
#[cfg(feature = "ablation")]
use crate::kernel::ablation;
use crate::kernel::familiar::Familiar;
use crate::kernel::flow::{Flow, Flows};
use crate::kernel::names::Symbol;
use crate::kernel::time::Span;
use crate::kernel::trail::{Place, Session, Target};

/// Something that may be new.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// A step.
    Step(Symbol),
    /// The way that a session of a day goes as a whole, up to a step.
    Path {
        /// The day of its last step.
        day: u16,
        /// The step.
        at: usize,
    },
    /// What had been touched before a sink was reached.
    Flow(Flow),
    /// To what a step was done.
    Target(Target),
}

/// Whether a session is judged as far as it has come, or as a whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// It goes on.
    GoesOn,
    /// It has ended.
    Over,
}

/// One thing that is new, and how improbable it is alone.
pub(super) struct News {
    pub(super) what: What,
    p: f64,
}

/// What is new about a session, and how improbable that was.
pub(super) struct Novelty {
    /// The first of it.
    pub(super) first: News,
    /// Different new things within a day, with those of the sessions before.
    pub(super) together: u32,
    /// How improbable all of that is.
    pub(super) p: f64,
}

impl What {
    /// Whether it is a step that was never taken.
    pub(super) const fn is_first_act(&self) -> bool {
        matches!(self, Self::Step(_))
    }

    fn fingerprint(&self) -> u32 {
        match self {
            Self::Step(step) => step.0,
            Self::Flow(flow) => flow.number(),
            Self::Path { .. } => A_PATH,
            Self::Target(target) => target.resource ^ target.step.0.rotate_left(16),
        }
    }
}

impl State {
    /// What may be new about the event that stands at `place` in `session`: the step, the way that the
    /// session goes with it, the flow that it makes, and what it is done to.
    pub(super) fn at(&self, session: &Session, place: &Place) -> ArrayVec<What, AT_HAND_MAX> {
        let step = place.step.and_then(|at| session.steps().get(at));
        let step = step.and_then(|step| self.step(*step));
        let path = place
            .step
            .is_some_and(|at| self.paths.deviates_at(session, at));
        let path = path.then(|| self.path_now(session)).flatten();
        let flows = place
            .flows
            .iter()
            .filter(|flow| self.is_whole(session, *flow));
        let flows = flows.filter_map(|flow| self.flow(flow));
        let target = place.target.and_then(|target| self.target(target));
        let one = [step, path, target].into_iter().flatten();
        one.chain(flows).take(AT_HAND_MAX).collect()
    }

    /// What is new about `session`, at this stage of it, of an identity that has been watched for `age`, if anything is.
    ///
    /// What is new within a day mostly has one cause. Its p-value is that of the rarest of it, times
    /// their number, times `r^(n - 1)`: `r` is the chance that what was new once brings something
    /// else that is new within a day, [`FURTHER`] or, where more of it comes by chance alone, that. What is
    /// counted is different new things, or sessions that went a new way as a whole, [`SESSIONS_MAX`] at most,
    /// whichever is the less probable. What is more probable than `most` is not counted.
    pub(super) fn novelty(
        &self,
        session: &Session,
        stage: Stage,
        age: Span,
        most: f64,
    ) -> Option<Novelty> {
        let mut news: ArrayVec<News, NEWS_KEPT> = ArrayVec::new();
        for new in self.all_news(session, stage, most) {
            let fingerprint = new.what.fingerprint();
            if news
                .iter()
                .all(|other| other.what.fingerprint() != fingerprint)
            {
                news.push(new);
            }
        }
        let path = match stage {
            Stage::GoesOn => self.path_now(session),
            Stage::Over => self.path(session),
        };
        let path = path.and_then(|path| self.news(path, most));
        let rarest = news
            .iter()
            .chain(&path)
            .map(|new| new.p)
            .fold(1.0, f64::min);
        let now = session.last();
        let (mut things, mut sessions) = (news.len(), usize::from(path.is_some()));
        for (gram, _) in self
            .fresh
            .iter()
            .filter(|(_, ts)| now.since(*ts) < Span::DAY)
        {
            let again = news.iter().any(|new| new.what.fingerprint() == *gram);
            match *gram {
                A_PATH => sessions += 1,
                _ => things += usize::from(!again),
            }
        }
        let first = news.into_iter().next().or(path)?;
        let known = match first.what {
            What::Path { .. } => self.paths.known(),
            _ => &self.steps,
        };
        let a_day = known.p_new(FEW) * f64::from(known.trials()) / age.days().max(1.0);
        let by_chance = 1.0 - libm::exp(-a_day);
        let of_things = chance(things, FURTHER.max(by_chance));
        let of_sessions = chance(sessions.min(SESSIONS_MAX), FURTHER_SESSION.max(by_chance));
        let (together, chance) = match sessions > 1 && of_sessions < of_things {
            true => (sessions, of_sessions),
            false => (things.max(1), of_things),
        };
        Some(Novelty {
            p: (rarest * chance).min(1.0),
            first,
            together: together as u32,
        })
    }

    /// How improbable `what` is, if that is at `most` so probable.
    ///
    /// The null hypothesis is that the identity does new things at the rate at which it has lately done
    /// them (Good and Turing, see `Familiar::p_new`). Steps, paths, flows and targets are tests of their
    /// own: see [`SHARE`].
    pub(super) fn news(&self, what: What, most: f64) -> Option<News> {
        let p = match what {
            What::Step(step) => self.rate(step).1.p_new(MANY),
            What::Path { day, .. } => self.paths.p_new(day),
            What::Flow(_) => self.flows.p_new(MANY),
            What::Target(target) => self.targets.p_new(&target)?,
        };
        let p = (p / SHARE).min(1.0);
        (p <= most).then_some(News { what, p })
    }

    /// By what the new `step` is judged, with its name: the steps, or, where its action was never used on anything and
    /// new actions are rarer, the actions.
    ///
    /// The rarer of the two needs no correction: who takes a new action takes a new step, so that what is
    /// told of at a level is always all of the one or all of the other.
    pub(super) fn rate(&self, step: Symbol) -> (&'static str, &Familiar) {
        let rarer = self.actions.p_new(MANY) < self.steps.p_new(MANY);
        match rarer && !self.actions.knows(step.action()) {
            true => ("actions", &self.actions),
            false => ("steps", &self.steps),
        }
    }

    /// Whether something was forgotten that may have been `what`.
    pub(super) fn forgot(&self, what: What) -> bool {
        matches!(what, What::Step(step) if self.rate(step).1.forgets())
    }

    /// Remembers for a day what was new in `session`, which has ended.
    pub(super) fn remember(&mut self, session: &Session) {
        let now = session.last();
        self.fresh.retain(|(_, ts)| now.since(*ts) < Span::DAY);
        let news: ArrayVec<u32, NEWS_KEPT> = self
            .all_news(session, Stage::Over, NEWS_MAX)
            .map(|new| new.what.fingerprint())
            .collect();
        let path = self
            .path(session)
            .and_then(|path| self.news(path, NEWS_MAX));
        let path = path.map(|path| path.what.fingerprint());
        for new in news.into_iter().chain(path) {
            if new == A_PATH || self.fresh.iter().all(|(gram, _)| *gram != new) {
                if self.fresh.is_full() {
                    self.fresh.remove(0);
                }
                self.fresh.push((new, now));
            }
        }
    }

    /// All that is new in `session` but its path, steps first.
    fn all_news(&self, session: &Session, stage: Stage, most: f64) -> impl Iterator<Item = News> {
        let steps = session.steps().iter().filter_map(|step| self.step(*step));
        let flows = self.flows_of(session);
        let whole = move |flow: &Flow| stage == Stage::Over || self.is_whole(session, *flow);
        let flows = flows
            .iter()
            .filter(whole)
            .filter_map(|flow| self.flow(flow));
        let targets = session
            .targets()
            .iter()
            .filter_map(|target| self.target(*target));
        let all = steps.chain(flows).chain(targets);
        all.filter_map(move |what| self.news(what, most))
            .take(NEWS_KEPT)
    }

    fn step(&self, step: Symbol) -> Option<What> {
        (!self.steps.knows(step.0)).then_some(What::Step(step))
    }

    /// The way that `session` goes, while it goes on; nothing where that is told when it has ended.
    pub(super) fn path_now(&self, session: &Session) -> Option<What> {
        let known = !self.waits_for(session);
        known.then(|| self.path(session)).flatten()
    }

    /// Whether the way that `session` goes, and all that it carries, is known only when it has ended.
    pub(super) fn waits_for(&self, session: &Session) -> bool {
        self.paths.must_wait_for(session)
    }

    /// The flows of `session`, which has ended, that are new and could not be told of while it went on.
    pub(super) fn halves(&self, session: &Session) -> impl Iterator<Item = Flow> {
        let flows = self.flows_of(session).iter();
        let halves = flows.filter(|flow| !self.is_whole(session, *flow));
        halves.filter(|flow| self.flow(*flow).is_some())
    }

    /// What is carried where in `session`.
    pub(super) fn flows_of(&self, session: &Session) -> Flows {
        match self.waits_for(session) {
            true => session.last_flows(),
            false => session.flows(),
        }
    }

    /// Whether `flow` may be told of while `session` goes on: where events come out of order, it may be the half of one that
    /// is known.
    fn is_whole(&self, session: &Session, flow: Flow) -> bool {
        let known = self.flows.iter().filter(|flow| self.flows.knows(*flow));
        let mut known = known.filter_map(Flow::numbered);
        !self.waits_for(session) || !known.any(|known| flow.is_part_of(known))
    }

    /// The way that `session` goes as a whole, if none went so.
    pub(super) fn path(&self, session: &Session) -> Option<What> {
        #[cfg(feature = "ablation")]
        if ablation::without(ablation::Part::Paths) {
            return None;
        }
        let day = session.last().day_number();
        let at = self.paths.deviation(session)?;
        Some(What::Path { day, at })
    }

    fn flow(&self, flow: Flow) -> Option<What> {
        #[cfg(feature = "ablation")]
        if ablation::without(ablation::Part::Flows) {
            return None;
        }
        (!self.flows.knows(flow.number())).then_some(What::Flow(flow))
    }

    fn target(&self, target: Target) -> Option<What> {
        #[cfg(feature = "ablation")]
        if ablation::without(ablation::Part::Targets) {
            return None;
        }
        self.targets.p_new(&target).map(|_| What::Target(target))
    }

    /// The smallest p-value that a step never taken can have after so few steps.
    pub(super) fn p_least(&self) -> f64 {
        self.steps.p_new_least(MANY) / SHARE
    }
}

/// How probable `n` things are together, as a multiple of one: `n r^(n - 1)`, and 1 of none.
fn chance(n: usize, r: f64) -> f64 {
    let n = n.max(1) as f64;
    n * libm::pow(r, n - 1.0)
}

/// The share of the error that each of the four gets: half, not a quarter, for one event is seldom news in
/// two ways (measured: `docs/calibration.md`).
const SHARE: f64 = 0.5;
/// Trials without anything new that an identity is given in advance of steps, flows and targets: hardly
/// anybody does a new one in a hundred.
pub(super) const MANY: f64 = 100.0;
/// The same of paths, which are as rare as they are seen to be.
pub(super) const FEW: f64 = 2.0;
/// What is more probable than this is no news, even beside others.
pub(super) const NEWS_MAX: f64 = 0.1;
/// Stands among what was new for a session that went a new way, whichever that was.
const A_PATH: u32 = u32::MAX;
/// New things of one session that are counted.
const NEWS_KEPT: usize = 48;
/// What may be new about one event at most: its step, the way that its session goes, its target, and flows.
const AT_HAND_MAX: usize = 8;
/// How often what was new once brings something else that is new within a day: a release or another
/// error is seldom one step.
const FURTHER: f64 = 0.25;
/// The same of a further session that goes a way of its own, whose first steps may all be known.
const FURTHER_SESSION: f64 = 0.1;
/// Sessions of a day that go ways of their own and count: who has so many goes on so.
const SESSIONS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::Event;

    fn step(action: &str, class: &str) -> Symbol {
        Symbol::of(&Event {
            action,
            resource_class: Some(class),
            ..Event::default()
        })
    }

    #[test]
    fn a_new_action_of_one_whose_action_never_changes_is_improbable() {
        let mut state = State::default();
        for day in 0..100 {
            let commit = step("commit", &format!("folder{day}"));
            state.steps.note(commit.0, 1, day, false);
            state.actions.note(commit.action(), 1, day, false);
        }
        assert!(
            state.steps.p_new(MANY) > 0.5,
            "its steps are new all the time"
        );
        let (kind, rate) = state.rate(step("tag", "folder1"));
        assert_eq!(kind, "actions");
        assert!(rate.p_new(MANY) < 0.006);
        let (kind, _) = state.rate(step("commit", "elsewhere"));
        assert_eq!(kind, "steps");
    }

    #[test]
    fn more_of_it_within_a_day_is_less_probable_but_never_for_nothing() {
        assert_eq!((chance(0, 0.25), chance(1, 0.25)), (1.0, 1.0));
        assert!(chance(3, 0.25) < chance(2, 0.25));
        assert!(chance(3, 0.9) > 1.0, "as many chances as there are things");
    }
}
