#![doc = include_str!("README.md")]

mod chart;
mod habit;

use serde::{Deserialize, Serialize};

use self::chart::{after, ln_evidence};
use self::habit::{Expected, Habit};
use crate::kernel::baseline::{Baseline, Closed, Day, Profile};
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::Event;
use crate::kernel::options::Days;
use crate::kernel::time::Span;

/// Day after day somewhat more, or less, than its days used to bring.
pub struct Drift {
    config: Config,
}

/// The settings of `drift`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long an identity is watched before it is judged.
    pub learning: Days,
    /// How long a shift that was published lasts before it is taken for normal.
    pub accepted_after: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            learning: Days::new(28.0),
            accepted_after: Days::new(14.0),
        }
    }
}

/// The days of an identity, and the evidence that they have changed; at most 100 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    habit: Habit,
    /// Days that are over; the first of them was no whole day.
    days: u16,
    /// How strongly its calls come in batches, as its hours have shown.
    fano: f32,
    /// Where the charts of [`TIMES`] stand.
    levels: [f32; 2],
    shift: Option<Shift>,
}

/// A shift that was published, while it lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shift {
    /// Which chart has told of it.
    chart: u8,
    /// Days it has lasted since.
    days: u16,
    /// How many times as much as expected they have brought, on average.
    times: f32,
}

impl Detector for Drift {
    const CARD: Card = Card {
        name: "drift",
        summary: "Day after day more calls, or fewer, than its days used to bring",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["T1029", "T1030", "NHI7:2025"],
        page: include_str!("README.md"),
    };
    type Config = Config;
    type State = State;

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    /// One event says nothing of a day that is not over.
    fn judge(&self, _event: &Event<'_>, _profile: &Profile<'_>, state: &State) -> Verdict {
        if self.is_learned(state) {
            Verdict::Normal
        } else {
            Verdict::Learning
        }
    }

    /// Adds a day that is over to the charts. A chart speaks on each day that adds to it until it is
    /// published, then on the first, second, fourth and eighth day after: the same shift is told less
    /// and less often.
    fn review(&self, over: &Closed, _profile: &Profile<'_>, state: &State) -> Verdict {
        // What a venue's holiday brings is no shift.
        let Closed::Day(day) = over else {
            return Verdict::Normal;
        };
        if day.free {
            return Verdict::Normal;
        }
        let Some(step) = self.step(day, state) else {
            return Verdict::Normal;
        };
        let Some(chart) = state.speaks(&step) else {
            return Verdict::Normal;
        };
        Verdict::found(self.finding(chart, &step, day, state))
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, state: &mut State) {
        let day = match closed {
            Closed::Hour(hour) => {
                state.fano = hour.expected.fano as f32;
                return;
            }
            Closed::Day(day) if !day.free => day,
            Closed::Day(_) | Closed::Session(_) => return,
        };
        if let Some(step) = self.step(day, state) {
            state.follow(&step, day, self.config.accepted_after.get());
        }
        if state.days > 0 && !day.suspect && state.shift.is_none() {
            let quiet = state
                .levels
                .iter()
                .all(|level| f64::from(*level) < speaks_from());
            state.habit.learn(day, state.fano(), quiet);
        }
        state.days = (state.days + 1).min(DAYS_MAX);
    }
}

/// What a day does to the charts.
struct Step {
    /// What it was expected to bring.
    expected: Expected,
    /// Its evidence, on each chart.
    ln_e: [f64; 2],
    /// Where the charts stand after it.
    levels: [f64; 2],
    /// The logarithm of the chance of that, for a chart that already spoke before as it stood then.
    ln_p: [f64; 2],
}

impl State {
    fn fano(&self) -> f64 {
        f64::from(self.fano).max(1.0)
    }

