//! What a count says, in words.

use crate::kernel::baseline::Profile;
use crate::kernel::detector::{Finding, PValue, evidence};
use crate::kernel::hot::Hour;
use crate::kernel::tails::Expected;
use crate::kernel::time::Timestamp;

/// The calls of a window, open or over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) calls: u64,
    window: Window,
}

#[derive(Clone, Copy, Debug)]
enum Window {
    /// Hours since the epoch; and for an open one, how many minutes of it have passed.
    Hour(i64, Option<i64>),
    /// Minutes since the epoch.
    Minute(i64),
    /// Days since the epoch.
    Day(i64),
}

impl Count {
    pub(super) fn so_far(hour: &Hour, now: Timestamp) -> Self {
        let minutes = now.minute() - hour.start * 60 + 1;
        Self {
            calls: hour.tally.calls,
            window: Window::Hour(hour.start, Some(minutes.clamp(1, 60))),
        }
    }

    pub(super) const fn of_hour(hour: &Hour) -> Self {
        Self {
            calls: hour.tally.calls,
            window: Window::Hour(hour.start, None),
        }
    }

    pub(super) fn of_minute(hour: &Hour, minute: usize) -> Option<Self> {
        let calls = hour.minutes.get(minute)?;
        Some(Self {
            calls: u64::from(*calls),
            window: Window::Minute(hour.start * 60 + minute as i64),
        })
    }

    pub(super) const fn of_day(number: i64, calls: u64) -> Self {
        Self {
            calls,
            window: Window::Day(number),
        }
    }

    /// The finding that this is improbable, as `ln_p` says.
    pub(super) fn finding(
        self,
        expected: Expected,
        ln_p: f64,
        begins: f64,
        times: f64,
        profile: &Profile<'_>,
    ) -> Finding {
        let (calls, mean) = (self.calls, expected.mean);
        let zone = profile.zone();
        let many = calls as f64 > mean;
        let (unit, when, visits, passed) = match self.window {
            Window::Hour(start, passed) => {
                let cell = Timestamp::from_hour(start).hour_of_week(zone);
                let visits = profile.closed.rate.visits(cell.index());
                ("hour", format!("{cell} {zone}"), visits, passed)
            }
            Window::Minute(number) => {
                let ts = Timestamp::from_seconds(number * 60);
                let visits = profile.closed.rate.visits(ts.hour_of_week(zone).index());
                let time = ts.rfc3339().chars().take(16).collect::<String>();
                ("minute", format!("{time} UTC"), visits, None)
            }
            Window::Day(number) => {
                let noon = Timestamp::from_hour(number * 24 + 12);
                let date = noon.rfc3339().chars().take(10).collect::<String>();
                let visits = profile.closed.daily.visits(weekday(noon));
                ("day", format!("{date} {zone}"), visits, None)
            }
        };
        let article = if unit == "hour" { "an" } else { "a" };
        let summary = match passed {
            Some(minutes) => format!(
                "{calls} calls within {minutes} minutes of the hour, where the whole hour brings \
                 about {mean:.0}"
            ),
            None if many => {
                format!("{calls} calls in {article} {unit} that brings about {mean:.0}")
            }
            None => format!("only {calls} calls in {article} {unit} that brings about {mean:.0}"),
        };
        let deviation = libm::sqrt(expected.variance());
        let (ratio, clears) = if many {
            ("below", mean * times)
        } else {
            ("above", mean / times)
        };
        // The burst of a minute goes on as that of its hour.
        let of = if unit == "minute" { "hour" } else { unit };
        Finding {
            subject: format!("{}calls per {of}", if many { "" } else { "fewer " }),
            p_value: Some(PValue::from_ln(ln_p)),
            begins,
            summary,
            expected: format!("{mean:.1} calls in the {unit} {when} (give or take {deviation:.1})"),
            observed: format!("{calls} calls so far"),
            evidence: evidence([
                (unit, when),
                ("visits", format!("{visits:.1}")),
                (
                    "times_expected",
                    format!("{:.2}", calls as f64 / mean.max(0.01)),
                ),
                ("fano", format!("{:.2}", expected.fano)),
                ("spread", format!("{:.3}", expected.spread)),
            ]),
            clears: format!(
                "the identity keeps this level for more than a week, or {article} {unit} stays {ratio} \
                 {clears:.0}"
            ),
            severity: None,
            sink: false,
            floor: 0.0,
        }
    }
}

fn weekday(noon: Timestamp) -> usize {
    noon.hour_of_week(chrono_tz::Tz::UTC).index() / 24
}
