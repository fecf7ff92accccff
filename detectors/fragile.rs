//! A detector that fails when told to, built for tests only; and what the engine makes of it.

use crate::kernel::baseline::{Baseline, Closed, Profile};
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{Card, Detector, Family, Scope, Severity, Verdict};
use crate::kernel::event::Event;
use crate::kernel::inventory::Declared;
use crate::kernel::names::Symbol;

/// Panics on the actions [`JUDGE`] and [`RULE`], and on learning a session with [`LEARN`] in it.
pub struct Fragile;

const JUDGE: &str = "fail at judging";
const RULE: &str = "fail at a rule";
const LEARN: &str = "fail at learning";

impl Detector for Fragile {
    const CARD: Card = Card {
        name: "fragile",
        summary: "Fails when told to",
        severity: Severity::Info,
        family: Family::Policy,
        scope: Scope::Identity,
        controls: &[],
        page: "",
    };
    type Config = ();
    type State = u32;

    fn new((): (), _calendars: &Calendars) -> Self {
        Self
    }

    fn judge(&self, event: &Event<'_>, _profile: &Profile<'_>, _learned: &u32) -> Verdict {
        assert_ne!(event.action, JUDGE);
        Verdict::Normal
    }

    fn rule(&self, event: &Event<'_>, _declared: Option<&Declared>) -> Verdict {
        assert_ne!(event.action, RULE);
        Verdict::Normal
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, learned: &mut u32) {
        let Closed::Session(session) = closed else {
            return;
        };
        *learned += 1;
        let failing = Event {
            action: LEARN,
            ..Event::default()
        };
        assert!(!session.steps().contains(&Symbol::of(&failing)));
    }
}

mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::CARDS;
    use crate::kernel::alert::{Alert, IncidentId};
    use crate::kernel::engine::Engine;
    use crate::kernel::input::{Fate, Input};
    use crate::kernel::time::{Span, Timestamp};

    const START: Timestamp = Timestamp::from_seconds(1_767_571_200);
    const A_DAY: i64 = 36;

    #[derive(Clone)]
    struct Act {
        ts: Timestamp,
        identity: &'static str,
        action: &'static str,
    }

    /// Three identities call every 40 minutes for 22 days, then each has an hour of 600 calls; the
    /// action of the victim's first call of day 21 is `action`.
    fn log(action: &'static str) -> Vec<Act> {
        let mut acts = Vec::new();
        let mut act = |ts, action| {
            for identity in ["before", "victim", "zero"] {
                acts.push(Act {
                    ts,
                    identity,
                    action,
                });
            }
        };
        for n in 0..22 * A_DAY {
            act(START.plus(Span::MINUTE.times(40 * n)), "read");
        }
        for n in 0..600 {
            act(last_hour().plus(Span::from_seconds(6 * n)), "read");
        }
        let day_21 = START.plus(Span::DAY.times(21));
        let mut first = acts
            .iter_mut()
            .filter(|act| act.ts == day_21 && act.identity == "victim");
        first.next().expect("it acts that day").action = action;
        acts
    }

    fn last_hour() -> Timestamp {
        START.plus(Span::DAY.times(22))
    }

    fn fresh() -> Engine {
        Engine::new(0, Arc::default())
    }

    struct Run {
        engine: Engine,
        alerts: Vec<Alert>,
        /// The victim's fates, in order.
        fates: Vec<Fate>,
    }

    /// Runs `acts`; where `restart` is given, in an engine restored before that act.
    fn run(acts: &[Act], restart: Option<usize>) -> Run {
        let (mut engine, mut alerts, mut fates) = (fresh(), Vec::new(), Vec::new());
        for (n, act) in acts.iter().enumerate() {
            if restart == Some(n) {
                engine = restored(engine);
            }
            let event = Event {
                ts: act.ts,
                identity: act.identity,
                action: act.action,
                ..Event::default()
            };
            let fate = engine.handle(&Input::Event(event), &mut alerts);
            if act.identity == "victim" {
                fates.push(fate);
            }
        }
        Run {
            engine,
            alerts,
            fates,
        }
    }

    fn restored(mut engine: Engine) -> Engine {
        let mut store = BTreeMap::new();
        engine.flush(|key, payload| {
            store.insert(key.to_vec(), payload.map(<[u8]>::to_vec));
        });
        let mut engine = fresh();
        for (key, payload) in &store {
            if let Some(payload) = payload {
                engine.restore(key, payload).expect("was just written");
            }
        }
        engine.restored().expect("was just written");
        engine
    }

    fn panics(engine: &Engine) -> Vec<(&'static str, u64)> {
        let stats = engine.stats();
        CARDS
            .iter()
            .zip(&stats.detectors)
            .filter(|(_, stats)| stats.panics > 0)
            .map(|(card, stats)| (card.name, stats.panics))
            .collect()
    }

    /// The incidents of all but the victim. How severe they are depends on the noise of all.
    fn of_others(alerts: &[Alert]) -> Vec<(&str, IncidentId)> {
        let others = alerts.iter().filter(|alert| alert.identity != "victim");
        let opened = others.filter(|alert| alert.revision == 1);
        opened
            .map(|alert| (alert.identity.as_str(), alert.id))
            .collect()
    }

    #[test]
    fn a_failing_detector_is_counted_its_identity_left_out_and_the_others_judged_as_ever() {
        let fine = run(&log("read"), None);
        assert_eq!(panics(&fine.engine), []);
        let hit = |run: &Run, identity| {
            let mut alerts = run.alerts.iter();
            alerts.any(|alert| alert.identity == identity && alert.ts >= last_hour())
        };
        assert!(hit(&fine, "before") && hit(&fine, "victim") && hit(&fine, "zero"));
        for action in [JUDGE, RULE, LEARN] {
            let broken = run(&log(action), None);
            assert_eq!(panics(&broken.engine), [("fragile", 1)], "{action}");
            assert!(!hit(&broken, "victim"), "{action}");
            assert_eq!(
                of_others(&broken.alerts),
                of_others(&fine.alerts),
                "{action}"
            );
            // The event at which it fails is still judged by the others; a session is learned with
            // the event after it.
            let last_judged = 21 * A_DAY as usize + usize::from(action == LEARN);
            let (judged, left_out) = broken.fates.split_at(last_judged + 1);
            assert!(judged.iter().all(|fate| *fate == Fate::Judged), "{action}");
            assert!(
                left_out.iter().all(|fate| *fate == Fate::Quarantined),
                "{action}"
            );
        }
    }

    #[test]
    fn a_run_with_a_failing_detector_replays_alike_and_survives_a_restart() {
        for action in [JUDGE, RULE, LEARN] {
            let acts = log(action);
            let (first, again) = (run(&acts, None), run(&acts, None));
            let restarted = run(&acts, Some(acts.len() - 900));
            for other in [again, restarted] {
                assert_eq!(other.alerts, first.alerts, "{action}");
                assert_eq!(other.fates, first.fates, "{action}");
                assert_eq!(other.engine.digest(), first.engine.digest(), "{action}");
            }
        }
    }

    #[test]
    fn a_late_event_at_which_a_rule_fails_is_late_and_the_next_one_left_out() {
        let mut acts = log("read");
        let (ts, identity) = (START, "victim");
        for action in [RULE, RULE, "read"] {
            acts.push(Act {
                ts,
                identity,
                action,
            });
        }
        let run = run(&acts, None);
        assert_eq!(panics(&run.engine), [("fragile", 1)]);
        let last = &run.fates[run.fates.len() - 3..];
        assert_eq!(last, [Fate::Late, Fate::Quarantined, Fate::Quarantined]);
    }
}
