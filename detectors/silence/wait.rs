//! How long an identity that calls often may be silent.

use serde::{Deserialize, Serialize};

use super::week::Week;
use crate::kernel::baseline::Baseline;
use crate::kernel::budget::begins;
use crate::kernel::hot::Hour;
use crate::kernel::tails::Expected;
use crate::kernel::time::{Span, Timestamp};

/// How the quiet before the first and after the last call of an hour fits calls that are spread evenly
/// over it.
///
/// Of `n` such batches of calls none falls into a part `x` of the hour with probability `(1 - x)^n`: the
/// quiet at either end, as `-n ln(1 - x)`, is exponential with mean 1. Who works in clumps, or for
/// a few minutes of each hour, leaves more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Edges {
    /// Ends of hours and the sum of their quiet squared, decayed.
    seen: f32,
    squares: f32,
}

impl Edges {
    /// Takes in an hour that is over.
    pub(super) fn learn(&mut self, hour: &Hour) {
        let batches = hour.tally.calls as f64 / hour.expected.fano;
        if batches < BATCHES_MIN {
            return;
        }
        let head = part(Timestamp::from_hour(hour.start), hour.tally.first);
        let tail = part(hour.tally.last, hour.end());
        for quiet in [head, tail] {
            let quiet = -batches * libm::log1p(-quiet.min(0.999));
            self.seen = self.seen * EDGE_KEPT + 1.0;
            self.squares = self.squares * EDGE_KEPT + (quiet * quiet) as f32;
        }
    }

    /// How many times as clumped as evenly spread ones its calls are, at least 1: the root mean square of the
    /// quiet over that of evenly spread calls, as if 20 ends of those had been seen before.
    fn clumps(self) -> f64 {
        let squares = f64::from(self.squares + 40.0) / f64::from(self.seen + 20.0);
        libm::sqrt((squares / 2.0).max(1.0))
    }
}

/// What a silence since one moment has let pass.
///
/// Calls that come in batches of `fano`, and those in clumps, at a rate known by so many calls of the very
/// hour of the week, stay away with probability `(1 + calls/evidence)^-(evidence/fano/clumps)`; hours
/// are independent in that, and share the rate's own wandering, which [`Wait::ln_p`] adds.
#[derive(Clone, Debug)]
struct Wait {
    /// Batches of calls missed since the identity was last expected to be quiet; and the logarithm of
    /// the probability of what was missed before that.
    stretch: f64,
    before: f64,
    /// Whether the silence began in this stretch.
    own: bool,
    /// Quiet hours in a row.
    quiet: u32,
    /// The most that a later stretch counts.
    cap: f64,
    clumps: f64,
    /// How widely the rate wanders.
    spread: f64,
}

impl Wait {
    fn new(week: &Week, edges: Edges) -> Self {
        Self {
            stretch: 0.0,
            before: 0.0,
            own: true,
            quiet: 0,
            cap: -libm::log(week.miss()),
            clumps: edges.clumps(),
            spread: Expected::SPREAD_MIN,
        }
    }

    /// Lets a part of an hour pass of which so much is expected at the least.
    fn pass(&mut self, least: &Expected, part: f64) {
        let missed = if least.evidence > 0.0 {
            let shape = least.evidence / (least.fano * self.clumps);
            shape * libm::log1p(least.mean * part / least.evidence)
        } else {
            0.0
        };
        if missed < QUIET {
            self.quiet += 1;
        } else {
            if self.quiet >= QUIET_HOURS {
                self.before = self.ln_p();
                (self.stretch, self.own) = (0.0, false);
            }
            self.quiet = 0;
        }
        self.stretch += missed;
        self.spread = least.spread;
    }

    /// Natural logarithm of the probability of such a silence. Where a rate wanders by `spread`, nothing
    /// comes of a stretch with probability `(1 + batches/k)^-k`, `k = 1/spread`, as the negative
    /// binomial law has it. The work of a day that begins later may be off altogether, for a
    /// holiday: it counts for no more than how seldom a day is.
    fn ln_p(&self) -> f64 {
        let stretch = libm::log1p(self.stretch * self.spread) / self.spread;
        self.before
            - if self.own {
                stretch
            } else {
                stretch.min(self.cap)
            }
    }
}

