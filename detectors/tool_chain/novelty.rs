//! How improbable it is that an identity chains its steps as it has just done.

use arrayvec::ArrayVec;

use super::State;
use crate::kernel::familiar::Familiar;
use crate::kernel::names::Symbol;
use crate::kernel::time::Span;
use crate::kernel::trail::{Chain, Session};

/// What is new about a session, and how improbable that was.
pub(super) struct Novelty {
    /// The step at which the first of it appeared, with those before it.
    pub(super) chain: Chain,
    /// The smallest number of last steps that was new there, while all that is shorter was known.
    pub(super) order: usize,
    /// How often steps put together freely would have made that by now.
    pub(super) overdue: Option<f64>,
    /// Different new things within a day, with those of the sessions before.
    pub(super) together: u32,
    /// How improbable all of that is.
    pub(super) p: f64,
}

/// One thing that is new: how many steps, and how improbable it is alone.
pub(super) struct News {
    pub(super) chain: Chain,
    pub(super) order: usize,
    gram: u32,
    pub(super) overdue: Option<f64>,
    pub(super) p: f64,
}

impl State {
    /// What is new about `session` of an identity that has been watched for `age`, if anything is.
    ///
    /// What is new within a day mostly has one cause. Its p-value is that of the rarest of it, times
    /// their number, times `r^(n - 1)`: `r` is the chance that what was new once brings something
    /// else that is new within a day, [`FURTHER`] or, where more of it comes by chance alone, that.
    pub(super) fn novelty(&self, session: &Session, age: Span) -> Option<Novelty> {
        let mut news: ArrayVec<News, { Session::STEPS_MAX }> = ArrayVec::new();
        for new in session.chains().filter_map(|chain| self.news(&chain)) {
            if news.iter().all(|other| other.gram != new.gram) {
                news.push(new);
            }
        }
        let rarest = news.iter().map(|new| new.p).fold(1.0, f64::min);
        let now = session.last();
        let before = self.fresh.iter().filter(|(gram, ts)| {
            now.since(*ts) < Span::DAY && news.iter().all(|new| new.gram != *gram)
        });
        let together = news.len() + before.count();
        let first = news.into_iter().next()?;
        let known = &self.orders[first.order - 1];
        let a_day = known.p_new() * f64::from(known.trials()) / age.days().max(1.0);
        let further = FURTHER.max(1.0 - libm::exp(-a_day));
        let chance = together as f64 * libm::pow(further, together as f64 - 1.0);
        Some(Novelty {
            chain: first.chain,
            order: first.order,
            overdue: first.overdue,
            together: together as u32,
            p: (rarest * chance).min(1.0),
        })
    }

    /// What is new about the last steps of `chain`, if anything, and worth to be counted.
    ///
    /// The null hypothesis has two halves, and the p-value is the larger of theirs: the identity
    /// does new things at the rate at which it has lately done them (Good and Turing, see
    /// [`Familiar::p_new`]), or it puts known steps together freely, see [`lateness`]. The orders
    /// share the error by weighted Bonferroni: see [`WEIGHTS`].
    pub(super) fn news(&self, chain: &Chain) -> Option<News> {
        let order = self.first_unknown(chain)?;
        let overdue = self.overdue(chain, order);
        let known = &self.orders[order - 1];
        let explores = if order == 1 {
            known.p_new()
        } else {
            known.p_new_expected()
        };
        let composes = overdue.map_or(0.0, lateness);
        let p = (explores.max(composes) / WEIGHTS[order - 1]).min(1.0);
        (p <= NEWS_MAX).then_some(News {
            chain: *chain,
            order,
            gram: chain.fingerprint(order)?,
            overdue,
            p,
        })
    }

    /// Remembers for a day what was new in `session`, which has ended.
    pub(super) fn remember(&mut self, session: &Session) {
        let now = session.last();
        self.fresh.retain(|(_, ts)| now.since(*ts) < Span::DAY);
        let news: ArrayVec<News, { Session::STEPS_MAX }> = session
            .chains()
            .filter_map(|chain| self.news(&chain))
            .collect();
        for new in news {
            if self.fresh.iter().all(|(gram, _)| *gram != new.gram) {
                if self.fresh.is_full() {
                    self.fresh.remove(0);
                }
                self.fresh.push((new.gram, now));
            }
        }
    }

    /// The smallest p-value that a step never taken can have after so few steps.
    pub(super) fn floor(&self) -> f64 {
        self.orders[0].p_new_least() / WEIGHTS[0]
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
/// What is more probable than this is no news, even beside others.
pub(super) const NEWS_MAX: f64 = 0.1;
/// How often what was new once brings something else that is new within a day: a release or another
/// error is seldom one step.
const FURTHER: f64 = 0.25;
/// Shape of the gamma law of how often a chain comes, relative to what free composition says.
const SHAPE: f64 = 8.0;
