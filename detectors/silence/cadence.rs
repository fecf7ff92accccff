//! Identities that come in runs: when the next one is due, and how often one is not.

use serde::{Deserialize, Serialize};

use super::week::{Rest, Week};
use crate::kernel::baseline::Baseline;
use crate::kernel::hot::Hour;
use crate::kernel::time::{Span, Timestamp};

/// The runs of an identity, learned from hours that are over.
///
/// A run begins with the first event after half an hour of quiet. Runs follow a cadence where most
/// begin a whole number of periods after one another. The time on days of rest does not count: to a
/// job of working days Monday is the day after Friday.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Cadence {
    /// The newest event of the hours that are over.
    last: Option<Timestamp>,
    /// When the newest run began, and the newest that was on time.
    run: Option<Timestamp>,
    on_time: Timestamp,
    /// Days of rest that were over since the newest run.
    rested: u8,
    /// Seconds from one run to the next, and how far runs are from their time on average.
    period: f32,
    jitter: f32,
    /// Seconds that a run goes on for, on average.
    length: f32,
    /// Runs on time, runs at another time, and runs that did not come; decayed.
    on: f32,
    off: f32,
    missed: f32,
    /// Runs at another time since the newest on time, at most 255, and when they began.
    strays: u8,
    astray: Timestamp,
}

/// A run that begins at another time than it should.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stray {
    /// Seconds after its time, or, below 0, before it.
    pub(super) seconds: f64,
    /// How probable that is.
    pub(super) p: f64,
    /// Whether it comes on a day of rest.
    pub(super) rest: bool,
}

impl Cadence {
    /// Takes in an hour that is over.
    pub(super) fn learn(&mut self, hour: &Hour, week: &Week, baseline: &Baseline) {
        let first = hour.tally.first;
        let quiet = self.last.is_none_or(|last| first.since(last) >= QUIET);
        if quiet && week.is_learned() {
            if let (Some(run), Some(last)) = (self.run, self.last) {
                self.length += PACE * (seconds(last.since(run)) as f32 - self.length);
            }
            self.begin(first, week.rests_today(), baseline);
        }
        self.last = self.last.max(Some(hour.tally.last));
    }

    /// Takes in that a day of rest is over.
    pub(super) const fn rest(&mut self) {
        self.rested = self.rested.saturating_add(1);
    }

    /// Forgets how often runs come on time: what counts as time has changed.
    pub(super) const fn doubt(&mut self) {
        (self.on, self.off, self.missed) = (0.0, 0.0, 0.0);
    }

    /// Takes in a run that begins at `start`.
    fn begin(&mut self, start: Timestamp, on_rest: bool, baseline: &Baseline) {
        let rested = Span::DAY.times(i64::from(self.rested));
        let Some(run) = self.run.replace(start) else {
            self.on_time = start;
            return;
        };
        self.rested = 0;
        let gap = seconds(start.since(run)) - seconds(rested);
        if self.period == 0.0 {
            return self.restart(start, gap);
        }
        let kept = libm::exp2(-start.since(run).days() / HALF_LIFE) as f32;
        self.on *= kept;
        self.off *= kept;
        self.missed *= kept;
        let (steps, late) = self.phase(start);
        // What moves with a clock is on time, but says nothing of how far runs are off.
        let off = libm::fabs(late);
        let moved = seconds(moved(start, self.period, baseline));
        if !on_rest && off <= self.tolerance() + moved {
            self.strays = 0;
            self.on_time = start;
            self.on += 1.0;
            let passed = libm::round(gap / f64::from(self.period)) - 1.0;
            let skipped = if self.is_frequent() {
                let due = self.due_after(run, baseline);
                due.take_while(|at| at.plus(self.give()) < start).count() as f64
            } else {
                passed
            };
            self.missed += skipped.clamp(0.0, 3.0) as f32;
            if steps <= STEPS_MAX && off <= self.tolerance() {
                self.period += PACE * (late / steps.max(1.0)) as f32;
                self.jitter += PACE * (off as f32 - self.jitter);
            }
        } else {
            self.off += 1.0;
            if self.strays == 0 {
                self.astray = start;
            }
            self.strays = self.strays.saturating_add(1);
            let stays = start.since(self.astray) >= Span::WEEK || !self.is_established();
            if self.strays >= 3 && stays {
                return self.restart(start, gap);
            }
        }
        let unfit = self.off > self.on / 4.0 || self.missed > self.on / 2.0;
        if self.on + self.off >= 6.0 && unfit {
            self.restart(start, gap);
        }
    }

    /// Begins anew with the run at `start`; with the same period only its time of day is new.
    fn restart(&mut self, start: Timestamp, gap: f64) {
        self.on_time = start;
        self.strays = 0;
        let ratio = gap / f64::from(self.period);
        if !(0.75..1.25).contains(&ratio) || !self.is_established() {
            self.doubt();
            self.period = gap as f32;
            self.jitter = self.period / 64.0;
        }
    }

