//! Chains are told by when their steps happened, in whatever order these come.

use std::collections::BTreeSet;

use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::records::{START, engine};
use nhiwatch_detectors::kernel::engine::Limits;

/// What agents do all the time: they answer tickets, look after a secret, send mails, and answer customers who filled in a
/// form. What they send carries nothing that is private but what strangers wrote beside it.
const RECIPES: [&[&str]; 6] = [
    &["read", "find", "draft", "send"],
    &["read", "file", "close"],
    &["list", "find", "note", "send", "close"],
    &["look after", SECRET],
    &["report", MAIL],
    &[FORM, CUSTOMER, MAIL],
];
const FORM: &str = "form.get";
const CUSTOMER: &str = "customer.get";
const SECRET: &str = "vault.get";
const MAIL: &str = "mail.send";
/// What is secret leaves the house, by calls of which each is known.
const LEAK: &[&str] = &["look after", SECRET, MAIL];
/// Known calls in a session that goes as none did.
const STRAY: &[&str] = &["read", "find", "note", "send"];
const AGENTS: usize = 5;
const DAYS: i64 = 60;
/// The day on which every other agent leaks what is secret, and the rest stray.
const WRONG: i64 = 58;

struct Step {
    ts: Timestamp,
    agent: usize,
    session: i64,
    action: &'static str,
}

/// A session an hour of each agent, in the order of time.
fn steps() -> Vec<Step> {
    let (mut dice, mut steps) = (Dice(3), Vec::new());
    for agent in 0..AGENTS {
        for session in 0..DAYS * 24 {
            let into = Span::SECOND.times(dice.roll(1200) as i64);
            let mut ts = START.plus(Span::HOUR.times(session)).plus(into);
            let usual = RECIPES[dice.roll(RECIPES.len() as u64) as usize];
            let recipe = match (session == WRONG * 24, agent % 2) {
                (false, _) => usual,
                (true, 0) => LEAK,
                (true, _) => STRAY,
            };
            for action in recipe {
                ts = ts.plus(Span::from_micros(200_000 + dice.roll(10_000_000) as i64));
                steps.push(Step {
                    ts,
                    agent,
                    session,
                    action,
                });
            }
        }
    }
    steps.sort_by_key(|step| step.ts);
    steps
}

/// What `tool-chain` finds, of whom and in which hour, where each step from day `since` on comes up to `most` late.
fn found(most: Span, since: i64) -> BTreeSet<(String, i64, String)> {
    let (steps, mut dice) = (steps(), Dice(4));
    let mut arrivals: Vec<(Timestamp, &Step)> = steps
        .iter()
        .map(|step| {
            let late = match step.session >= since * 24 {
                true => Span::from_micros(dice.roll(most.micros() as u64 + 1) as i64),
                false => Span::from_micros(0),
            };
            (step.ts.plus(late), step)
        })
        .collect();
    arrivals.sort_by_key(|(arrival, _)| *arrival);
    let mut engine = engine(Limits::default());
    engine.keep_sightings();
    for (_, step) in arrivals {
        let (identity, session) = (format!("agent-{}", step.agent), step.session.to_string());
        let (class, resource_class) = match step.action {
            SECRET => (Class::Read, Some("secrets")),
            CUSTOMER => (Class::Read, Some("customer_pii")),
            FORM => (Class::Read, Some("external")),
            MAIL => (Class::Write, Some("external")),
            _ => (Class::Tool, None),
        };
        let event = Event {
            ts: step.ts,
            identity: &identity,
            kind: Kind::AiAgent,
            action: step.action,
            class,
            resource_class,
            session: Some(&session),
            ..Event::default()
        };
        engine.handle(&Input::Event(event), &mut Vec::new());
    }
    let found = engine.take_sightings().into_iter();
    let chains = found.filter(|it| it.detector == "tool-chain");
    // What is secret and goes outside weighs no less for being told of when its session has ended.
    let chains = chains.inspect(|it| {
        let carried = it.finding.summary.contains("sensitive > ");
        assert!(!carried || it.finding.weight() >= Some(10.0), "{it:?}");
    });
    chains
        .map(|it| (it.identity, it.ts.hour(), it.finding.summary))
        .collect()
}

#[test]
fn steps_that_come_out_of_order_make_the_chain_that_they_made() {
    let wrong = START.plus(Span::DAY.times(WRONG)).hour();
    let of = |found: &BTreeSet<(String, i64, String)>, what: &str| -> Vec<String> {
        let told = found.iter().filter(|(.., summary)| summary.contains(what));
        let who: BTreeSet<String> = told.map(|(identity, ..)| identity.clone()).collect();
        who.into_iter().collect()
    };
    let (leaks, strays) = (["agent-0", "agent-2", "agent-4"], ["agent-1", "agent-3"]);
    for most in [0, 1, 5, 30, 120] {
        let found = found(Span::SECOND.times(most), 0);
        assert!(
            found.iter().all(|(_, hour, _)| *hour == wrong),
            "{most} s: {found:?}"
        );
        assert_eq!(of(&found, "never carried"), leaks, "{most} s");
        assert_eq!(of(&found, "as none did"), strays, "{most} s");
    }
}

#[test]
fn a_log_that_gets_out_of_order_is_told_of_once_at_the_most() {
    let wrong = START.plus(Span::DAY.times(WRONG)).hour();
    for most in [1, 5, 30, 120] {
        let found = found(Span::SECOND.times(most), 40);
        let in_vain = found.iter().filter(|(_, hour, _)| *hour != wrong);
        let sessions: BTreeSet<_> = in_vain.map(|(who, hour, _)| (who, hour)).collect();
        let agents: BTreeSet<_> = sessions.iter().map(|(who, _)| who).collect();
        assert_eq!(sessions.len(), agents.len(), "{most} s: {sessions:?}");
    }
}
