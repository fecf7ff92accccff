#![doc = include_str!("README.md")]

mod cadence;
#[cfg(test)]
mod null;
mod wait;
mod week;

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::{Baseline, Closed, Profile};
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Evidence, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::Event;
use crate::kernel::options::{Days, Minutes};
use crate::kernel::time::{Span, Timestamp};
use cadence::{Cadence, Stray};
use wait::Edges;
use week::Week;

/// Silent for longer than this identity is, a run that does not come, or one at another time.
pub struct Silence {
    config: Config,
}

/// The settings of `silence`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a silence must last: what is shorter is of no interest.
    pub at_least: Minutes,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            at_least: Minutes::new(15.0),
            learning: Days::new(14.0),
        }
    }
}

/// What it remembers of one identity, about 115 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    week: Week,
    cadence: Cadence,
    edges: Edges,
}

impl Detector for Silence {
    const CARD: Card = Card {
        name: "silence",
        summary: "Silent for longer than it ever is, or runs at another time than it does",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["T1489", "T1685.002"],
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

    /// A run that begins at another time than it should.
    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, state: &State) -> Verdict {
        let Some(hour) = profile.hour() else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            return Verdict::Learning;
        }
        if !profile.now.first {
            return Verdict::Normal;
        }
        let rest = state.week.rest();
        let on_rest = rest.has(profile.closed.day_of(hour.start));
        let State { cadence, .. } = state;
        let begins = begins(cadence.per_day(rest));
        match cadence.stray(
            event.ts,
            hour.start,
            profile.open(),
            on_rest,
            profile.closed,
        ) {
            Some(stray) if stray.p <= begins => {
                Verdict::found(astray(&stray, begins, event, profile, cadence))
            }
            _ => Verdict::Normal,
        }
    }

    fn learn(&self, closed: &Closed, baseline: &Baseline, state: &mut State) {
        match closed {
            Closed::Day(day) => {
                let rest = state.week.rest();
                if rest.has(day.number) && day.calls == 0 {
                    state.cadence.rest();
                }
                state.week.learn(day);
                if state.week.rest() != rest {
                    state.cadence.doubt();
                }
            }
            Closed::Hour(hour) => {
                if !hour.suspect {
                    state.edges.learn(hour);
                }
                // When runs begin is noted in any case; another time becomes normal after a week.
                state.cadence.learn(hour, &state.week, baseline);
            }
            Closed::Session(_) => {}
        }
    }

    fn story(&self, profile: &Profile<'_>, state: &State) -> Evidence {
        let mut story = Evidence::new();
        if state.cadence.is_established() {
            let (period, tolerance) = (state.cadence.period(), state.cadence.tolerance());
            let text = format!("a run every {period}, on time within {tolerance:.0} s");
            story.push(("cadence".into(), text));
        }
        if let Some(deadline) = self.deadline(profile, state) {
            story.push(("missed_from".into(), deadline.rfc3339()));
        }
        story
    }

    fn deadline(&self, profile: &Profile<'_>, state: &State) -> Option<Timestamp> {
        self.untold(profile, state)
    }

    fn wake(&self, now: Timestamp, profile: &Profile<'_>, state: &State) -> Verdict {
        let strange = [run_missed(now, profile, state), silent(now, profile, state)];
        let bits = |finding: &Finding| finding.weight().unwrap_or(0.0);
        let heavier = |a: &Finding, b: &Finding| bits(a).total_cmp(&bits(b));
        match strange.into_iter().flatten().max_by(heavier) {
            Some(finding) if self.untold(profile, state).is_some_and(|at| at <= now) => {
                Verdict::found(finding)
            }
            _ => Verdict::Normal,
        }
    }
}

impl Silence {
    /// When the silence at hand is next worth telling, by whichever test says so first: once when it
    /// begins to be strange, and once when it has become so by [`CERTAIN`] bits; then no more.
    fn untold(&self, profile: &Profile<'_>, state: &State) -> Option<Timestamp> {
        let last = state.cadence.last(profile.open())?;
        if profile.closed.age(last) < self.config.learning.span() {
            return None;
        }
        let told = profile.hot.told;
        [0.0, CERTAIN]
            .into_iter()
            .filter_map(|bits| self.strange_by(bits, last, profile, state))
            .find(|at| told.is_none_or(|told| *at > told))
    }

    /// When the silence since `last` is `bits` stranger than where a test begins to speak.
    fn strange_by(
        &self,
        bits: f64,
        last: Timestamp,
        profile: &Profile<'_>,
        state: &State,
    ) -> Option<Timestamp> {
        let State {
            week,
            cadence,
            edges,
        } = state;
        let ln_p = |begins: f64| libm::log(begins) - bits * std::f64::consts::LN_2;
        let (baseline, rest) = (profile.closed, week.rest());
        let run = cadence.missed_by(
            ln_p(begins(cadence.per_day(rest))),
            profile.open(),
            rest,
            baseline,
        );
        let speaks = wait::speaks(last, baseline, week);
        let silent = wait::until(ln_p(speaks), last, run, (baseline, week, *edges));
        let at_least = last.plus(self.config.at_least.span());
        let silent = silent.map(|at| at.max(at_least));
        [run, silent].into_iter().flatten().min()
    }
}

