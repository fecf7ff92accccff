//! How improbable it is that an identity chains its steps as it has just done.

use arrayvec::ArrayVec;

use super::{State, actions};
#[cfg(feature = "ablation")]
use crate::kernel::ablation;
use crate::kernel::familiar::Familiar;
use crate::kernel::flow::Flow;
use crate::kernel::names::{Names, Symbol};
use crate::kernel::time::Span;
use crate::kernel::trail::{Chain, Place, Session, Target};

/// Something that may be new.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum What {
    /// The last `order` steps of the chain, while all that is shorter is known.
    Chain { chain: Chain, order: usize },
    /// What had been touched before a sink was reached.
    Flow(Flow),
    /// To what a step was done.
    Target(Target),
    /// The way that a session of a day goes as a whole, up to a step.
    Path {
        /// The day of its last step.
        day: u16,
        /// The step.
        at: usize,
    },
}

/// One thing that is new, and how improbable it is alone.
pub(super) struct News {
    pub(super) what: What,
    /// How often steps put together freely would have made that chain by now.
    pub(super) overdue: Option<f64>,
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
        matches!(self, Self::Chain { order: 1, .. })
    }

    pub(super) const fn is_chain(&self) -> bool {
        matches!(self, Self::Chain { .. })
    }

    fn fingerprint(&self) -> u32 {
        match self {
            Self::Chain { chain, order } => chain.fingerprint(*order).unwrap_or_default(),
            Self::Flow(flow) => flow.number(),
            Self::Path { .. } => A_PATH,
            Self::Target(target) => target.resource ^ target.step.0.rotate_left(16),
        }
    }
}

impl State {
    /// What may be new about the event that stands at `place` in `session`: the chain that it ends, the
    /// way that the session goes with it, the flow that it makes, and what it is done to.
    pub(super) fn at(&self, session: &Session, place: &Place) -> ArrayVec<What, 4> {
        let chain = place.step.then(|| self.last_of(session)).flatten();
        let flow = place.flow.and_then(|flow| self.flow(flow));
        let target = place.target.and_then(|target| self.target(target));
        let path = place.step && self.paths.deviates_now(session);
        let path = path.then(|| self.path(session)).flatten();
        [chain, path, flow, target].into_iter().flatten().collect()
    }

    /// What is new about `session` of an identity that has been watched for `age`, if anything is.
    ///
    /// What is new within a day mostly has one cause. Its p-value is that of the rarest of it, times
    /// their number, times `r^(n - 1)`: `r` is the chance that what was new once brings something
    /// else that is new within a day, [`FURTHER`] or, where more of it comes by chance alone, that. As
    /// many count as there are different new things, or sessions that went a new way as a whole, whichever
    /// is more; of such sessions [`SESSIONS_MAX`] at most. What is more probable than `most` is not counted.
    pub(super) fn novelty(
        &self,
        names: Option<&Names>,
        session: &Session,
        age: Span,
        most: f64,
    ) -> Option<Novelty> {
        let mut news: ArrayVec<News, NEWS_KEPT> = ArrayVec::new();
        for new in self.all_news(names, session, most) {
            let fingerprint = new.what.fingerprint();
            if news
                .iter()
                .all(|other| other.what.fingerprint() != fingerprint)
            {
                news.push(new);
            }
        }
        let path = self
            .path(session)
            .and_then(|path| self.news(names, path, most));
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
        let sessions = sessions.min(SESSIONS_MAX);
        let (together, seldom) = if sessions >= things {
            (sessions, FURTHER_SESSION)
        } else {
            (things, FURTHER)
        };
        let first = news.into_iter().next().or(path)?;
        let known = match first.what {
            What::Chain { order, .. } => &self.orders[order - 1],
            What::Path { .. } => self.paths.known(),
            _ => &self.orders[0],
        };
        let a_day = known.p_new(PRIORS[1]) * f64::from(known.trials()) / age.days().max(1.0);
        let further = seldom.max(1.0 - libm::exp(-a_day));
        let chance = together as f64 * libm::pow(further, together as f64 - 1.0);
        Some(Novelty {
            p: (rarest * chance).min(1.0),
            first,
            together: together as u32,
        })
    }

    /// How improbable `what` is, if that is at `most` so probable.
    ///
    /// The null hypothesis of a chain has two halves, and the p-value is the larger of theirs: the
    /// identity does new things at the rate at which it has lately done them (Good and Turing, see
    /// [`Familiar::p_new`]), or it puts known steps together freely, see [`lateness`]. Chains, flows and
    /// targets are tests of their own; an action that was never used on anything is judged at the rate of
    /// new actions, where its step can be spelt with `names`; the orders of chains share the error by weighted Bonferroni: see
    /// [`WEIGHTS`].
    pub(super) fn news(&self, names: Option<&Names>, what: What, most: f64) -> Option<News> {
        let (p, weight, overdue) = match what {
            What::Chain { chain, order } => {
                let known = &self.orders[order - 1];
                let [_, _, step] = chain.steps();
                let action = names.zip(step).filter(|_| order == 1);
                let action = action.and_then(|(names, step)| actions::p_new(known, names, step));
                let explores = action.unwrap_or_else(|| known.p_new(PRIORS[order - 1]));
                let overdue = self.overdue(&chain, order);
                let composes = overdue.map_or(0.0, lateness);
                (explores.max(composes), WEIGHTS[order - 1], overdue)
            }
            What::Path { day, .. } => (self.paths.p_new(day), ALONE, None),
            What::Flow(_) => (self.flows.p_new(PRIORS[0]), ALONE, None),
            What::Target(target) => (self.targets.p_new(&target)?, ALONE, None),
        };
        let p = (p / weight).min(1.0);
        (p <= most).then_some(News { what, overdue, p })
    }

