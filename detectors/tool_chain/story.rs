//! What an identity is known for, in words.

use super::State;
use crate::kernel::detector::Evidence;
use crate::kernel::flow::Flow;
use crate::kernel::names::{Names, Symbol};

/// The steps that `state` knows, the ways that sessions go, and the flows; the most common first.
pub(super) fn story(names: &Names, state: &State) -> Evidence {
    let known = &state.steps;
    let mut steps: Vec<(u32, Symbol)> = known
        .iter()
        .filter(|step| known.knows(*step))
        .map(|step| (known.times(step), Symbol(step)))
        .collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    let mut story = Evidence::new();
    let mut tell = |name: &'static str, text: String| story.push((name.into(), text));
    tell("steps", format!("{} different", known.kinds()));
    for (times, step) in steps.iter().take(TOLD) {
        let targets = match state.targets.kinds(*step) {
            0 => String::new(),
            targets => format!(", {targets} targets"),
        };
        tell(
            "step",
            format!("{} ({}{targets})", names.spell(*step), often(*times)),
        );
    }
    let steps: Vec<Symbol> = steps.into_iter().map(|(_, step)| step).collect();
    if state.paths.known().forgets() {
        tell("chains", "another one all the time".to_owned());
    } else {
        let ways = state.paths.ways(&steps);
        tell("chains", format!("{} different", ways.len()));
        for (times, way) in ways.iter().take(TOLD) {
            let way: Vec<String> = way.iter().map(|step| names.spell(*step)).collect();
            tell("chain", format!("{} ({})", way.join(" > "), often(*times)));
        }
    }
    let flows = (0..Flow::COUNT).filter_map(Flow::numbered);
    for flow in flows.filter(|flow| state.flows.knows(flow.number())) {
        let times = state.flows.times(flow.number());
        tell("flow", format!("{flow} (in {times} sessions)"));
    }
    story
}

/// How often something was seen, in words.
pub(super) fn often(times: u32) -> String {
    match times {
        1 => "once".to_owned(),
        times => format!("{times} times"),
    }
}

/// Steps and chains that are told of, each.
const TOLD: usize = 12;
