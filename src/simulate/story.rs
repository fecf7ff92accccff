//! What a scenario did to an identity, told by running the bank with it and without: for tests.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::tests::parsed;
use super::{Bank, Events, Label, Plan};

/// All events of one identity, as objects of the event schema.
fn history(bank: &Bank, identity: &str) -> Vec<Value> {
    let mut only = Events {
        bank,
        identities: bank.identities.clone(),
        injected: 0,
        day: 0,
        ready: VecDeque::new(),
        later: Vec::new(),
    };
    only.identities.retain(|who| who.name == identity);
    let own = only.filter(|line| line.identity == identity);
    own.map(|line| parsed(&line)).collect()
}

pub(super) fn at(event: &Value) -> DateTime<Utc> {
    let text = event["ts"].as_str().unwrap();
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// What a scenario did to one identity.
pub(super) struct Story {
    pub(super) label: Label,
    /// Everything it would have done in peace.
    pub(super) before: Vec<Value>,
    /// Everything it did.
    pub(super) after: Vec<Value>,
    /// What only happened because of the scenario.
    pub(super) added: Vec<Value>,
    /// What did not happen because of it.
    pub(super) gone: Vec<Value>,
}

/// The stories of all labels of `scenario` in the run of `plan`.
pub(super) fn stories(plan: &Plan, scenario: &str) -> Vec<Story> {
    stories_of(plan, |label| label.scenario == scenario)
}

pub(super) fn stories_of(plan: &Plan, wanted: impl Fn(&Label) -> bool) -> Vec<Story> {
    let war = Plan {
        native: true,
        ..plan.clone()
    };
    let peace = Plan {
        attacks: Vec::new(),
        nuisances: Vec::new(),
        ..war.clone()
    };
    let (war, peace) = (Bank::new(&war).unwrap(), Bank::new(&peace).unwrap());
    let mut labels = war.labels();
    labels.retain(wanted);
    let stories = labels.into_iter().map(|label| {
        let before = history(&peace, &label.identity);
        let after = history(&war, &label.identity);
        let uid = |event: &Value| event["uid"].as_str().unwrap().to_owned();
        let less = |these: &[Value], those: &[Value]| {
            let those: BTreeSet<_> = those.iter().map(uid).collect();
            let these = these.iter().filter(|event| !those.contains(&uid(event)));
            these.cloned().collect::<Vec<_>>()
        };
        Story {
            added: less(&after, &before),
            gone: less(&before, &after),
            label,
            before,
            after,
        }
    });
    stories.collect()
}

impl Story {
    /// What happened while it was labelled.
    pub(super) fn inside(&self) -> impl Iterator<Item = &Value> {
        let span = self.label.from..=self.label.to;
        let events = self.after.iter();
        events.filter(move |event| span.contains(&at(event)))
    }

    /// The different values of `field` before the label.
    pub(super) fn known(&self, field: &str) -> BTreeSet<&str> {
        let early = self
            .before
            .iter()
            .filter(|event| at(event) < self.label.from);
        early.map(|event| event[field].as_str().unwrap()).collect()
    }
}

/// The different values of `field`.
pub(super) fn values<'a>(
    events: impl IntoIterator<Item = &'a Value>,
    field: &str,
) -> BTreeSet<&'a str> {
    let events = events.into_iter();
    events.map(|event| event[field].as_str().unwrap()).collect()
}
