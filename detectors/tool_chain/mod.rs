#![doc = include_str!("README.md")]

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use crate::kernel::baseline::{Baseline, Closed, Profile};
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::Event;
use crate::kernel::familiar::Familiar;
use crate::kernel::names::Symbol;
use crate::kernel::options::{Days, Probability};
use crate::kernel::time::Span;
use crate::kernel::trail::{Chain, Session};

/// Chains actions in a way it has never done, while it hardly ever does anything new.
pub struct ToolChain {
    config: Config,
}

/// The settings of `tool-chain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How improbable a novelty must be for this identity. A rigid identity reaches 0.01 after some
    /// six hundred steps; one that explores never does, and stays quiet.
    pub p_max: Probability,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            p_max: Probability::new(0.01),
            learning: Days::new(14.0),
        }
    }
}

/// The chains an identity is known for, of one, two and three steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    orders: [Familiar; Chain::ORDERS],
    /// Sessions that were seen to start.
    starts: u32,
}

impl Detector for ToolChain {
    const CARD: Card = Card {
        name: "tool-chain",
        summary: "Chains actions in a way it has never done",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["AML.T0053", "T1078.004", "NHI10:2025"],
        page: include_str!("README.md"),
    };
    type Config = Config;
    type State = State;
    const STATE_VERSION: u8 = 2;

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, state: &State) -> Verdict {
        let Some(session) = profile.session() else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() || state.floor() > self.p_max() {
            return Verdict::Learning;
        }
        let last = session.last_chain();
        let Some((last, order)) = last.and_then(|last| Some((last, state.first_unknown(&last)?)))
        else {
            return Verdict::Normal;
        };
        // What looks new may be what was forgotten.
        if state.orders[order - 1].forgets() {
            return Verdict::Learning;
        }
        let novel = |chain: &Chain| state.novelty(chain).filter(|new| new.p <= self.p_max());
        if novel(&last).is_none() {
            return Verdict::Normal;
        }
        // What is new later in the session belongs to what was new first: one finding per chain.
        let first = session
            .chains()
            .find_map(|chain| Some((chain, novel(&chain)?)));
        first.map_or(Verdict::Normal, |(chain, new)| {
            Verdict::found(finding(
                event,
                profile,
                session,
                &chain,
                &new,
                state,
                self.p_max(),
            ))
        })
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, state: &mut State) {
        let Closed::Session(session) = closed else {
            return;
        };
        let day = session.last().day().clamp(0, i64::from(u16::MAX)) as u16;
        state.starts = state.starts.saturating_add(u32::from(session.has_start()));
        for order in 1..=Chain::ORDERS {
            let mut grams: ArrayVec<u32, { Session::STEPS_MAX }> = session
                .chains()
                .filter_map(|chain| chain.fingerprint(order))
                .collect();
            grams.sort_unstable();
            let known = &mut state.orders[order - 1];
            for same in grams.chunk_by(|a, b| a == b) {
                known.note(same[0], same.len() as u32, day, session.suspect);
            }
        }
    }

    fn forgets(state: &State) -> bool {
        state.orders.iter().any(Familiar::forgets)
    }
}

impl ToolChain {
    fn p_max(&self) -> f64 {
        self.config.p_max.get()
    }
}

/// What is new about a step, and how improbable that was.
struct Novelty {
    /// The smallest number of last steps that is new while all that is shorter is known.
    order: usize,
    /// The larger of the two p-values, corrected for the orders that are tested.
    p: f64,
    /// How often steps put together freely would have made this chain by now.
    overdue: Option<f64>,
}

impl State {
    /// What is new about the last steps of `chain`, if anything.
    ///
    /// The null hypothesis has two halves, and the p-value is the larger of theirs: the identity
    /// does new things at the rate at which it has lately done them (Good and Turing, see
    /// [`Familiar::p_new`]), or it puts known steps together freely. The orders share the error by
    /// weighted Bonferroni: see [`WEIGHTS`].
    fn novelty(&self, chain: &Chain) -> Option<Novelty> {
        let order = self.first_unknown(chain)?;
        let overdue = self.overdue(chain, order);
        let explores = self.orders[order - 1].p_new();
        let composes = overdue.map_or(0.0, |times| self.p_composed(order, times));
        let p = (explores.max(composes) / WEIGHTS[order - 1]).min(1.0);
        Some(Novelty { order, p, overdue })
    }

    /// The smallest p-value that a step never taken can have after so few steps.
    fn floor(&self) -> f64 {
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

    /// The chance that free composition leaves any chain of `order` steps so `overdue` before it
    /// comes for the first time.
    ///
    /// Where a chain comes by chance, its expected count at its first coming is exponential with
    /// mean 1; where its rate is itself uncertain, as of a gamma law of shape [`SHAPE`], the tail is
    /// `(1 + overdue/SHAPE)^-SHAPE` (Lomax). Every chain that the known steps can make has one such
    /// first coming, so there are `symbols^order` chances.
    fn p_composed(&self, order: usize, overdue: f64) -> f64 {
        let chains = libm::pow(self.orders[0].kinds() as f64 + 1.0, order as f64);
        (chains * libm::pow(1.0 + overdue / SHAPE, -SHAPE)).min(1.0)
    }

    fn first_unknown(&self, chain: &Chain) -> Option<usize> {
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

fn finding(
    event: &Event<'_>,
    profile: &Profile<'_>,
    session: &Session,
    first: &Chain,
    novelty: &Novelty,
    state: &State,
    begins: f64,
) -> Finding {
    let order = novelty.order;
    let known = &state.orders[order - 1];
    let spell = |symbol| profile.names.spell(symbol);
    let new: Vec<String> = first
        .gram(order)
        .unwrap_or_default()
        .iter()
        .flatten()
        .map(|s| spell(*s))
        .collect();
    let new = new.join(" > ");
    let steps: Vec<String> = session
        .steps()
        .iter()
        .enumerate()
        .map(|(at, step)| {
            if at == first.at {
                format!("*{}*", spell(*step))
            } else {
                spell(*step)
            }
        })
        .collect();
    let mut evidence = evidence([
        ("new", new.clone()),
        ("steps", order.to_string()),
        ("trials", known.trials().to_string()),
        ("singletons", known.singletons().to_string()),
    ]);
    if let Some(overdue) = novelty.overdue {
        let expected = format!("{overdue:.1}");
        evidence.push(("expected_if_composed_freely".into(), expected));
    }
    let what = match order {
        1 => "an action it has never used",
        2 => "two actions it has never used after each other",
        _ => "three actions it has never used in this order",
    };
    Finding {
        subject: format!("chain {new}"),
        p_value: Some(PValue::new(novelty.p)),
        begins,
        summary: format!("{what}: {new}"),
        expected: format!(
            "one of the chains it is known for: {} of {} steps of this kind were ever unique",
            known.singletons(),
            known.trials()
        ),
        observed: steps.join(" > "),
        evidence,
        clears: "the chain returns in three sessions on two days".to_owned(),
        severity: None,
        sink: event.is_sink(),
        // From what is sensitive to where it leaves the house, in a way it never went.
        floor: if session.sensitive && event.is_sink() {
            FLOW_BITS
        } else {
            0.0
        },
    }
}

/// The share of the error that each order gets: a step never taken tells more than known steps in a
/// new order, of which there are many.
const WEIGHTS: [f64; Chain::ORDERS] = [0.5, 0.25, 0.25];
/// The least that a new chain weighs by which something sensitive may leave.
const FLOW_BITS: f64 = 10.0;
/// Shape of the gamma law of how often a chain comes, relative to what free composition says.
const SHAPE: f64 = 4.0;
