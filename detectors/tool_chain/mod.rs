#![doc = include_str!("README.md")]

mod finding;
mod novelty;
mod paths;
mod story;
mod targets;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

#[cfg(feature = "ablation")]
use crate::kernel::ablation;
use crate::kernel::baseline::{Baseline, Closed, Profile};
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Evidence, Family, Finding, PValue, Scope, Severity, Verdict,
};
use crate::kernel::event::Event;
use crate::kernel::familiar::Familiar;
use crate::kernel::flow::Flow;
use crate::kernel::names::Symbol;
use crate::kernel::options::{Days, Probability};
use crate::kernel::time::{Span, Timestamp};
use crate::kernel::trail::{Place, Session};
use novelty::{Stage, What};
use paths::Paths;
use targets::Targets;

/// Chains actions in a way it has never done, while it hardly ever does anything new.
pub struct ToolChain {
    config: Config,
}

/// The settings of `tool-chain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How improbable a novelty must be for this identity. A rigid identity reaches 0.01 after some
    /// hundred steps; one that explores never does, and stays quiet.
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

/// What an identity is known for: its steps, the ways its sessions go as a whole, its flows and its targets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    steps: Familiar,
    /// The actions of the steps, whatever they were done to.
    actions: Familiar,
    paths: Paths,
    flows: Familiar,
    targets: Targets,
    /// What was new in sessions that ended lately: fingerprint and when it ended, oldest first.
    fresh: ArrayVec<(u32, Timestamp), FRESH_MAX>,
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
    const STATE_VERSION: u8 = 8;

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, state: &State) -> Verdict {
        let Some((place, session)) = profile.now.place.zip(profile.session()) else {
            return Verdict::Normal;
        };
        if !place.is_news() {
            return Verdict::Normal;
        }
        // What it never did to orders, money, rights or the outside is told of after fewer steps.
        let sink = event.is_sink();
        let most = if sink {
            novelty::NEWS_MAX.max(self.p_max())
        } else {
            self.p_max()
        };
        let least = state.p_least();
        let only_step = place.flows.is_empty() && place.target.is_none();
        if profile.age(event) < self.config.learning.span() || only_step && least > most {
            return Verdict::Learning;
        }
        let mut at_hand = state.at(session, &place);
        if at_hand.is_empty() {
            return Verdict::Normal;
        }
        // What looks new may be what was forgotten.
        at_hand.retain(|what| !state.forgot(*what));
        let first_sink = sink && at_hand.iter().any(What::is_first_act);
        let p_max = if first_sink { most } else { self.p_max() };
        at_hand.retain(|what| !what.is_first_act() || least <= p_max);
        if at_hand.is_empty() {
            return Verdict::Learning;
        }
        let most = p_max.max(novelty::NEWS_MAX);
        if !at_hand.iter().any(|what| state.news(*what, most).is_some()) {
            return Verdict::Normal;
        }
        match state.novelty(session, Stage::GoesOn, profile.age(event), most) {
            Some(novelty) if novelty.p <= p_max => Verdict::found(Finding {
                p_value: Some(PValue::new(novelty.p)),
                begins: self.p_max(),
                floor: self.bits_at_least(sink, &place, &at_hand, state),
                sink,
                ..finding::told(Some(event), profile, session, &novelty, state)
            }),
            _ => Verdict::Normal,
        }
    }

    /// Judges the way that a session went, and what it carried, where events came out of order, so that these were not known
    /// before.
    fn review(&self, over: &Closed, profile: &Profile<'_>, state: &State) -> Verdict {
        let Closed::Session(session) = over else {
            return Verdict::Normal;
        };
        if !state.waits_for(session) {
            return Verdict::Normal;
        }
        let age = profile.closed.age(session.last());
        if age < self.config.learning.span() {
            return Verdict::Learning;
        }
        let p_max = self.p_max();
        let most = p_max.max(novelty::NEWS_MAX);
        let is_news = |what: What| state.news(what, most).is_some();
        let path = state.path(session).is_some_and(is_news);
        let mut halves = state
            .halves(session)
            .filter(|flow| is_news(What::Flow(*flow)));
        let half = halves.next();
        if !path && half.is_none() {
            return Verdict::Normal;
        }
        let leaks = half.into_iter().chain(halves).any(Flow::is_sensitive);
        match state.novelty(session, Stage::Over, age, most) {
            Some(novelty) if novelty.p <= p_max => Verdict::found(Finding {
                p_value: Some(PValue::new(novelty.p)),
                begins: p_max,
                floor: if leaks { FLOW_BITS } else { 0.0 },
                sink: half.is_some(),
                ..finding::told(None, profile, session, &novelty, state)
            }),
            _ => Verdict::Normal,
        }
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, state: &mut State) {
        let Closed::Session(session) = closed else {
            return;
        };
        let (day, flows) = (session.last().day_number(), state.flows_of(session));
        state.remember(session);
        state.paths.learn(session, day);
        state.targets.learn(session, day);
        // That a session made no flow is a trial as well.
        let numbers = flows.iter().map(Flow::number);
        for flow in numbers.chain(flows.is_empty().then_some(NO_FLOW)) {
            state.flows.note(flow, 1, day, session.suspect);
        }
        let mut steps: ArrayVec<u32, { Session::STEPS_MAX }> =
            session.steps().iter().map(|step| step.0).collect();
        steps.sort_unstable();
        for same in steps.chunk_by(|a, b| a == b) {
            let times = same.len() as u32;
            state.steps.note(same[0], times, day, session.suspect);
        }
        for same in steps.chunk_by(|a, b| Symbol(*a).action() == Symbol(*b).action()) {
            let (action, times) = (Symbol(same[0]).action(), same.len() as u32);
            state.actions.note(action, times, day, session.suspect);
        }
    }

    fn story(&self, profile: &Profile<'_>, state: &State) -> Evidence {
        story::story(profile.names, state)
    }

    fn forgets(state: &State) -> bool {
        state.steps.forgets()
    }
}

impl ToolChain {
    /// What the news `at_hand` weighs at the least.
    fn bits_at_least(&self, sink: bool, place: &Place, at_hand: &[What], state: &State) -> f64 {
        let makes = place.makes;
        #[cfg(feature = "ablation")]
        let makes = makes.filter(|_| !ablation::without(ablation::Part::Flows));
        let new = at_hand.iter().filter_map(|what| match what {
            What::Flow(flow) => Some(*flow),
            _ => None,
        });
        let leaks = makes.is_some_and(|flow| flow.is_sensitive() && flow.goes_outside())
            || new.into_iter().any(Flow::is_sensitive);
        let first = at_hand.iter().any(|what| match what {
            What::Target(_) => state.news(*what, self.p_max()).is_some(),
            _ => what.is_first_act(),
        });
        if leaks {
            FLOW_BITS
        } else if sink && first {
            SINK_BITS
        } else {
            0.0
        }
    }

    fn p_max(&self) -> f64 {
        self.config.p_max.get()
    }
}

/// The least that something new weighs by which what is sensitive may leave the house; or by which it gets
/// to money or rights, where it never did.
const FLOW_BITS: f64 = 10.0;
/// The least that an act weighs which moves orders, money or rights, or goes outside, if it is a first: a
/// venue it never traded at, administration it never did, an account it never paid.
const SINK_BITS: f64 = 6.0;
/// Stands among the flows for a session that made none.
const NO_FLOW: u32 = Flow::COUNT;
/// New things that are remembered for a day.
const FRESH_MAX: usize = 12;
