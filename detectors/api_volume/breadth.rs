//! How many different resources an hour touches.

use serde::{Deserialize, Serialize};

use super::Config;
use crate::kernel::baseline::{Closed, Profile};
use crate::kernel::budget::begins;
use crate::kernel::detector::{Finding, PValue, evidence};
use crate::kernel::growth::worth_a_look;
use crate::kernel::hot::Hour;
use crate::kernel::level::{Level, Weighed};
use crate::kernel::patience::Patience;
use crate::kernel::tally::Distinct;
use crate::kernel::time::{HOURS_PER_DAY, Timestamp};

/// What is usual of the resources in an identity's hours; some 50 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breadth {
    level: Level,
    patience: Patience,
}

impl Breadth {
    /// Whether `hour` touches far more than is usual, where it touched `before` until the last look.
    pub(super) fn judge(
        &self,
        hour: &Hour,
        before: f64,
        config: &Config,
        profile: &Profile<'_>,
    ) -> Option<Finding> {
        let count = hour.tally.resources.estimate();
        if count < config.at_least_resources.get() {
            return None;
        }
        let season = hour.season();
        let usual = self.level.usual(season)?;
        let gate = gate(usual, config);
        if count < gate || !worth_a_look(before, count, gate) {
            return None;
        }
        let weighed = self.level.weigh(count, season)?;
        let begins = begins(HOURS_PER_DAY);
        (weighed.ln_p <= libm::log(begins))
            .then(|| finding(count, &weighed, gate, begins, hour, profile))
    }

    pub(super) fn learn(&mut self, closed: &Closed, config: &Config) {
        match closed {
            Closed::Hour(hour) if !self.patience.holds_back(hour.suspect) => {
                let count = hour.tally.resources.estimate();
                if count > 0.0 {
                    let gate = |usual| gate(usual, config);
                    self.level.learn(count, hour.season(), HOURS_PER_DAY, gate);
                }
            }
            Closed::Day(day) => {
                self.level.fade_day();
                self.patience.note_day(day.suspect);
            }
            Closed::Hour(_) | Closed::Session(_) => {}
        }
    }
}

/// The number from which on it is of interest, where `usual` is usual.
fn gate(usual: f64, config: &Config) -> f64 {
    (usual + config.at_least_resources.get()).max(usual * config.at_least_times.get())
}

fn finding(
    count: f64,
    weighed: &Weighed,
    gate: f64,
    begins: f64,
    hour: &Hour,
    profile: &Profile<'_>,
) -> Finding {
    let usual = weighed.usual.max(1.0);
    let (more, calls) = (count / usual, hour.tally.calls);
    let full = if count >= Distinct::MAX {
        "at least"
    } else {
        "about"
    };
    Finding {
        subject: "resources per hour".to_owned(),
        p_value: Some(PValue::from_ln(weighed.ln_p)),
        begins,
        summary: format!(
            "{full} {count:.0} different resources within the hour, where it touches about {usual:.0}"
        ),
        expected: format!(
            "about {usual:.0} in such an hour (up to {:.1} times as many or as few)",
            weighed.factor
        ),
        observed: format!("{full} {count:.0} in {calls} calls so far"),
        evidence: evidence([
            (
                "hour",
                Timestamp::from_hour(hour.start)
                    .hour_of_week(profile.zone())
                    .to_string(),
            ),
            ("times_usual", format!("{more:.1}")),
            ("hours_seen", format!("{:.0}", weighed.windows)),
            ("ln_p_of_model", format!("{:.1}", weighed.ln_model)),
        ]),
        clears: format!("an hour below {gate:.0}, or a week in which it stays so"),
        severity: None,
        sink: false,
        floor: 0.0,
    }
}
