#![doc = include_str!("README.md")]

mod breadth;
mod finding;
mod newcomer;

use serde::{Deserialize, Serialize};

use self::breadth::Breadth;
use self::finding::Count;
use crate::kernel::baseline::{Baseline, Closed, Day, Profile};
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{Card, Detector, Family, Finding, Scope, Severity, Verdict};
use crate::kernel::event::Event;
use crate::kernel::growth::worth_a_look;
use crate::kernel::hot::Hour;
use crate::kernel::options::{Calls, Days, Ratio, Resources};
use crate::kernel::tails::Expected;
use crate::kernel::time::{HOURS_PER_DAY, Span, Timestamp};

/// Far more, or far fewer, calls in a minute, an hour or a day than this identity makes, or far more
/// different resources in them.
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
    /// How many more different resources than usual an hour must touch.
    pub at_least_resources: Resources,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            at_least_times: Ratio::new(1.5),
            at_least_more: Calls::new(10.0),
            at_least_resources: Resources::new(20.0),
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
    type State = Breadth;

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    /// The count of an open window only grows, so comparing it with the law of the whole window as it
    /// grows costs nothing: the first crossing has exactly the level of the closed window.
    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, breadth: &Breadth) -> Verdict {
        let (Some(hour), now) = (profile.hour(), profile.now) else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            let found = newcomer::judge(hour, now.before, &self.config, profile);
            return found.map_or(Verdict::Learning, Verdict::found);
        }
        if grown(now.before, now.after, hour.gate) {
            let count = Count::so_far(hour, event.ts);
            let expected = profile.expected_among_peers(hour, event.ts);
            if let Some(found) = self.burst_of_hour(count, expected, profile) {
                return Verdict::found(found);
            }
        }
        // A minute of an hour that something was published about is no more news.
        if let Some((minute, before, after)) = now.minute
            && !hour.suspect
            && grown(before, after, hour.minute_gate)
            && let Some(found) = self.burst_of_minute(hour, minute, event.ts, profile)
        {
            return Verdict::found(found);
        }
        let of_day = profile.calls_of_day(hour.day);
        let before = of_day - (now.after - now.before);
        if grown(before, of_day, hour.day_gate) {
            let count = Count::of_day(hour.day, of_day);
            let expected = profile.expected_of_day(hour.day, event.ts);
            if let Some(found) = self.burst_of_day(count, expected, profile) {
                return Verdict::found(found);
            }
        }
        let before = || hour.tally.resources.estimate_before();
        let found = now
            .new_resource
            .then(|| breadth.judge(hour, before(), &self.config, profile));
        verdict(found.flatten())
    }

    /// What the steps of the first look may have skipped, the heaviest of it; and what is too little,
    /// which only shows when it is over. A window without any call is not too little but silent.
    fn review(&self, over: &Closed, profile: &Profile<'_>, breadth: &Breadth) -> Verdict {
        let found = match over {
            Closed::Session(_) => None,
            Closed::Hour(hour) => self.review_hour(hour, breadth, profile),
            Closed::Day(day) => self.review_day(day, profile),
        };
        verdict(found)
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, breadth: &mut Breadth) {
        breadth.learn(closed, &self.config);
    }
}

impl ApiVolume {
    fn review_hour(
        &self,
        hour: &Hour,
        breadth: &Breadth,
        profile: &Profile<'_>,
    ) -> Option<Finding> {
        if profile.closed.age(hour.end()) < self.config.learning.span() {
            return newcomer::judge(hour, 0, &self.config, profile);
        }
        let calls = if hour.tally.calls >= hour.gate {
            let expected = profile.expected_among_peers(hour, hour.end());
            self.burst_of_hour(Count::of_hour(hour), expected, profile)
        } else {
            self.drop_of_hour(hour, profile)
        };
        let breadth = breadth.judge(hour, 0.0, &self.config, profile);
        [calls, self.fullest_minute(hour, profile), breadth]
            .into_iter()
            .flatten()
            .max_by(|one, other| weight(one).total_cmp(&weight(other)))
    }

    fn drop_of_hour(&self, hour: &Hour, profile: &Profile<'_>) -> Option<Finding> {
        if profile.closed.is_free(hour.day) {
            return None;
        }
        let (count, expected) = (Count::of_hour(hour), hour.expected);
        let ln_p = self.drop(&count, &expected)?;
        let ln_p = profile.closed.rate.calibrate_drop(ln_p);
        self.found(count, expected, ln_p, begins(HOURS_PER_DAY), profile)
    }

    fn fullest_minute(&self, hour: &Hour, profile: &Profile<'_>) -> Option<Finding> {
        let minutes = hour.minutes.iter().enumerate();
        let (minute, calls) = minutes.max_by_key(|(_, calls)| **calls)?;
        (u32::from(*calls) >= hour.minute_gate)
            .then(|| self.burst_of_minute(hour, minute, hour.end(), profile))
            .flatten()
    }

    fn review_day(&self, day: &Day, profile: &Profile<'_>) -> Option<Finding> {
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
        if day.free {
            return None;
        }
        let ln_p = baseline.daily.calibrate_drop(self.drop(&count, &expected)?);
        self.found(count, expected, ln_p, begins(1.0), profile)
    }

    fn burst_of_hour(
        &self,
        count: Count,
        expected: Expected,
        profile: &Profile<'_>,
    ) -> Option<Finding> {
        let ln_p = profile
            .closed
            .rate
            .calibrate(self.burst(&count, &expected)?);
        self.found(count, expected, ln_p, begins(HOURS_PER_DAY), profile)
    }

    fn burst_of_minute(
        &self,
        hour: &Hour,
        minute: usize,
        now: Timestamp,
        profile: &Profile<'_>,
    ) -> Option<Finding> {
        let count = Count::of_minute(hour, minute)?;
        if (count.calls as f64) < self.config.at_least_more.get() {
            return None;
        }
        let expected = profile.expected_of_minute(hour, minute, now)?;
        let minutes = profile.closed.minutes.as_ref()?;
        let ln_p = minutes.calibrate(self.burst(&count, &expected)?);
        self.found(count, expected, ln_p, begins(MINUTES_PER_DAY), profile)
    }

    fn burst_of_day(
        &self,
        count: Count,
        expected: Expected,
        profile: &Profile<'_>,
    ) -> Option<Finding> {
        let daily = &profile.closed.daily;
        if daily.days() < DAYS_MIN {
            return None;
        }
        let ln_p = daily.calibrate(self.burst(&count, &expected)?);
        self.found(count, expected, ln_p, begins(1.0), profile)
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

    fn found(
        &self,
        count: Count,
        expected: Expected,
        ln_p: f64,
        begins: f64,
        profile: &Profile<'_>,
    ) -> Option<Finding> {
        let times = self.config.at_least_times.get();
        (ln_p <= libm::log(begins)).then(|| count.finding(expected, ln_p, begins, times, profile))
    }
}

fn verdict(found: Option<Finding>) -> Verdict {
    found.map_or(Verdict::Normal, Verdict::found)
}

fn weight(finding: &Finding) -> f64 {
    finding.weight().unwrap_or(0.0)
}

/// Whether a count that has grown so is worth a look; see [`worth_a_look`].
fn grown(before: impl Into<u64>, after: impl Into<u64>, gate: impl Into<u64>) -> bool {
    let [before, after, gate] = [before.into(), after.into(), gate.into()];
    after >= gate && worth_a_look(before as f64, after as f64, gate as f64)
}

/// Days before days are judged: each weekday has come four times.
const DAYS_MIN: f64 = 28.0;
const MINUTES_PER_DAY: f64 = 1440.0;