/// When, before `limit`, a silence since `last` will be as improbable as `ln_p` says.
pub(super) fn until(
    ln_p: f64,
    last: Timestamp,
    limit: Option<Timestamp>,
    (baseline, week, edges): (&Baseline, &Week, Edges),
) -> Option<Timestamp> {
    let mut wait = Wait::new(week, edges);
    let mut from = last;
    let hours = last.hour()..last.hour() + HOURS_WALKED;
    for (hour, least) in hours.zip(baseline.least(last.hour())) {
        if limit.is_some_and(|limit| from >= limit) {
            return None;
        }
        let after = |until: Timestamp| {
            let mut wait = wait.clone();
            wait.pass(&least, part(from, until));
            wait
        };
        let is_enough = |until| after(until).ln_p() <= ln_p;
        let end = Timestamp::from_hour(hour + 1);
        if is_enough(end) {
            let (mut low, mut high) = (from.minute(), end.minute());
            while low < high {
                let middle = low.midpoint(high);
                if is_enough(minute(middle)) {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            return Some(minute(high));
        }
        wait = after(end);
        from = end;
    }
    None
}

/// Natural logarithm of the probability of a silence from `last` to `now`, and how many calls were
/// expected in it.
pub(super) fn missed(
    last: Timestamp,
    now: Timestamp,
    (baseline, week, edges): (&Baseline, &Week, Edges),
) -> (f64, f64) {
    let mut wait = Wait::new(week, edges);
    let (mut from, mut calls) = (last, 0.0);
    let hours = (last.hour()..=now.hour()).take(HOURS_WALKED as usize);
    for (hour, least) in hours.zip(baseline.least(last.hour())) {
        let end = Timestamp::from_hour(hour + 1).min(now);
        wait.pass(&least, part(from, end));
        calls += least.mean * part(from, end);
        from = end;
    }
    (wait.ln_p(), calls)
}

/// The p-value from which on a silence is worth a finding: each batch of calls ends one.
pub(super) fn speaks(last: Timestamp, baseline: &Baseline, week: &Week) -> f64 {
    begins((f64::from(week.calls) / baseline.expected(last.hour()).fano).max(1.0))
}

/// Which part of an hour lies between `from` and `until`.
fn part(from: Timestamp, until: Timestamp) -> f64 {
    until.since(from).micros().max(0) as f64 / Span::HOUR.micros() as f64
}

const fn minute(minute: i64) -> Timestamp {
    Timestamp::from_seconds(minute * 60)
}

/// Batches of calls in an hour from which on its ends say anything; and what an end keeps to the next:
/// a half-life of two weeks of full hours.
const BATCHES_MIN: f64 = 4.0;
const EDGE_KEPT: f32 = 0.999;
/// Batches of calls below which an hour is quiet; and quiet hours after which a new day's work begins.
const QUIET: f64 = 0.02;
const QUIET_HOURS: u32 = 4;
/// How far ahead silence is looked for.
const HOURS_WALKED: i64 = 14 * 24;

#[cfg(test)]
mod tests {
    use statrs::distribution::{Discrete, NegativeBinomial};

    use super::*;
    use crate::kernel::hot::Hour;
    use crate::kernel::tally::Tally;

    const START: i64 = 500_000;
    const NOW: i64 = START + 8 * 168;

    /// The baseline of eight weeks with so many calls an hour.
    fn learned(calls: impl Fn(i64) -> u64) -> Baseline {
        let mut baseline = Baseline::new(Timestamp::from_hour(START));
        for start in START..NOW {
            let expected = baseline.expected(start);
            let tally = Tally {
                calls: calls(start),
                ..Tally::default()
            };
            let hour = Hour {
                start,
                tally,
                suspect: false,
                expected,
                gate: 1,
                day: start.div_euclid(24),
                day_gate: 1,
                minutes: Vec::new(),
                minute_gate: 0,
            };
            baseline.catch_up(start, |_, _| {});
            if hour.tally.calls > 0 {
                baseline.close(&hour, 0.0);
            }
        }
        baseline
    }

    fn at(ln_p: f64, baseline: &Baseline) -> Option<Timestamp> {
        let last = Timestamp::from_hour(NOW);
        let known = (baseline, &Week::default(), Edges::default());
        until(ln_p, last, None, known)
    }

    #[test]
    fn the_deadline_is_where_nothing_is_as_improbable_as_asked_for() {
        let baseline = learned(|hour| 20 + hour as u64 % 5);
        let last = Timestamp::from_hour(NOW);
        for p in [0.05, 0.03] {
            let at = at(libm::log(p), &baseline).unwrap();
            let nothing = |until: Timestamp| {
                let least = baseline.least(NOW).next().unwrap();
                let batches = least.mean * part(last, until) / least.fano;
                let shape = 1.0 / least.spread;
                let law = NegativeBinomial::new(shape, shape / (shape + batches));
                law.unwrap().pmf(0)
            };
            // What is not quite known of the mean makes it a little later.
            assert!(
                nothing(at) <= p && nothing(at) > 0.6 * p,
                "{p}: {}",
                nothing(at)
            );
        }
        let [early, late] = [1e-3, 1e-5].map(|p| at(libm::log(p), &baseline).unwrap());
        assert!(early < late && late < last.plus(Span::HOUR.times(3)));
    }

    #[test]
    fn a_deadline_is_the_first_minute_at_which_the_silence_is_strange() {
        let baseline = learned(|hour| 3 + hour as u64 % 3);
        let (week, edges) = (Week::default(), Edges::default());
        let last = Timestamp::from_hour(NOW);
        for ln_p in [-3.0, -6.0, -9.0, -14.0] {
            let at = at(ln_p, &baseline).unwrap();
            let p = |now| missed(last, now, (&baseline, &week, edges)).0;
            assert!(p(at) <= ln_p && p(at.minus(Span::MINUTE)) > ln_p, "{ln_p}");
        }
    }

    #[test]
    fn a_quiet_night_adds_up_to_nothing_and_a_morning_off_to_little() {
        let day = |hour: i64| (8..18).contains(&(hour % 24));
        let baseline = learned(|hour| if day(hour) { 30 } else { 0 });
        let (week, edges) = (Week::default(), Edges::default());
        let p = |from: i64, until: i64| {
            // Both on the same day of the week as the clock counts it, which is UTC.
            let midnight = NOW - NOW % 24;
            let hour = |hour| Timestamp::from_hour(midnight + hour);
            libm::exp(missed(hour(from), hour(until), (&baseline, &week, edges)).0)
        };
        assert!(p(18, 24 + 7) > 0.5, "{}", p(18, 24 + 7));
        assert!((0.01..0.1).contains(&p(18, 24 + 17)), "{}", p(18, 24 + 17));
        assert!(p(10, 13) < 1e-6, "{}", p(10, 13));
    }
}
