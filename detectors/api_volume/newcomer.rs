//! What is far more than the peers of a newcomer do.

use super::Config;
use crate::kernel::baseline::Profile;
use crate::kernel::budget::begins;
use crate::kernel::detector::{Finding, PValue, evidence};
use crate::kernel::growth::worth_a_look;
use crate::kernel::hot::Hour;
use crate::kernel::time::HOURS_PER_DAY;

/// Whether an identity that is still learned makes far more calls in `hour` than others like it do; it
/// made `before` until the last look.
pub(super) fn judge(
    hour: &Hour,
    before: u64,
    config: &Config,
    profile: &Profile<'_>,
) -> Option<Finding> {
    let calls = hour.tally.calls as f64;
    // What it has done itself, as far as that is known, is no news.
    let gate = (hour.gate as f64).max(config.at_least_more.get());
    if calls < gate || !worth_a_look(before as f64, calls, gate) {
        return None;
    }
    let norm = profile.norm(hour)?;
    let usual = norm.usual();
    if calls < config.at_least_times.get() * usual || calls - usual < config.at_least_more.get() {
        return None;
    }
    let (ln_p, begins) = (norm.ln_upper(calls)?, begins(HOURS_PER_DAY));
    let peers = norm.members();
    (ln_p <= libm::log(begins)).then(|| Finding {
        subject: "calls per hour".to_owned(),
        p_value: Some(PValue::from_ln(ln_p)),
        begins,
        summary: format!(
            "{calls} calls within the hour, where {peers} like it make about {usual:.0} each"
        ),
        expected: format!("about {usual:.0} calls in this hour, as its peers make"),
        observed: format!("{calls} calls so far"),
        evidence: evidence([
            ("judged_by", format!("{peers} peers")),
            ("times_expected", format!("{:.1}", calls / usual.max(0.01))),
        ]),
        clears: "it is known for two weeks, and judged by what it does itself".to_owned(),
        severity: None,
        sink: false,
        floor: 0.0,
    })
}
