//! What is said of what is new.

use super::State;
use super::novelty::{Novelty, What};
use crate::kernel::baseline::Profile;
use crate::kernel::detector::{Finding, evidence};
use crate::kernel::event::Event;
use crate::kernel::names::{Names, Symbol};
use crate::kernel::trail::{Chain, Session};

/// What is said of `novelty` in `session`: the whole chain, and the one it is known for beside it.
pub(super) fn told(
    event: &Event<'_>,
    profile: &Profile<'_>,
    session: &Session,
    novelty: &Novelty,
    state: &State,
) -> Finding {
    let first = &novelty.first;
    let spell = |symbol| profile.names.spell(symbol);
    let (what, new, known) = match first.what {
        What::Chain { chain, order } => {
            let gram = chain.gram(order).unwrap_or_default();
            let steps: Vec<String> = gram.iter().flatten().map(|step| spell(*step)).collect();
            let what = match order {
                1 => "an action it has never used",
                2 => "two actions it has never used after each other",
                _ => "three actions it has never used in this order",
            };
            let known = &state.orders[order - 1];
            let (singletons, trials) = (known.singletons(), known.trials());
            let known = format!(
                "one of the chains it is known for: {singletons} of {trials} steps of this kind were ever unique"
            );
            (what, steps.join(" > "), known)
        }
        What::Path { at, .. } => {
            let steps = session.steps().iter().take(at + 1);
            let steps: Vec<String> = steps.map(|step| spell(*step)).collect();
            let what = "known actions in a session that as a whole goes as none did before";
            let ways = state.paths.known();
            let known = format!(
                "one of the ways its sessions are known to go: {} of {} steps ever led another way",
                ways.singletons(),
                ways.trials()
            );
            (what, steps.join(" > "), known)
        }
        What::Flow(flow) => {
            let (what, new) = ("what it never carried there", flow.to_string());
            // That there was none is kept among them.
            let kinds = state.flows.kinds().saturating_sub(1);
            let known = format!("one of the {kinds} flows that it is known for");
            (what, new, known)
        }
        What::Target(target) => {
            let what = "an action on what it was never done to";
            let kinds = state.targets.kinds(target.step);
            let known = format!("one of the {kinds} that this action was ever done to");
            (what, spell(target.step), known)
        }
    };
    let mut evidence = evidence([("new", new.clone())]);
    let mut say = |name: &str, fact: String| evidence.push((name.to_owned().into(), fact));
    if let What::Chain { order, .. } = first.what {
        let known = &state.orders[order - 1];
        say("steps", order.to_string());
        say("trials", known.trials().to_string());
        say("singletons", known.singletons().to_string());
    }
    if let Some(overdue) = first.overdue {
        say("expected_if_composed_freely", format!("{overdue:.1}"));
    }
    let at_hand = profile.now.place.and_then(|place| place.target);
    if let (What::Target(target), Some(resource)) = (first.what, event.resource)
        && at_hand == Some(target)
    {
        say("target", resource.to_owned());
    }
    if novelty.together > 1 {
        say("new_within_a_day", novelty.together.to_string());
    }
    if let What::Chain { chain, .. } = first.what
        && let Some(nearest) = nearest(session, &chain, state, profile.names)
    {
        say("nearest_known", nearest);
    }
    Finding {
        subject: "new chains".to_owned(),
        p_value: None,
        begins: 1.0,
        summary: format!("{what}: {new}"),
        expected: known,
        observed: marked(session, state, profile.names),
        evidence,
        clears: "what is new returns in three sessions on two days".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    }
}

/// The whole chain, with a mark on each step that ends something new.
fn marked(session: &Session, state: &State, names: &Names) -> String {
    let chains = session.chains();
    let chains = chains.filter(|chain| state.first_unknown(chain).is_some());
    let mut new: Vec<usize> = chains.map(|chain| chain.at).collect();
    new.extend(state.paths.deviation(session));
    let steps = (0..).zip(session.steps()).map(|(at, step)| {
        let name = names.spell(*step);
        if new.contains(&at) {
            format!("*{name}*")
        } else {
            name
        }
    });
    steps.collect::<Vec<_>>().join(" > ")
}

/// The steps up to where `first` became new, and what mostly follows the last of them instead.
fn nearest(session: &Session, first: &Chain, state: &State, names: &Names) -> Option<String> {
    let [_, before, _] = first.steps();
    let before = before?;
    let [single, pairs, _] = &state.orders;
    let often = |next: Symbol| {
        let gram = Chain::fingerprint_of(&[Some(before), Some(next)]);
        pairs.knows(gram).then(|| (pairs.times(gram), next))
    };
    let (times, next) = single.iter().map(Symbol).filter_map(often).max()?;
    let so_far = session.steps().get(..first.at)?;
    let chain: Vec<String> = so_far
        .iter()
        .chain([&next])
        .map(|step| names.spell(*step))
        .collect();
    Some(format!("{} ({times} times)", chain.join(" > ")))
}
