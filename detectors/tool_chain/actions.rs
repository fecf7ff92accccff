//! Actions, whatever they are done to: one that was never used tells more than a known one on something
//! else.

use std::collections::BTreeMap;

use super::novelty::MANY;
use crate::kernel::familiar::Familiar;
use crate::kernel::names::{Names, Symbol};

/// The chance that the next step is an action that was never used on anything, if `step` is one; `steps` are
/// all that are known.
///
/// It is Good and Turing's of actions instead of steps: those that were used in exactly one session, over all
/// trials. Nothing where steps are too many to go through.
pub(super) fn p_new(steps: &Familiar, names: &Names, step: Symbol) -> Option<f64> {
    let action = names.action(step)?;
    if steps.forgets() || steps.kinds() > STEPS_MAX {
        return None;
    }
    let mut sessions: BTreeMap<&str, u32> = BTreeMap::new();
    for known in steps.iter() {
        let other = names.action(Symbol(known))?;
        if other == action && steps.knows(known) {
            return None;
        }
        *sessions.entry(other).or_default() += steps.sessions(known);
    }
    let singletons = sessions.values().filter(|seen| **seen == 1).count();
    Some((singletons as f64 + 1.0) / (f64::from(steps.trials()) + MANY))
}

/// Who is known for more different steps explores, and each of them would cost a look.
const STEPS_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::event::Event;

    fn step(names: &mut Names, action: &str, class: &str) -> Symbol {
        names.note(&Event {
            action,
            resource_class: Some(class),
            ..Event::default()
        })
    }

    /// One action, each day on another folder.
    fn committed(days: u16) -> (Names, Familiar) {
        let (mut names, mut steps) = (Names::default(), Familiar::default());
        for day in 0..days {
            let class = format!("folder{day}");
            steps.note(step(&mut names, "commit", &class).0, 1, day, false);
        }
        (names, steps)
    }

    #[test]
    fn a_new_action_of_one_whose_action_never_changes_is_improbable() {
        let (mut names, steps) = committed(100);
        let tag = step(&mut names, "tag", "folder1");
        let (of_steps, of_actions) = (steps.p_new(MANY), p_new(&steps, &names, tag));
        assert!(of_steps > 0.5, "its steps are new all the time");
        assert!(of_actions.expect("it is new") < 0.006);
        let elsewhere = step(&mut names, "commit", "elsewhere");
        assert_eq!(p_new(&steps, &names, elsewhere), None);
    }

    #[test]
    fn who_is_known_for_too_many_steps_is_not_gone_through() {
        let (mut names, steps) = committed(200);
        let tag = step(&mut names, "tag", "folder1");
        assert_eq!(p_new(&steps, &names, tag), None);
    }
}
