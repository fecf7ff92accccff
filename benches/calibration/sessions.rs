//! Identities that make sessions by a law that never changes, and what `tool-chain` finds new of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::Span;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::watch::{MONDAY, UNSCORED, WEEKS};

/// How an identity puts its sessions together.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Habit {
    Recipes,
    RareErrors,
    Varied,
    Free,
    Walk,
    Explores,
    Pays,
}

impl Habit {
    pub(crate) const ALL: [Self; 7] = [
        Self::Recipes,
        Self::RareErrors,
        Self::Varied,
        Self::Free,
        Self::Walk,
        Self::Explores,
        Self::Pays,
    ];

    /// What it is called in the report.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Recipes => "four recipes, nothing else",
            Self::RareErrors => "four recipes, one call in 500 followed by one of six error paths",
            Self::Varied => {
                "four recipes, one session in twenty with a call left out, repeated or exchanged"
            }
            Self::Free => "eight calls in any order",
            Self::Walk => "a Markov chain of twelve calls, each followed by any, mostly by three",
            Self::Explores => "an urn: the more it has done, the seldomer a call is new",
            Self::Pays => "two recipes that end in a payment to one of sixty payees, some rare",
        }
    }
}

/// Sessions that were judged, and the smallest p-value of each in which something was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) sessions: u64,
    pub(crate) found: Vec<f64>,
}

/// What is seen of so many identities `of_each` habit, made from `seed`.
pub(crate) fn watch(seed: u64, of_each: u64) -> BTreeMap<Habit, Judged> {
    let mut seen = BTreeMap::new();
    for (nth, habit) in (0..).zip(Habit::ALL) {
        let judged: &mut Judged = seen.entry(habit).or_default();
        for number in 0..of_each {
            let dice = ChaCha8Rng::seed_from_u64(seed << 20 | number << 4 | nth);
            one(habit, dice, judged);
        }
    }
    seen
}

/// Lets one identity make some twenty sessions a day, round the clock.
fn one(habit: Habit, mut dice: ChaCha8Rng, judged: &mut Judged) {
    let mut engine = Engine::new(0, Arc::default());
    engine.keep_sightings();
    let mut law = Law::new(habit, &mut dice);
    let mut alerts = Vec::new();
    let scored = MONDAY.plus(Span::WEEK.times(i64::from(UNSCORED)));
    let end = MONDAY.plus(Span::WEEK.times(i64::from(WEEKS)));
    let mut at = MONDAY;
    while at < end {
        let name = at.rfc3339();
        for (nth, (call, payee)) in (0..).zip(law.session(&mut dice)) {
            let event = Event {
                ts: at.plus(Span::from_seconds(5 * nth)),
                identity: "null",
                kind: Kind::AiAgent,
                action: &format!("tool:{call}"),
                class: Class::Tool,
                resource: payee.as_deref(),
                session: Some(&name),
                ..Event::default()
            };
            engine.handle(&Input::Event(event), &mut alerts);
        }
        alerts.clear();
        let found = engine.take_sightings();
        let own = found.iter().filter(|it| it.detector == "tool-chain");
        let least = own.filter_map(|it| it.finding.p_value).map(|p| p.get());
        let least = least.fold(1.0, f64::min);
        if at >= scored {
            judged.sessions += 1;
            judged.found.extend((least < 1.0).then_some(least));
        }
        at = at.plus(gap(&mut dice));
    }
}

/// Some time, an hour and a quarter on average, and never less than five minutes.
fn gap(dice: &mut ChaCha8Rng) -> Span {
    let seconds = 300.0 - 4_200.0 * dice.random::<f64>().max(1e-12).ln();
    Span::from_seconds(seconds as i64)
}

/// A call by its number, and to whom it is made.
type Call = (usize, Option<String>);

/// How sessions are put together.
struct Law {
    habit: Habit,
    recipes: Vec<Vec<usize>>,
    /// Of a Markov chain: how probable each call is after each.
    rows: Vec<Vec<f64>>,
    /// Of an urn: how often each call was made.
    urn: Vec<u32>,
}

impl Law {
    fn new(habit: Habit, dice: &mut ChaCha8Rng) -> Self {
        let recipes = (0..4).map(|_| {
            let length = dice.random_range(3..7);
            (0..length).map(|_| dice.random_range(0..10)).collect()
        });
        let recipes = recipes.collect();
        let rows = (0..12).map(|_| {
            let row = (0..12).map(|_| dice.random::<f64>().powi(6));
            row.collect()
        });
        Self {
            habit,
            recipes,
            rows: rows.collect(),
            urn: Vec::new(),
        }
    }

    fn session(&mut self, dice: &mut ChaCha8Rng) -> Vec<Call> {
        let plain = |calls: Vec<usize>| calls.into_iter().map(|call| (call, None)).collect();
        match self.habit {
            Habit::Recipes => plain(self.recipe(4, dice)),
            Habit::RareErrors => {
                let calls = self.recipe(4, dice).into_iter();
                plain(
                    calls
                        .flat_map(|call| {
                            let error = dice.random::<f64>() < 0.002;
                            let path = error.then(|| 20 + zipf(6, dice));
                            [call].into_iter().chain(path)
                        })
                        .collect(),
                )
            }
            Habit::Varied => {
                let mut calls = self.recipe(4, dice);
                if dice.random::<f64>() < 0.05 {
                    let at = dice.random_range(0..calls.len() - 1);
                    match dice.random_range(0..3) {
                        0 => drop(calls.remove(at)),
                        1 => calls.insert(at, calls[at]),
                        _ => calls.swap(at, at + 1),
                    }
                }
                plain(calls)
            }
            Habit::Free => plain((0..5).map(|_| zipf(8, dice)).collect()),
            Habit::Walk => {
                let mut call = 0;
                let steps = (0..6).map(|_| {
                    call = weighed(&self.rows[call], dice);
                    call
                });
                plain(steps.collect())
            }
            Habit::Explores => plain((0..4).map(|_| self.drawn(dice)).collect()),
            Habit::Pays => {
                let calls = self.recipe(2, dice);
                let payee = format!("acct-{}", zipf(60, dice));
                let calls = calls.into_iter().map(|call| (call, None));
                calls.chain([(30, Some(payee))]).collect()
            }
        }
    }

    fn recipe(&self, of: usize, dice: &mut ChaCha8Rng) -> Vec<usize> {
        self.recipes[zipf(of, dice)].clone()
    }

    /// A call from an urn into which each goes back with another of its kind (Hoppe 1984), five new to begin
    /// with.
    fn drawn(&mut self, dice: &mut ChaCha8Rng) -> usize {
        let total: u32 = self.urn.iter().sum();
        let mut ball = dice.random::<f64>() * (f64::from(total) + 5.0);
        for (call, times) in self.urn.iter_mut().enumerate() {
            ball -= f64::from(*times);
            if ball < 0.0 {
                *times += 1;
                return call;
            }
        }
        self.urn.push(1);
        self.urn.len() - 1
    }
}

/// One of so many, the n-th `1/n` times as probable as the first.
fn zipf(of: usize, dice: &mut ChaCha8Rng) -> usize {
    let weights: Vec<f64> = (1..=of).map(|n| 1.0 / n as f64).collect();
    weighed(&weights, dice)
}

fn weighed(weights: &[f64], dice: &mut ChaCha8Rng) -> usize {
    let mut left = dice.random::<f64>() * weights.iter().sum::<f64>();
    for (at, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return at;
        }
    }
    weights.len() - 1
}