    /// What `day` does to the charts; nothing while it is not known what such a day brings.
    fn step(&self, day: &Day) -> Option<Step> {
        let fano = self.fano();
        let expected = self.habit.expected(day, fano)?;
        let (mean, calls) = (expected.calls / fano, day.calls as f64 / fano);
        let ln_e = TIMES.map(|times| {
            // That there is nothing at all is for `silence` to say.
            if times < 1.0 && day.calls == 0 {
                0.0
            } else {
                ln_evidence(times, expected.shape, mean, calls)
            }
        });
        let before = self.levels.map(f64::from);
        let levels = [0, 1].map(|at| after(before[at], ln_e[at]));
        // A run counts once, however many days it is found on.
        let ln_p = [0, 1].map(|at| (before[at] - speaks_from()).max(0.0) - levels[at]);
        Some(Step {
            expected,
            ln_e,
            levels,
            ln_p,
        })
    }

    /// The shift that was published and that `chart` has told of.
    fn told(&self, chart: usize) -> Option<&Shift> {
        let shift = self.shift.as_ref();
        shift.filter(|shift| usize::from(shift.chart) == chart)
    }

    /// The chart that has something to say of a day.
    fn speaks(&self, step: &Step) -> Option<usize> {
        (0..TIMES.len()).find(|&chart| {
            let told = self.told(chart);
            step.levels[chart] >= speaks_from()
                && step.ln_e[chart] > 0.0
                && told.is_none_or(|shift| shift.days.is_power_of_two())
        })
    }

    /// Takes over what a day did to the charts, and takes a shift that has lasted for normal.
    fn follow(&mut self, step: &Step, day: &Day, accepted_after: f64) {
        let spoke = self.speaks(step);
        self.levels = step.levels.map(|level| level as f32);
        let on = |chart: usize| step.levels[chart] >= speaks_from();
        self.shift = self.shift.take().filter(|it| on(usize::from(it.chart)));
        if let (true, Some(chart)) = (day.suspect, spoke)
            && self.told(chart).is_none()
        {
            self.shift = Some(Shift {
                chart: chart as u8,
                days: 0,
                times: 1.0,
            });
        }
        let Some(shift) = &mut self.shift else {
            return;
        };
        shift.days = (shift.days + 1).min(DAYS_MAX);
        if step.expected.calls >= 1.0 {
            let off = day.calls as f64 / step.expected.calls - f64::from(shift.times);
            shift.times += (off / f64::from(shift.days)) as f32;
        }
        if f64::from(shift.days) > accepted_after {
            self.habit.shift(f64::from(shift.times));
            self.levels = [0.0; 2];
            self.shift = None;
        }
    }
}

impl Drift {
    fn is_learned(&self, state: &State) -> bool {
        f64::from(state.days) >= self.config.learning.get()
    }

    /// What `day` does to the charts, once the identity is known.
    fn step(&self, day: &Day, state: &State) -> Option<Step> {
        state.step(day).filter(|_| self.is_learned(state))
    }

    fn finding(&self, chart: usize, step: &Step, day: &Day, state: &State) -> Finding {
        let (more, subject) = [
            ("more", "more calls per day"),
            ("fewer", "fewer calls per day"),
        ][chart];
        let (calls, expected, shape) = (day.calls, step.expected.calls, step.expected.shape);
        let times = calls as f64 / expected.max(0.5);
        let fano = state.fano();
        let relative = libm::sqrt(1.0 / shape + fano / expected.max(1.0));
        let (lasted, so_far) = match state.told(chart) {
            Some(shift) => (
                f64::from(shift.days),
                format!(" {:.1} times as many so far.", shift.times),
            ),
            None => (0.0, String::new()),
        };
        let left = libm::ceil(self.config.accepted_after.get() - lasted).max(1.0);
        Finding {
            subject: subject.to_owned(),
            p_value: Some(PValue::from_ln(step.ln_p[chart].min(0.0))),
            begins: begins(TESTS_PER_DAY),
            summary: format!(
                "{more} calls, day after day: {calls} on the last, where such days used to bring about \
                 {expected:.0}"
            ),
            expected: format!(
                "about {expected:.0} calls on such a day of the week, as of two weeks ago (give or take \
                 {:.0})",
                relative * expected
            ),
            observed: format!("{calls} calls on the day, {times:.1} times as many.{so_far}"),
            evidence: evidence([
                ("nats_of_evidence", format!("{:.1}", step.levels[chart])),
                ("nats_of_the_day", format!("{:.1}", step.ln_e[chart])),
                ("days_since_told", format!("{lasted:.0}")),
                ("fano", format!("{fano:.2}")),
                ("scatter_of_days", format!("{:.3}", 1.0 / shape)),
            ]),
            clears: format!(
                "days become what they were; or it goes on: after {left:.0} days more the new level is \
                 taken for normal"
            ),
            severity: None,
            sink: false,
            floor: 0.0,
        }
    }
}