    /// Whether something was forgotten that may have been `what`.
    pub(super) fn forgot(&self, what: &What) -> bool {
        match what {
            What::Chain { order, .. } => self.orders[order - 1].forgets(),
            What::Path { .. } | What::Flow(_) | What::Target(_) => false,
        }
    }

    /// Remembers for a day what was new in `session`, which has ended.
    pub(super) fn remember(&mut self, session: &Session) {
        let now = session.last();
        self.fresh.retain(|(_, ts)| now.since(*ts) < Span::DAY);
        let news: ArrayVec<u32, NEWS_KEPT> = self
            .all_news(None, session, NEWS_MAX)
            .map(|new| new.what.fingerprint())
            .collect();
        let path = self
            .path(session)
            .and_then(|path| self.news(None, path, NEWS_MAX));
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

    /// All that is new in `session`, chains first.
    fn all_news(
        &self,
        names: Option<&Names>,
        session: &Session,
        most: f64,
    ) -> impl Iterator<Item = News> {
        let chains = session.chains().filter_map(|chain| self.unknown(chain));
        let flows = session.flows().iter().filter_map(|flow| self.flow(flow));
        let targets = session
            .targets()
            .iter()
            .filter_map(|target| self.target(*target));
        let all = chains.chain(flows).chain(targets);
        all.filter_map(move |what| self.news(names, what, most))
            .take(NEWS_KEPT)
    }

    fn last_of(&self, session: &Session) -> Option<What> {
        self.unknown(session.last_chain()?)
    }

    fn unknown(&self, chain: Chain) -> Option<What> {
        let order = self.first_unknown(&chain)?;
        #[cfg(feature = "ablation")]
        if order > 1 && ablation::without(ablation::Part::Orders) {
            return None;
        }
        Some(What::Chain { chain, order })
    }

    fn path(&self, session: &Session) -> Option<What> {
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
        self.orders[0].p_new_least(PRIORS[0]) / WEIGHTS[0]
    }

    /// How often the last `order` steps of `chain` would have followed each other by now if each step
    /// depended on nothing but, for three steps, the one before it: `n(x) n(y) / n` for two steps,
    /// `n(xy) n(yz) / n(y)` for three. A single step is not composed of anything.
    fn overdue(&self, chain: &Chain, order: usize) -> Option<f64> {
        let [single, pair, _] = &self.orders;
        let times = |known: &Familiar, gram: Option<u32>| gram.map_or(0, |gram| known.times(gram));
        let (before, after, middle) = match order {
            2 => (
                match chain.gram(2)?[0] {
                    Some(Symbol::START) => self.starts,
                    _ => times(single, chain.fingerprint_before(1)),
                },
                times(single, chain.fingerprint(1)),
                single.times_in_all(),
            ),
            3 => (
                times(pair, chain.fingerprint_before(2)),
                times(pair, chain.fingerprint(2)),
                times(single, chain.fingerprint_before(1)),
            ),
            _ => return None,
        };
        Some(f64::from(before) * f64::from(after) / f64::from(middle.max(1)))
    }

    pub(super) fn first_unknown(&self, chain: &Chain) -> Option<usize> {
        for order in 1..=Chain::ORDERS {
            let gram = chain.fingerprint(order)?;
            if !self.orders[order - 1].knows(gram) {
                let before = order.checked_sub(2);
                let known_before = before.is_none_or(|at| {
                    chain
                        .gram(order)
                        .is_some_and(|gram| gram[0] == Some(Symbol::START))
                        && at == 0
                        || chain
                            .fingerprint_before(order - 1)
                            .is_some_and(|gram| self.orders[at].knows(gram))
                });
                return known_before.then_some(order);
            }
        }
        None
    }
}

/// The chance that a chain which steps put together freely make comes for the first time only when it
/// is so `overdue`.
///
/// Where a chain comes by chance, its expected count at its first coming is exponential with mean 1;
/// where its rate is itself uncertain, as of a gamma law of shape [`SHAPE`], the tail is
/// `(1 + overdue/SHAPE)^-SHAPE` (Lomax).
fn lateness(overdue: f64) -> f64 {
    libm::pow(1.0 + overdue / SHAPE, -SHAPE)
}

/// The share of the error that each order gets: a step never taken tells more than known steps in a
/// new order, of which there are many.
const WEIGHTS: [f64; Chain::ORDERS] = [0.5, 0.25, 0.25];
/// Trials without anything new that an identity is given in advance: of single steps hardly anybody does
/// a new one in a hundred, while known steps in a new order are no rarer than they are seen to be.
pub(super) const PRIORS: [f64; Chain::ORDERS] = [100.0, 2.0, 2.0];
/// The same of a path, a flow or a target.
const ALONE: f64 = 0.5;
/// What is more probable than this is no news, even beside others.
pub(super) const NEWS_MAX: f64 = 0.1;
/// Stands among what was new for a session that went a new way, whichever that was.
const A_PATH: u32 = u32::MAX;
/// New things of one session that are counted.
const NEWS_KEPT: usize = 48;
/// How often what was new once brings something else that is new within a day: a release or another
/// error is seldom one step.
const FURTHER: f64 = 0.25;
/// The same of a further session that goes a way of its own, whose first steps may all be known.
const FURTHER_SESSION: f64 = 0.1;
/// Sessions of a day that go ways of their own and count: who has so many goes on so.
const SESSIONS_MAX: usize = 4;
/// Shape of the gamma law of how often a chain comes, relative to what free composition says.
const SHAPE: f64 = 8.0;
