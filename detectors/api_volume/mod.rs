#![doc = include_str!("README.md")]

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Profile;
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::Event;
use crate::kernel::options::{Calls, Days, Ratio};
use crate::kernel::time::{Span, Timestamp};

/// Far more calls in an hour than this identity makes in such an hour.
pub struct ApiVolume {
    config: Config,
}

/// The settings of `api-volume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many times the expected count an hour must reach: what is smaller is of no interest.
    pub at_least_times: Ratio,
    /// How many calls above the expected count an hour must reach.
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
        summary: "Far more calls in an hour than this identity makes in such an hour",
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

    /// The count of an open hour only grows, so comparing it with the law of the whole hour as it
    /// grows costs nothing: the first crossing has exactly the level of the closed hour.
    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, (): &()) -> Verdict {
        let (Some(hour), now) = (profile.hour(), profile.now) else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            return Verdict::Learning;
        }
        if now.after < hour.gate || !worth_a_look(now.before, now.after, hour.gate) {
            return Verdict::Normal;
        }
        let (calls, expected) = (now.after as f64, hour.expected);
        let ln_p = profile.closed.rate.calibrate(expected.ln_upper(calls));
        let begins = begins(HOURS_PER_DAY);
        if ln_p > libm::log(begins)
            || calls < self.config.at_least_times.get() * expected.mean
            || calls - expected.mean < self.config.at_least_more.get()
        {
            return Verdict::Normal;
        }
        let zone = profile.zone();
        let cell = Timestamp::from_hour(hour.start).hour_of_week(zone);
        let deviation = libm::sqrt(expected.variance());
        let minutes = event.ts.since(Timestamp::from_hour(hour.start)).seconds() / 60;
        Verdict::Anomalous(Finding {
            subject: "calls per hour".to_owned(),
            p_value: Some(PValue::from_ln(ln_p)),
            begins,
            summary: format!(
                "{} calls within {} minutes of the hour, where the whole hour brings about {:.0}",
                now.after,
                minutes + 1,
                expected.mean,
            ),
            expected: format!(
                "{:.1} calls in the hour {cell} {zone} (give or take {deviation:.1})",
                expected.mean
            ),
            observed: format!("{} calls so far", now.after),
            evidence: evidence([
                ("hour", format!("{cell} {zone}")),
                ("visits", format!("{:.1}", profile.closed.rate.visits(cell))),
                (
                    "times_expected",
                    format!("{:.1}", calls / expected.mean.max(0.01)),
                ),
                ("fano", format!("{:.2}", expected.fano)),
                ("spread", format!("{:.3}", expected.spread)),
            ]),
            clears: format!(
                "the identity keeps this level for more than a week, or an hour stays below {:.0}",
                expected.mean * self.config.at_least_times.get(),
            ),
            severity: None,
            sink: false,
            floor: 0.0,
        })
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
const HOURS_PER_DAY: f64 = 24.0;
