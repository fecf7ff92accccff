//! What is said of a new chain.

use super::State;
use super::novelty::Novelty;
use crate::kernel::baseline::Profile;
use crate::kernel::detector::{Finding, PValue, evidence};
use crate::kernel::event::Event;
use crate::kernel::names::{Names, Symbol};
use crate::kernel::trail::{Chain, Session};

/// The finding of `novelty` in `session`, with the whole chain and the one it is known for beside it.
pub(super) fn finding(
    event: &Event<'_>,
    profile: &Profile<'_>,
    session: &Session,
    novelty: &Novelty,
    state: &State,
) -> Finding {
    let (order, first) = (novelty.order, &novelty.chain);
    let known = &state.orders[order - 1];
    let spell = |symbol| profile.names.spell(symbol);
    let gram = first.gram(order).unwrap_or_default();
    let new: Vec<String> = gram.iter().flatten().map(|step| spell(*step)).collect();
    let new = new.join(" > ");
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
    if novelty.together > 1 {
        let together = novelty.together.to_string();
        evidence.push(("new_within_a_day".into(), together));
    }
    if let Some(nearest) = nearest(session, first, state, profile.names) {
        evidence.push(("nearest_known".into(), nearest));
    }
    let what = match order {
        1 => "an action it has never used",
        2 => "two actions it has never used after each other",
        _ => "three actions it has never used in this order",
    };
    Finding {
        subject: "new chains".to_owned(),
        p_value: Some(PValue::new(novelty.p)),
        begins: 1.0,
        summary: format!("{what}: {new}"),
        expected: format!(
            "one of the chains it is known for: {} of {} steps of this kind were ever unique",
            known.singletons(),
            known.trials()
        ),
        observed: marked(session, state, profile.names),
        evidence,
        clears: "the chain returns in three sessions on two days".to_owned(),
        severity: None,
        sink: event.is_sink(),
        floor: 0.0,
    }
}

/// The whole chain, with a mark on each step that ends something new.
fn marked(session: &Session, state: &State, names: &Names) -> String {
    let new: Vec<usize> = session
        .chains()
        .filter(|chain| state.first_unknown(chain).is_some())
        .map(|chain| chain.at)
        .collect();
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