    /// Whether enough runs came on time for the next to be expected, and not by chance: many beginnings
    /// of work make many tries at a cadence.
    ///
    /// Of `n` beginnings that fall anywhere, a share `s` or more is on time with probability at most
    /// `exp(-n D(s, q))`, where `q` is the part of a period that counts as on time and `D` the relative
    /// entropy (Chernoff 1952).
    pub(super) fn is_established(&self) -> bool {
        if self.on < RUNS_MIN || self.on < 4.0 * self.off {
            return false;
        }
        let all = f64::from(self.on + self.off);
        let (share, chance) = (
            f64::from(self.on) / all,
            2.0 * self.tolerance() / f64::from(self.period).max(1.0),
        );
        let part = |share: f64, chance: f64| {
            if share <= 0.0 {
                0.0
            } else {
                share * libm::log(share / chance)
            }
        };
        let entropy = part(share, chance) + part(1.0 - share, 1.0 - chance);
        all * entropy >= BY_CHANCE
    }

    /// Whether it runs more often than twice a day: then runs are due in the hours of the week only in
    /// which there mostly are some.
    fn is_frequent(&self) -> bool {
        self.period < 43_200.0
    }

    /// When runs are due after the one at `run`, of an identity that runs often.
    fn due_after<'a>(
        &'a self,
        run: Timestamp,
        baseline: &'a Baseline,
    ) -> impl Iterator<Item = Timestamp> + 'a {
        let shortest = f64::from(self.period).max(seconds(QUIET));
        let slots = (seconds(LOOKED_AHEAD) / shortest) as i64;
        let at = move |nth: i64| {
            let wait = nth as f64 * f64::from(self.period);
            run.plus(Span::from_micros((wait * 1e6) as i64))
        };
        (1..=slots).map(at).filter(|at| self.is_due(*at, baseline))
    }

    fn is_due(&self, at: Timestamp, baseline: &Baseline) -> bool {
        let give = self.give();
        let [before, after] = [at.minus(give), at.plus(give)].map(|ts| baseline.cells(ts).0);
        let active = |cell| baseline.presence.usual(cell).p;
        let mut share = active(before);
        if after != before {
            share += active(after);
        }
        share >= DUE && !baseline.is_free(baseline.day_of(at.hour()))
    }

    fn give(&self) -> Span {
        Span::from_micros((self.tolerance() * 1e6) as i64)
    }

    /// With the runs of the hours `open` before hour `until` taken in, as far as they can be: when the
    /// newest began, and the newest event.
    fn newest(&self, open: &[Hour], until: i64) -> (Option<Timestamp>, Option<Timestamp>) {
        let (mut run, mut last) = (self.run, self.last);
        for Hour { tally, .. } in open.iter().filter(|hour| hour.start < until) {
            if last.is_none_or(|last| tally.first.since(last) >= QUIET) {
                run = Some(tally.first);
            }
            last = last.max(Some(tally.last));
        }
        (run, last)
    }

    /// The newest event there is.
    pub(super) fn last(&self, open: &[Hour]) -> Option<Timestamp> {
        self.newest(open, i64::MAX).1
    }

    /// When the newest run began.
    pub(super) fn run(&self, open: &[Hour]) -> Option<Timestamp> {
        self.newest(open, i64::MAX).0
    }

    /// When the identity will have missed so many runs that this is as improbable as `ln_p` says.
    pub(super) fn missed_by(
        &self,
        ln_p: f64,
        open: &[Hour],
        rest: Rest,
        baseline: &Baseline,
    ) -> Option<Timestamp> {
        let run = self.run(open).filter(|_| self.is_established())?;
        let runs = libm::ceil(ln_p / libm::log(self.miss())).max(1.0);
        if self.is_frequent() {
            let mut due = self.due_after(run, baseline);
            return due.nth(runs as usize - 1).map(|at| at.plus(self.give()));
        }
        let soon = runs * f64::from(self.period) <= seconds(WAIT_MAX);
        soon.then(|| self.missed_at(runs, run, rest, baseline))
    }

    /// How many runs have not come by `now`.
    pub(super) fn missed(
        &self,
        now: Timestamp,
        open: &[Hour],
        rest: Rest,
        baseline: &Baseline,
    ) -> f64 {
        let Some(run) = self.run(open).filter(|_| self.is_established()) else {
            return 0.0;
        };
        if self.is_frequent() {
            let due = self.due_after(run, baseline);
            return due.take_while(|at| at.plus(self.give()) <= now).count() as f64;
        }
        let waited = seconds(now.since(run).min(WAIT_MAX));
        let mut runs = libm::floor(waited / f64::from(self.period)).max(0.0);
        while runs > 0.0 && self.missed_at(runs, run, rest, baseline) > now {
            runs -= 1.0;
        }
        runs
    }

    /// When so many `runs` after the one at `run` have not come: on the days of `rest` none is due.
    fn missed_at(&self, runs: f64, run: Timestamp, rest: Rest, baseline: &Baseline) -> Timestamp {
        let wait = runs * f64::from(self.period) + self.tolerance();
        let wait = Span::from_micros((wait * 1e6) as i64);
        let mut at = run.plus(wait).plus(moved(run, self.period, baseline));
        let mut day = baseline.day_of(run.hour()) + 1;
        while day <= baseline.day_of(at.hour()) {
            if rest.has(day) {
                at = at.plus(Span::DAY);
            }
            day += 1;
        }
        at
    }

    /// What is strange about a run that begins at `start`, in the open hour `hour`, if one does.
    pub(super) fn stray(
        &self,
        start: Timestamp,
        hour: i64,
        open: &[Hour],
        on_rest: bool,
        baseline: &Baseline,
    ) -> Option<Stray> {
        let (run, last) = self.newest(open, hour);
        let begins = last.is_some_and(|last| start.since(last) >= QUIET);
        let lately = run.is_some_and(|run| start.since(run) < WAIT_MAX);
        if !begins || !lately || !self.is_established() || self.strays >= STRAYS_TOLD {
            return None;
        }
        let (steps, late) = self.phase(start);
        let grace = self.tolerance() + seconds(moved(start, self.period, baseline));
        // What begins late, but while it is usually at work, is the rest of a day's work.
        let at_work =
            (0.0..1.25 * f64::from(self.length)).contains(&late.rem_euclid(f64::from(self.period)));
        if !on_rest && (libm::fabs(late) <= grace || at_work || steps > STEPS_MAX) {
            return None;
        }
        // A prior of one in a thousand, worth fifty runs; what is going on says nothing of itself.
        let before = (self.off - f32::from(self.strays)).max(0.0);
        let p = f64::from(before + 0.05) / f64::from(self.on + before + 50.0);
        Some(Stray {
            seconds: late,
            p: p * libm::pow(AGAIN, f64::from(self.strays)),
            rest: on_rest,
        })
    }

    /// How often a run does not come when it is due: with 3 % of 50 runs as what is known before,
    /// about what holidays alone take.
    pub(super) fn miss(&self) -> f64 {
        let runs = self.on + self.off + self.missed;
        (f64::from(self.missed + self.off) + 1.5) / (f64::from(runs) + 50.0)
    }

    /// Runs a day, where something is due on all days but those of `rest`.
    pub(super) fn per_day(&self, rest: Rest) -> f64 {
        86_400.0 / f64::from(self.period).max(1.0) * rest.due() / 7.0
    }

    /// Time from one run to the next.
    pub(super) fn period(&self) -> Span {
        Span::from_seconds(libm::round(f64::from(self.period)) as i64)
    }

    /// How many seconds a run may be off its time.
    pub(super) fn tolerance(&self) -> f64 {
        let (period, jitter) = (f64::from(self.period), f64::from(self.jitter));
        (300.0 + 6.0 * jitter).min(period / 16.0)
    }

    /// How many periods `start` is after the newest run on time, and by how many seconds it is off.
    fn phase(&self, start: Timestamp) -> (f64, f64) {
        let since = seconds(start.since(self.on_time));
        let period = f64::from(self.period).max(1.0);
        let steps = libm::round(since / period);
        (steps, since - steps * period)
    }
}

