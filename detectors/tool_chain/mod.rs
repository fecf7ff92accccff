#![doc = include_str!("README.md")]

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::{Closed, Profile};
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{Card, Detector, Family, Finding, PValue, Scope, Severity, Verdict};
use crate::kernel::event::Event;
use crate::kernel::familiar::Familiar;
use crate::kernel::options::{Days, Probability};
use crate::kernel::trail::{Chain, Session};

/// Chains actions in a way it has never done, while it hardly ever does anything new.
pub struct ToolChain {
    config: Config,
}

/// The settings of `tool-chain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How improbable a novelty must be for this identity. A rigid identity reaches 0.001 after a
    /// thousand steps; one that explores never does, and stays quiet.
    pub p_max: Probability,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            p_max: Probability::new(0.001),
            learning: Days::new(14.0),
        }
    }
}

/// The chains an identity is known for, of one, two and three steps.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    orders: [Familiar; Chain::ORDERS],
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

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, state: &State) -> Verdict {
        let Some(session) = profile.session() else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            return Verdict::Learning;
        }
        let Some(chain) = session.last_chain() else {
            return Verdict::Normal;
        };
        if state.novelty(&chain).is_none() {
            return Verdict::Normal;
        }
        // What is new later in the session belongs to what was new first: one finding per chain.
        let Some((first, order)) = session
            .chains()
            .find_map(|chain| Some((chain, state.novelty(&chain)?)))
        else {
            return Verdict::Normal;
        };
        let known = &state.orders[order - 1];
        if known.p_new() > self.config.p_max.get() {
            return Verdict::Normal;
        }
        Verdict::Anomalous(finding(profile, session, &first, order, known))
    }

    fn learn(&self, closed: &Closed, state: &mut State) {
        let Closed::Session(session) = closed;
        let day = session.last().day().clamp(0, i64::from(u16::MAX)) as u16;
        for order in 1..=Chain::ORDERS {
            let mut grams: Vec<u32> = session
                .chains()
                .filter_map(|chain| chain.fingerprint(order))
                .collect();
            grams.sort_unstable();
            grams.dedup();
            let known = &mut state.orders[order - 1];
            for gram in grams {
                known.note(gram, day, session.suspect);
            }
        }
    }
}

impl State {
    /// The smallest number of last steps of `chain` that is new while all that is shorter is known.
    fn novelty(&self, chain: &Chain) -> Option<usize> {
        for order in 1..=Chain::ORDERS {
            let gram = chain.fingerprint(order)?;
            if !self.orders[order - 1].knows(gram) {
                let before = order.checked_sub(2);
                let known_before = before.is_none_or(|at| {
                    chain.gram(order).is_some_and(|gram| gram[0] == Some(START)) && at == 0
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
    profile: &Profile<'_>,
    session: &Session,
    first: &Chain,
    order: usize,
    known: &Familiar,
) -> Finding {
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
    let what = match order {
        1 => "an action it has never used",
        2 => "two actions it has never used after each other",
        _ => "three actions it has never used in this order",
    };
    Finding {
        subject: format!("chain {new}"),
        p_value: Some(PValue::new(known.p_new())),
        summary: format!("{what}: {new}"),
        expected: format!(
            "one of the chains it is known for: {} of {} steps of this kind were ever unique",
            known.singletons(),
            known.trials()
        ),
        observed: steps.join(" > "),
        evidence: vec![
            ("new", new),
            ("steps", order.to_string()),
            ("trials", known.trials().to_string()),
            ("singletons", known.singletons().to_string()),
        ],
        clears: "the chain returns in three sessions on two days".to_owned(),
        severity: None,
    }
}

const START: crate::kernel::names::Symbol = crate::kernel::names::Symbol::START;
