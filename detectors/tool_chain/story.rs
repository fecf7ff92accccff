//! What an identity is known for, in words.

use super::State;
use crate::kernel::detector::Evidence;
use crate::kernel::flow::Flow;
use crate::kernel::names::{Names, Symbol};
use crate::kernel::trail::Chain;

/// The steps that `state` knows, what mostly follows them, and the flows; the most common first.
pub(super) fn story(names: &Names, state: &State) -> Evidence {
    let [single, pairs, triples] = &state.orders;
    let mut steps: Vec<(u32, Symbol)> = single
        .iter()
        .filter(|step| single.knows(*step))
        .map(|step| (single.times(step), Symbol(step)))
        .collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    let starts = [(0, Symbol::START)];
    let mut chains = Vec::new();
    for (_, before) in starts.iter().chain(steps.iter().take(TOLD)) {
        for (_, next) in &steps {
            let gram = Chain::fingerprint_of(&[Some(*before), Some(*next)]);
            if pairs.knows(gram) {
                chains.push((pairs.times(gram), *before, *next));
            }
        }
    }
    chains.sort_unstable_by(|a, b| b.cmp(a));
    let mut story = Evidence::new();
    let mut tell = |name: &'static str, text: String| story.push((name.into(), text));
    tell("steps", format!("{} different", single.kinds()));
    for (times, step) in steps.iter().take(TOLD) {
        let targets = match state.targets.kinds(*step) {
            0 => String::new(),
            targets => format!(", {targets} targets"),
        };
        tell(
            "step",
            format!("{} ({times} times{targets})", names.spell(*step)),
        );
    }
    tell("pairs", format!("{} different", pairs.kinds()));
    for (times, before, next) in chains.iter().take(TOLD) {
        let (before, next) = (names.spell(*before), names.spell(*next));
        tell("pair", format!("{before} > {next} ({times} times)"));
    }
    tell("triples", format!("{} different", triples.kinds()));
    let flows = (0..Flow::COUNT).filter_map(Flow::numbered);
    for flow in flows.filter(|flow| state.flows.knows(flow.number())) {
        let times = state.flows.times(flow.number());
        tell("flow", format!("{flow} (in {times} sessions)"));
    }
    story
}

/// Steps and pairs that are told of, each.
const TOLD: usize = 12;