/// By how much a run may be off because clocks have changed, of who follows a clock: it runs once in some
/// half days.
fn moved(at: Timestamp, period: f32, baseline: &Baseline) -> Span {
    let halves = f64::from(period) / 43_200.0;
    let off = libm::fabs(halves - libm::round(halves).max(1.0));
    if off < WHOLE_HALVES && baseline.clock_changed(at, FORTNIGHT) {
        Span::HOUR
    } else {
        Span::from_micros(0)
    }
}

fn seconds(span: Span) -> f64 {
    span.micros() as f64 / 1e6
}

/// Quiet after which the next event begins a run.
const QUIET: Span = Span::MINUTE.times(30);
/// Runs on time before the next is expected.
const RUNS_MIN: f32 = 8.0;
/// How far ahead, and after how many periods, a run can still be told on time.
const WAIT_MAX: Span = Span::DAY.times(60);
const STEPS_MAX: f64 = 14.0;
/// How far ahead runs are looked for of which several are due a day.
const LOOKED_AHEAD: Span = Span::WEEK.times(2);
/// In which share of such hours there must have been something for a run to be due in one.
const DUE: f64 = 0.5;
/// The logarithm of how seldom beginnings that fall anywhere may look like runs: one in 1e8.
const BY_CHANCE: f64 = 18.4;
/// How many runs in a row at another time are told: the second makes certain, more are no news.
const STRAYS_TOLD: u8 = 2;
/// How probable it is that another one follows.
const AGAIN: f64 = 0.25;
/// Half-life of the counts, in days.
const HALF_LIFE: f64 = 58.0;
/// How far a period may be from whole half days, in half days.
const WHOLE_HALVES: f64 = 0.04;
/// How fast period and jitter follow.
const PACE: f32 = 0.1;
const FORTNIGHT: Span = Span::WEEK.times(2);
