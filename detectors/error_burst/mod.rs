#![doc = include_str!("README.md")]

#[cfg(test)]
mod null;
mod usual;

use serde::{Deserialize, Serialize};

use self::usual::{Usual, Weighed};
use crate::kernel::baseline::{Baseline, Closed, Profile};
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Evidence, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::{Event, Outcome};
use crate::kernel::growth::worth_a_look;
use crate::kernel::hot::Hour;
use crate::kernel::options::{Calls, Days};
use crate::kernel::patience::Patience;
use crate::kernel::time::{HOURS_PER_DAY, Span, Timestamp};

/// Far more failures or denials in an hour than this identity has.
pub struct ErrorBurst {
    config: Config,
}

/// The settings of `error-burst`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many calls of an hour must fail: what is fewer is of no interest.
    pub at_least: Calls,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            at_least: Calls::new(5.0),
            learning: Days::new(7.0),
        }
    }
}

/// How often the calls of an identity fail, learned from hours that are over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// Calls, decayed.
    tries: f32,
    /// Those that failed or were denied.
    failing: Usual,
    /// Those that were denied.
    denied: Usual,
    patience: Patience,
}

impl Detector for ErrorBurst {
    const CARD: Card = Card {
        name: "error-burst",
        summary: "Far more failed or denied calls in an hour than this identity has",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["T1580", "T1110", "NHI7:2025"],
        page: include_str!("README.md"),
    };
    type Config = Config;
    type State = Errors;

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, errors: &Errors) -> Verdict {
        let Some(hour) = profile.hour() else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            return Verdict::Learning;
        }
        let failed = matches!(event.outcome, Outcome::Fail | Outcome::Denied);
        let failures = hour.tally.failures;
        let before = failures.saturating_sub(u64::from(event.count.get()));
        if !failed || !worth_a_look(before as f64, failures as f64, FEW) {
            return Verdict::Normal;
        }
        self.find(hour, errors, event.code)
    }

    /// Failures that came between two looks are seen here.
    fn review(&self, over: &Closed, profile: &Profile<'_>, errors: &Errors) -> Verdict {
        match over {
            Closed::Hour(hour)
                if profile.closed.age(hour.tally.last) >= self.config.learning.span() =>
            {
                self.find(hour, errors, None)
            }
            _ => Verdict::Normal,
        }
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, errors: &mut Errors) {
        match closed {
            Closed::Hour(hour) if !errors.patience.holds_back(hour.suspect) => {
                errors.learn(hour);
            }
            Closed::Day(day) => {
                errors.patience.note_day(day.suspect);
                errors.fade();
            }
            _ => {}
        }
    }
}

impl ErrorBurst {
    /// Denials where they speak for themselves, else all failures; never both of one hour's.
    fn find(&self, hour: &Hour, errors: &Errors, code: Option<&str>) -> Verdict {
        let tally = &hour.tally;
        let of = |kind: &Kind| {
            let (failures, usual) = match kind {
                Kind::Denials => (tally.denied, &errors.denied),
                Kind::Failures => (tally.failures, &errors.failing),
            };
            let failures = failures as f64;
            if failures < self.config.at_least.get() {
                return None;
            }
            let weighed = usual.weigh(f64::from(errors.tries), tries(hour), failures);
            (weighed.ln_p <= libm::log(begins(HOURS_PER_DAY))).then_some(weighed)
        };
        let mostly_denied = tally.denied.saturating_mul(2) >= tally.failures;
        let kinds = if mostly_denied {
            [Kind::Denials, Kind::Failures]
        } else {
            [Kind::Failures, Kind::Denials]
        };
        kinds
            .iter()
            .find_map(|kind| Some(finding(kind, hour, &of(kind)?, code)))
            .map_or(Verdict::Normal, Verdict::found)
    }
}

/// A sort of failure.
enum Kind {
    /// Calls that were denied.
    Denials,
    /// Calls that failed, for whatever reason.
    Failures,
}

fn finding(kind: &Kind, hour: &Hour, weighed: &Weighed, code: Option<&str>) -> Finding {
    let tally = &hour.tally;
    let (subject, verb, failures) = match kind {
        Kind::Denials => ("denials per hour", "denied", tally.denied),
        Kind::Failures => ("failures per hour", "failed", tally.failures),
    };
    let share = 100.0 * weighed.share;
    let minutes = tally.last.since(Timestamp::from_hour(hour.start)).seconds() / 60;
    let mut facts: Evidence = evidence([
        ("tries", tally.calls.to_string()),
        ("failures", tally.failures.to_string()),
        ("denied", tally.denied.to_string()),
        ("usual_share_at_most", format!("{share:.2}%")),
        ("ln_e_value", format!("{:.1}", weighed.ln_e)),
    ]);
    if let Some(code) = code {
        facts.push(("latest_code".into(), code.to_owned()));
    }
    Finding {
        subject: subject.to_owned(),
        p_value: Some(PValue::from_ln(weighed.ln_p)),
        begins: begins(HOURS_PER_DAY),
        summary: format!(
            "{failures} of {} calls {verb} within {} minutes, where at most {share:.2} % do",
            tally.calls,
            minutes + 1,
        ),
        expected: format!("at most {share:.2} % of its calls {verb}"),
        observed: format!(
            "{failures} of {} calls {verb} in the hour so far",
            tally.calls
        ),
        evidence: facts,
        clears: "an hour with its usual share, or a week in which this share stays".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    }
}

impl Errors {
    fn learn(&mut self, hour: &Hour) {
        let (before, tally) = (f64::from(self.tries), &hour.tally);
        let n = tries(hour);
        self.failing.learn(before, n, tally.failures as f64);
        self.denied.learn(before, n, tally.denied as f64);
        self.tries += tally.calls as f32;
    }

    fn fade(&mut self) {
        let kept = libm::exp2(-1.0 / HALF_LIFE) as f32;
        self.tries *= kept;
        self.failing.fade(kept);
        self.denied.fade(kept);
    }
}

/// The tries an hour's failures are held against: those that there were, and at least those that the
/// whole hour is expected to bring.
///
/// Tries yet to come can only succeed, as far as this is concerned: that lowers the e-value and keeps it
/// honest. Without it, failures at the beginning of every hour would look worse to who judges them
/// than to who learns them when the hour is over.
fn tries(hour: &Hour) -> f64 {
    (hour.tally.calls as f64).max(hour.expected.mean)
}

/// Failures up to which each is looked at.
const FEW: f64 = 64.0;
/// Half-life of what is learned, in days.
const HALF_LIFE: f64 = 28.0;