/// The level from which on a chart speaks.
fn speaks_from() -> f64 {
    -libm::log(begins(TESTS_PER_DAY))
}

/// The changes that the two charts look for, in times the rate.
const TIMES: [f64; 2] = [1.5, 0.5];
/// More days than any setting asks for.
const DAYS_MAX: u16 = 400;
/// Each chart is asked once a day, and a run of one comes as far as `ln 200` no more often than once in
/// 200 days.
const TESTS_PER_DAY: f64 = 2.0;

#[cfg(test)]
mod tests {
    use super::*;

    const DAYS: i64 = 70;

    /// A habit of 100 calls a day, then what `calls` says of each day after, where every finding is
    /// published from day `published` on; gives the days on which something was found.
    fn found(calls: impl Fn(i64) -> u64, days: i64, published: i64) -> (Vec<i64>, State) {
        let drift = Drift::new(Config::default(), &Calendars::default());
        let mut state = State::default();
        let mut found = Vec::new();
        for number in 0..DAYS + days {
            let calls = if number < DAYS {
                100
            } else {
                calls(number - DAYS)
            };
            let mut day = Day {
                number,
                calls,
                ..Day::default()
            };
            let step = drift.step(&day, &state);
            if step.is_some_and(|step| state.speaks(&step).is_some()) {
                found.push(number - DAYS);
                day.suspect = number - DAYS >= published;
            }
            drift.learn(&Closed::Day(day), &Baseline::default(), &mut state);
        }
        (found, state)
    }

    #[test]
    fn a_shift_is_told_less_and_less_often_and_then_accepted() {
        let (days, state) = found(|_| 200, 60, 0);
        assert_eq!(days, [2, 3, 4, 6, 10]);
        let after = Day {
            number: DAYS + 60,
            calls: 200,
            ..Day::default()
        };
        let step = state.step(&after).expect("it is known");
        assert!((step.expected.calls - 200.0).abs() < 5.0 && state.speaks(&step).is_none());
    }

    #[test]
    fn what_was_never_published_is_found_again_until_it_is() {
        let (days, _) = found(|_| 200, 9, 5);
        assert_eq!(days, [2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn growth_of_a_twentieth_a_day_is_found_before_it_has_doubled() {
        let grown = |day: i64| 100.0 * libm::pow(1.05, day as f64);
        let (days, _) = found(|day| grown(day) as u64, 20, 0);
        assert!(grown(days[0]) < 170.0, "{days:?}");
    }

    #[test]
    fn the_ends_of_months_and_empty_days_are_no_drift() {
        let great = |day: i64| if day % 30 < 2 { 5_000 } else { 100 };
        let (days, _) = found(great, 200, i64::MAX);
        // Two great days may come as far as where a chart begins to speak, which weighs nothing yet.
        assert!(days.iter().all(|day| day % 30 == 1), "{days:?}");
        let (days, _) = found(|_| 0, 10, 0);
        assert!(days.is_empty(), "{days:?}");
    }

    #[test]
    fn its_state_takes_no_more_than_a_hundred_bytes() {
        let (_, state) = found(|_| 1_000_000_000, 12, 0);
        assert!(state.shift.is_some());
        let state = State {
            days: DAYS_MAX,
            ..state
        };
        let bytes = postcard::to_allocvec(&state).expect("it can be written");
        assert!(bytes.len() <= 100, "{}", bytes.len());
    }
}
