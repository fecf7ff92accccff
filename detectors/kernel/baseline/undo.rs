//! What an analyst's ruling makes of what was held back, and of what was learned of it meanwhile.

use super::Baseline;
use crate::kernel::input::Ruling;
use crate::kernel::quarantine::Released;

impl Baseline {
    /// Follows a ruling on the hours from `from` to `until` (hours since the epoch, both included):
    /// what is held back of them is learned at once, or never; and what was learned of malicious ones
    /// is taken out again, decayed as the baseline has been since.
    ///
    /// How far counts scatter and how far their tail reaches keep what they learned: it was capped, or
    /// counts for one window of many.
    pub(crate) fn rule(&mut self, from: i64, until: i64, ruling: Ruling) {
        self.quarantine.rule(from, until, ruling);
        if ruling == Ruling::Malicious {
            for released in self.quarantine.take_back(from, until) {
                self.forget(&released);
            }
        }
    }

    fn forget(&mut self, released: &Released) {
        let start = released.start;
        let (cell, _) = self.usual(start);
        let since = self.next_hour() - 1 - start;
        let weeks = since.div_euclid(168).max(0);
        self.presence.forget(cell, weeks);
        let calls = f64::from(released.calls);
        if !released.seasonal {
            // It was learned when the same hour came again.
            self.rate.forget(cell.index(), calls, weeks, since - 168);
            return;
        }
        let day = self.day_of(start);
        let Some(season) = self.season_of(day) else {
            return;
        };
        let now = self.day_of(self.next_hour());
        let came = (day + 1..now).filter(|day| self.season_of(*day) == Some(season));
        let times = came.count();
        if let Some(seasonal) = &mut self.seasons[season as usize] {
            seasonal.forget_hour(cell.hour(), calls, times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::hot::Hour;
    use crate::kernel::tails::Expected;
    use crate::kernel::tally::Tally;
    use crate::kernel::time::Timestamp;

    const START: i64 = 490_896;

    /// Lives until hour `end`: 20 calls an hour, 400 in hour `burst`, which is suspect.
    fn live(burst: i64, end: i64) -> Baseline {
        let mut baseline = Baseline::new(Timestamp::from_hour(START));
        for n in 0..end {
            let start = START + n;
            baseline.catch_up(start, |_, _| {});
            let tally = Tally {
                calls: if n == burst { 400 } else { 20 + (n % 5) as u64 },
                ..Tally::default()
            };
            let hour = Hour {
                start,
                tally,
                suspect: n == burst,
                expected: baseline.expected(start),
                gate: 0,
                day: baseline.day_of(start),
                day_gate: 0,
                minutes: Vec::new(),
                minute_gate: 0,
            };
            baseline.close(&hour, 0.0);
        }
        baseline
    }

    fn expected(baseline: &Baseline, hour: i64) -> Expected {
        baseline.expected(START + hour)
    }

    #[test]
    fn a_ruling_takes_out_again_what_was_learned_after_a_week() {
        let burst = 8 * 168 - 60;
        for weeks in [2, 4, 7] {
            let end = burst + weeks * 168 + 3;
            let same_hour = burst + (weeks + 1) * 168;
            let (mut fooled, clean) = (live(burst, end), live(-1, end));
            let [before, wanted] = [&fooled, &clean].map(|it| expected(it, same_hour).mean);
            assert!(before > wanted * 1.02, "{weeks}: {before} {wanted}");
            let hour = START + burst;
            fooled.rule(hour - 1, hour + 1, Ruling::Benign);
            assert_eq!(expected(&fooled, same_hour).mean, before);
            fooled.rule(hour - 1, hour + 1, Ruling::Malicious);
            let after = expected(&fooled, same_hour).mean;
            assert!(
                (after / wanted - 1.0).abs() < 0.01,
                "{weeks}: {after} {wanted}"
            );
            fooled.rule(hour - 1, hour + 1, Ruling::Malicious);
            assert_eq!(expected(&fooled, same_hour).mean, after);
        }
    }

    #[test]
    fn and_what_was_learned_of_a_month_s_end() {
        // Friday, 2026-02-27, and the last working day after it.
        let (burst, next) = (57 * 24 + 6, 89 * 24 + 6);
        let end = burst + 3 * 168;
        let (mut fooled, clean) = (live(burst, end), live(-1, end));
        let wanted = expected(&clean, next).mean;
        assert!(expected(&fooled, next).mean > 1.1 * wanted);
        fooled.rule(START + burst, START + burst, Ruling::Malicious);
        let after = expected(&fooled, next).mean;
        assert!((after / wanted - 1.0).abs() < 0.01, "{after} {wanted}");
    }
}
