//! What is said of what is new.

use super::State;
use super::novelty::{Novelty, What};
use super::story::often;
use crate::kernel::baseline::Profile;
use crate::kernel::detector::{Finding, evidence};
use crate::kernel::event::Event;
use crate::kernel::names::Names;
use crate::kernel::trail::Session;

/// What is said of `novelty` in `session` at `event`, or when it has ended: the whole chain, and the one it is known for
/// beside it.
pub(super) fn told(
    event: Option<&Event<'_>>,
    profile: &Profile<'_>,
    session: &Session,
    novelty: &Novelty,
    state: &State,
) -> Finding {
    let first = &novelty.first;
    let known = event.is_none() || !state.waits_for(session);
    let deviation = state.paths.deviation(session).filter(|_| known);
    let spell = |symbol| profile.names.spell(symbol);
    let (what, new, known) = match first.what {
        What::Step(step) => {
            let (kind, rate) = state.rate(step);
            let (singletons, trials) = (rate.singletons(), rate.trials());
            let known = format!(
                "one of the {kind} it is known for: {singletons} of {trials} were ever unique"
            );
            ("a step it has never taken", spell(step), known)
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
    if let What::Step(step) = first.what {
        let (_, rate) = state.rate(step);
        say("trials", rate.trials().to_string());
        say("singletons", rate.singletons().to_string());
    }
    let at_hand = profile.now.place.and_then(|place| place.target);
    if let (What::Target(target), Some(resource)) =
        (first.what, event.and_then(|event| event.resource))
        && at_hand == Some(target)
    {
        say("target", resource.to_owned());
    }
    if novelty.together > 1 {
        say("new_within_a_day", novelty.together.to_string());
    }
    if let What::Step(_) | What::Path { .. } = first.what
        && let Some(nearest) = nearest(session, deviation, state, profile.names)
    {
        say("nearest_known", nearest);
    }
    Finding {
        subject: "new chains".to_owned(),
        p_value: None,
        begins: 1.0,
        summary: format!("{what}: {new}"),
        expected: known,
        observed: marked(session, deviation, state, profile.names),
        evidence,
        clears: "what is new returns in three sessions on two days".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    }
}

/// The whole chain, with a mark on each step that is new or leads a new way.
fn marked(session: &Session, deviation: Option<usize>, state: &State, names: &Names) -> String {
    let steps = (0..).zip(session.steps()).map(|(at, step)| {
        let name = names.spell(*step);
        if !state.steps.knows(step.0) || deviation == Some(at) {
            format!("*{name}*")
        } else {
            name
        }
    });
    steps.collect::<Vec<_>>().join(" > ")
}

/// The steps up to where the session first went another way, and what mostly follows them instead.
fn nearest(
    session: &Session,
    deviation: Option<usize>,
    state: &State,
    names: &Names,
) -> Option<String> {
    let way = session.steps().get(..deviation?)?;
    let (times, next) = state.paths.usual(way, &state.steps)?;
    let steps = way.iter().chain([&next]);
    let chain: Vec<String> = steps.map(|step| names.spell(*step)).collect();
    Some(format!("{} ({})", chain.join(" > "), often(times)))
}
