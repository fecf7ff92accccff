//! A house of identities with plain habits, and what is wrong in it at last: a log in the order of
//! time, for what must not depend on the order of arrival.

use nhiwatch_detectors::kernel::event::{Class, Count, Event, Outcome};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

use crate::dice::Dice;
use crate::records::START;

/// One event of the house.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) ts: Timestamp,
    pub(crate) uid: String,
    identity: &'static str,
    action: &'static str,
    class: Class,
    outcome: Outcome,
    bytes: Option<f64>,
    count: u64,
    session: String,
}

impl Act {
    pub(crate) fn input(&self) -> Input<'_> {
        Input::Event(Event {
            ts: self.ts,
            uid: Some(&self.uid),
            identity: self.identity,
            action: self.action,
            class: self.class,
            outcome: self.outcome,
            bytes: self.bytes,
            count: Count::new(self.count).unwrap_or_default(),
            session: Some(&self.session),
            ..Event::default()
        })
    }
}

/// Weeks of habit before anything is wrong.
pub(crate) const WEEKS: i64 = 6;

/// Six weeks of habit and one in which an exporter moves fifty times its bytes, an office service is
/// up at night, a reader is in a frenzy, a poller fails and falls silent, a job does not run, and an
/// algorithm sends orders on a Sunday.
pub(crate) fn acts(seed: u64) -> Vec<Act> {
    let mut dice = Dice(seed);
    let mut acts = Vec::new();
    let wrong = START.plus(Span::WEEK.times(WEEKS));
    let mut minute = START;
    while minute < wrong.plus(Span::WEEK) {
        let into = minute.since(wrong);
        let day = minute.since(START).seconds() / 86_400;
        let hour = (minute.since(START).seconds() % 86_400) / 3600;
        let past = (minute.since(START).seconds() % 3600) / 60;
        let working = day % 7 < 5;
        let within = |from: i64, until: i64| (from * 3600..until * 3600).contains(&into.seconds());
        let mut act = |dice: &mut Dice, identity, action, class, bytes: Option<u64>| {
            let ts = minute.plus(Span::from_micros(dice.roll(60_000_000) as i64));
            let failed = identity == "poller" && (within(30, 31) || dice.roll(200) == 0);
            acts.push(Act {
                ts,
                uid: acts.len().to_string(),
                identity,
                action,
                class,
                outcome: if failed { Outcome::Fail } else { Outcome::Ok },
                bytes: bytes.map(|bytes| bytes as f64),
                count: 1 + dice.roll(3),
                session: format!("{identity}-{}", minute.hour() / 2),
            });
        };
        if dice.roll(6) == 0 || within(20, 21) {
            let usual = 1000 + dice.roll(1000);
            let bytes = usual * if within(20, 21) { 50 } else { 1 };
            act(&mut dice, "exporter", "export", Class::Read, Some(bytes));
        }
        let office = working && (8..18).contains(&hour);
        if office && dice.roll(5) == 0 || within(26, 27) && past % 10 == 3 {
            act(&mut dice, "office", "report.read", Class::Read, None);
        }
        let frenzy = within(40, 42);
        for _ in 0..if frenzy { 12 } else { 1 } {
            if frenzy || dice.roll(4) == 0 {
                act(&mut dice, "reader", "page.read", Class::Read, None);
            }
        }
        if past % 5 == 0 && !within(50, 60) {
            act(&mut dice, "poller", "poll", Class::Read, None);
        }
        if hour == 2 && past == 15 && !within(72, 96) {
            act(&mut dice, "job", "rotate", Class::Write, None);
        }
        let trading = working && (9..17).contains(&hour);
        if trading && dice.roll(3) == 0 || within(148, 149) && past % 4 == 1 {
            act(&mut dice, "algo", "order.create", Class::Order, None);
        }
        minute = minute.plus(Span::MINUTE);
    }
    acts.sort_by_key(|act| act.ts);
    acts
}

/// The same acts in an order in which none comes more than `most` after a newer one.
pub(crate) fn shuffled(acts: &[Act], most: Span, seed: u64) -> Vec<Act> {
    let mut dice = Dice(seed);
    let mut arrivals: Vec<(Timestamp, &Act)> = acts
        .iter()
        .map(|act| {
            let delay = Span::from_micros(dice.roll(most.micros() as u64) as i64);
            (act.ts.plus(delay), act)
        })
        .collect();
    arrivals.sort_by_key(|(arrival, _)| *arrival);
    arrivals.into_iter().map(|(_, act)| act.clone()).collect()
}
