#![doc = include_str!("README.md")]

mod finding;

use serde::{Deserialize, Serialize};

use self::finding::Count;
use crate::kernel::baseline::{Closed, Day, Profile};
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{Card, Detector, Family, Scope, Severity, Verdict};
use crate::kernel::event::Event;
use crate::kernel::hot::Hour;
use crate::kernel::options::{Calls, Days, Ratio};
use crate::kernel::tails::Expected;
use crate::kernel::time::Span;

/// Far more, or far fewer, calls in an hour or a day than this identity makes.
pub struct ApiVolume {
    config: Config,
}

/// The settings of `api-volume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many times the expected count a window must reach, or fall short of: what is closer is of
    /// no interest.
    pub at_least_times: Ratio,
    /// How many calls above, or below, the expected count a window must be.
    pub at_least_more: Calls,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            at_least_times: Ratio::new(1.5),
            at_least_more: Calls::new(10.0),
            learning: Days::new(14.0),
        }
    }
}

impl Detector for ApiVolume {
    const CARD: Card = Card {
        name: "api-volume",
        summary: "Far more or fewer calls in an hour or a day than this identity makes",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["T1530", "T1119", "NHI7:2025"],
        page: include_str!("README.md"),
    };
    type Config = Config;
    type State = ();

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    /// The count of an open window only grows, so comparing it with the law of the whole window as it
    /// grows costs nothing: the first crossing has exactly the level of the closed window.
    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, (): &()) -> Verdict {
        let (Some(hour), now) = (profile.hour(), profile.now) else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            return Verdict::Learning;
        }
        if now.after >= hour.gate && worth_a_look(now.before, now.after, hour.gate) {
            let count = Count::so_far(hour, event.ts);
            let expected = profile.expected_among_peers(hour, event.ts);
            if let Some(found) = self.burst_of_hour(count, expected, profile) {
                return found;
            }
        }
        let of_day = profile.calls_of_day(hour.day);
        let before = of_day - (now.after - now.before);
        if of_day >= hour.day_gate && worth_a_look(before, of_day, hour.day_gate) {
            let count = Count::of_day(hour.day, of_day);
            let expected = profile.expected_of_day(hour.day, event.ts);
            if let Some(found) = self.burst_of_day(count, expected, profile) {
                return found;
            }
        }
        Verdict::Normal
    }

    /// What the steps of the first look may have skipped; and what is too little, which only shows
    /// when it is over. A window without any call is not too little but silent.
    fn review(&self, over: &Closed, profile: &Profile<'_>, (): &()) -> Verdict {
        let found = match over {
            Closed::Session(_) => None,
            Closed::Hour(hour) => self.review_hour(hour, profile),
            Closed::Day(day) => self.review_day(day, profile),
        };
        found.unwrap_or(Verdict::Normal)
    }
}

impl ApiVolume {
    fn review_hour(&self, hour: &Hour, profile: &Profile<'_>) -> Option<Verdict> {
        if profile.closed.age(hour.end()) < self.config.learning.span() {
            return None;
        }
        let (count, expected) = (Count::of_hour(hour), hour.expected);
        if hour.tally.calls >= hour.gate {
            let expected = profile.expected_among_peers(hour, hour.end());
            return self.burst_of_hour(count, expected, profile);
        }
        let ln_p = self.drop(&count, &expected)?;
        let ln_p = profile.closed.rate.calibrate_drop(ln_p);
        self.verdict(count, expected, ln_p, begins(HOURS_PER_DAY), profile)
    }

    fn review_day(&self, day: &Day, profile: &Profile<'_>) -> Option<Verdict> {
        let baseline = profile.closed;
        if baseline.daily.days() < DAYS_MIN || day.calls == 0 {
            return None;
        }
        let expected = baseline.expected_day(day.number);
        let count = Count::of_day(day.number, day.calls);
        if day.calls as f64 > expected.mean {
            let excused = expected.mean + day.excused;
            let expected = Expected {
                mean: excused,
                ..expected
            };
            return self.burst_of_day(count, expected, profile);
        }
        let ln_p = baseline.daily.calibrate_drop(self.drop(&count, &expected)?);
        self.verdict(count, expected, ln_p, begins(1.0), profile)
    }

    fn burst_of_hour(
        &self,
        count: Count,
        expected: Expected,
        profile: &Profile<'_>,
    ) -> Option<Verdict> {
        let ln_p = profile
            .closed
            .rate
            .calibrate(self.burst(&count, &expected)?);
        self.verdict(count, expected, ln_p, begins(HOURS_PER_DAY), profile)
    }

    fn burst_of_day(
        &self,
        count: Count,
        expected: Expected,
        profile: &Profile<'_>,
    ) -> Option<Verdict> {
        let daily = &profile.closed.daily;
        if daily.days() < DAYS_MIN {
            return None;
        }
        let ln_p = daily.calibrate(self.burst(&count, &expected)?);
        self.verdict(count, expected, ln_p, begins(1.0), profile)
    }

    /// The logarithm of the chance of so many calls, where they are enough to be of interest.
    fn burst(&self, count: &Count, expected: &Expected) -> Option<f64> {
        let (calls, mean) = (count.calls as f64, expected.mean);
        let enough = calls >= self.config.at_least_times.get() * mean
            && calls - mean >= self.config.at_least_more.get();
        enough.then(|| expected.ln_upper(calls))
    }

    /// The logarithm of the chance of so few.
    fn drop(&self, count: &Count, expected: &Expected) -> Option<f64> {
        let (calls, mean) = (count.calls as f64, expected.mean);
        let enough = calls * self.config.at_least_times.get() <= mean
            && mean - calls >= self.config.at_least_more.get();
        enough.then(|| expected.ln_lower(calls))
    }

    fn verdict(
        &self,
        count: Count,
        expected: Expected,
        ln_p: f64,
        begins: f64,
        profile: &Profile<'_>,
    ) -> Option<Verdict> {
        let times = self.config.at_least_times.get();
        (ln_p <= libm::log(begins))
            .then(|| Verdict::found(count.finding(expected, ln_p, begins, times, profile)))
    }
}

/// Whether the tail is worth computing for this step: at the gate, and then whenever the count has
/// grown by a twelfth. Skipping steps can delay a finding, never cause one.
fn worth_a_look(before: u64, after: u64, gate: u64) -> bool {
    if before < gate {
        return true;
    }
    let rung = |count: u64| libm::floor(libm::log(count as f64) / libm::log(STEP));
    rung(before) < rung(after)
}

const STEP: f64 = 1.08;
/// Days before days are judged: each weekday has come four times.
const DAYS_MIN: f64 = 28.0;
const HOURS_PER_DAY: f64 = 24.0;