/// The finding of runs that have not come.
fn run_missed(now: Timestamp, profile: &Profile<'_>, state: &State) -> Option<Finding> {
    let State { week, cadence, .. } = state;
    let rest = week.rest();
    let runs = cadence.missed(now, profile.open(), rest, profile.closed);
    let p = PValue::from_ln(runs * libm::log(cadence.miss()));
    let begins = begins(cadence.per_day(rest));
    if p.get() > begins {
        return None;
    }
    let zone = profile.zone();
    let run = cadence.run(profile.open())?.wall_clock(zone);
    let (period, miss) = (cadence.period(), cadence.miss());
    Some(Finding {
        subject: "schedule".to_owned(),
        p_value: Some(p),
        begins,
        summary: format!("{runs:.0} runs in a row did not come; the last began on {run}"),
        expected: format!("a run every {period} on days it works"),
        observed: format!("none since {run} {zone}"),
        evidence: evidence([
            ("runs_missed", format!("{runs:.0}")),
            ("period", period.to_string()),
            ("miss_rate", format!("{miss:.4}")),
        ]),
        clears: "the next run comes".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    })
}

/// The finding of a silence between calls that come often.
fn silent(now: Timestamp, profile: &Profile<'_>, state: &State) -> Option<Finding> {
    let State {
        week,
        cadence,
        edges,
    } = state;
    let last = cadence.last(profile.open())?;
    let (ln_p, calls) = wait::missed(last, now, (profile.closed, week, *edges));
    let begins = wait::speaks(last, profile.closed, week);
    if ln_p > libm::log(begins) {
        return None;
    }
    let zone = profile.zone();
    let since = last.wall_clock(zone);
    let hour = profile.closed.expected(last.hour());
    Some(Finding {
        subject: "schedule".to_owned(),
        p_value: Some(PValue::from_ln(ln_p)),
        begins,
        summary: format!(
            "silent for {} since {since}, where about {calls:.0} calls come",
            now.since(last)
        ),
        expected: format!("about {calls:.0} calls since {since} {zone}"),
        observed: "none".to_owned(),
        evidence: evidence([
            ("last_event", last.rfc3339()),
            ("fano", format!("{:.2}", hour.fano)),
            ("spread", format!("{:.3}", hour.spread)),
        ]),
        clears: "it calls again".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    })
}

/// The finding of a run at another time than it should be.
fn astray(
    stray: &Stray,
    begins: f64,
    event: &Event<'_>,
    profile: &Profile<'_>,
    cadence: &Cadence,
) -> Finding {
    let zone = profile.zone();
    let at = event.ts.wall_clock(zone);
    let off = Span::from_seconds(stray.seconds as i64);
    let how = if stray.rest {
        "on a day it does not run".to_owned()
    } else if stray.seconds < 0.0 {
        format!("{} before its time", Span::from_micros(-off.micros()))
    } else {
        format!("{off} after its time")
    };
    let due = event.ts.minus(off);
    let give = Span::from_seconds(cadence.tolerance() as i64);
    Finding {
        subject: "schedule".to_owned(),
        p_value: Some(PValue::new(stray.p)),
        begins,
        summary: format!("a run began on {at}, {how}: an extra one, or the schedule moved"),
        expected: format!(
            "a run every {}, as at {} {zone} (give or take {give})",
            cadence.period(),
            due.wall_clock(zone),
        ),
        observed: format!("{} at {at}", event.action),
        evidence: evidence([
            ("period", cadence.period().to_string()),
            ("off_by", off.to_string()),
        ]),
        clears: "runs keep the new time for a week, or return to the old one".to_owned(),
        severity: None,
        sink: event.is_sink(),
        floor: 0.0,
    }
}

/// By how many bits stranger a silence is told a second time.
const CERTAIN: f64 = 8.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::baseline::Day;
    use crate::kernel::codec;
    use crate::kernel::hot::Hour;
    use crate::kernel::tails::Expected;
    use crate::kernel::tally::Tally;

    #[test]
    fn what_is_remembered_stays_below_150_bytes() {
        let detector = Silence::new(Config::default(), &Calendars::default());
        let mut state = State::default();
        for hour in 500_000..504_000_i64 {
            if hour % 7 < 3 {
                let first = Timestamp::from_hour(hour).plus(Span::MINUTE.times(hour % 50));
                let tally = Tally {
                    calls: 40,
                    first,
                    last: first.plus(Span::MINUTE),
                    ..Tally::default()
                };
                let expected = Expected {
                    mean: 40.0,
                    fano: 1.0,
                    spread: 0.1,
                    evidence: 100.0,
                };
                let closed = Hour {
                    start: hour,
                    tally,
                    suspect: false,
                    expected,
                    gate: 1,
                    day: hour.div_euclid(24),
                    day_gate: 1,
                    minutes: Vec::new(),
                    minute_gate: 0,
                };
                detector.learn(&Closed::Hour(closed), &Baseline::default(), &mut state);
            }
            if hour % 24 == 23 {
                detector.learn(
                    &Closed::Day(Day::new(hour / 24)),
                    &Baseline::default(),
                    &mut state,
                );
            }
        }
        let mut bytes = Vec::new();
        codec::encode(&state, &mut bytes);
        assert!((100..=150).contains(&bytes.len()), "{}", bytes.len());
    }
}
