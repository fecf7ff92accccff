//! The scoring that is published with the benchmark (Lavin and Ahmad 2015, and `nab/scorer.py` there).
//!
//! The first row flagged in a window is worth up to 1, the earlier the more, by a scaled sigmoid; a
//! window without one costs the weight of what is missed. A row flagged outside costs up to the weight of
//! what is false, less if a window has only just ended. The sum is scaled so that a detector that flags
//! nothing has 0 and a perfect one 100.

use super::series::Series;

/// What is weighed how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Profile {
    pub(super) name: &'static str,
    /// Cost of a row flagged in vain.
    false_row: f64,
    /// Cost of a window missed.
    missed: f64,
}

/// The three profiles; the threshold is chosen on the first.
pub(super) const PROFILES: [Profile; 3] = [
    Profile::new("standard", 0.11, 1.0),
    Profile::new("reward_low_FP_rate", 0.22, 1.0),
    Profile::new("reward_low_FN_rate", 0.11, 2.0),
];

impl Profile {
    const fn new(name: &'static str, false_row: f64, missed: f64) -> Self {
        Self {
            name,
            false_row,
            missed,
        }
    }

    /// From the raw sum of the benchmark over so many windows to its score, 0 to 100 and below.
    pub(super) fn normal(&self, raw: f64, windows: usize) -> f64 {
        let windows = windows as f64;
        100.0 * (raw + self.missed * windows) / ((1.0 + self.missed) * windows)
    }
}

/// All rows that are scored, and what flagging them is worth.
#[derive(Debug)]
pub(super) struct Corpus<'a> {
    pub(super) series: &'a [Series],
    /// From the highest score to the lowest.
    rows: Vec<Scored>,
    /// The series of each window.
    windows: Vec<usize>,
}

#[derive(Debug)]
struct Scored {
    score: f64,
    /// Up to 1 in a window; outside, from 0 to -1 before its weight.
    worth: f64,
    window: Option<usize>,
    series: usize,
}

/// What was flagged in some series.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flagged {
    pub(super) windows: usize,
    pub(super) seen: usize,
    pub(super) false_rows: usize,
    pub(super) raw: f64,
}

impl<'a> Corpus<'a> {
    /// Series, and the score of each of their rows.
    pub(super) fn new(series: &'a [Series], scores: &[Vec<f64>]) -> Self {
        let (mut rows, mut windows) = (Vec::new(), Vec::new());
        for (index, (series, scores)) in series.iter().zip(scores).enumerate() {
            for (row, score) in scores.iter().enumerate().skip(series.probation()) {
                let (worth, window) = worth(row, &series.windows);
                rows.push(Scored {
                    score: *score,
                    worth,
                    window: window.map(|window| windows.len() + window),
                    series: index,
                });
            }
            windows.extend(series.windows.iter().map(|_| index));
        }
        rows.sort_by(|a, b| b.score.total_cmp(&a.score));
        Self {
            series,
            rows,
            windows,
        }
    }

    /// The threshold that is best for all series `of` some kind together.
    pub(super) fn threshold(&self, profile: &Profile, of: impl Fn(&Series) -> bool) -> f64 {
        let (mut sum, mut best, mut threshold) = (0.0, 0.0, f64::INFINITY);
        let mut worths = vec![-profile.missed; self.windows.len()];
        let mut rows = self.rows.iter().filter(|row| of(&self.series[row.series]));
        let mut next = rows.next();
        while let Some(row) = next {
            match row.window {
                Some(window) => {
                    let more = (row.worth - worths[window]).max(0.0);
                    worths[window] += more;
                    sum += more;
                }
                None => sum += row.worth * profile.false_row,
            }
            next = rows.next();
            // Rows of one score are flagged together or not at all.
            if sum > best && next.is_none_or(|next| next.score < row.score) {
                (best, threshold) = (sum, row.score);
            }
        }
        threshold
    }

    /// What is flagged at `threshold` in the series `of` some kind.
    pub(super) fn flagged(
        &self,
        profile: &Profile,
        threshold: f64,
        of: impl Fn(&Series) -> bool,
    ) -> Flagged {
        let mut flagged = Flagged::default();
        let mut worths = vec![None; self.windows.len()];
        let rows = self.rows.iter().filter(|row| of(&self.series[row.series]));
        for row in rows.take_while(|row| row.score >= threshold) {
            match row.window {
                Some(window) => {
                    let worth = worths[window].get_or_insert(row.worth);
                    *worth = worth.max(row.worth);
                }
                None => {
                    flagged.false_rows += 1;
                    flagged.raw += row.worth * profile.false_row;
                }
            }
        }
        let windows = self.windows.iter().zip(&worths);
        for (_, worth) in windows.filter(|(series, _)| of(&self.series[**series])) {
            flagged.windows += 1;
            flagged.seen += usize::from(worth.is_some());
            flagged.raw += worth.unwrap_or(-profile.missed);
        }
        flagged
    }

    /// The benchmark's score at `threshold` of the series `of` some kind.
    pub(super) fn score(
        &self,
        profile: &Profile,
        threshold: f64,
        of: impl Fn(&Series) -> bool,
    ) -> f64 {
        let flagged = self.flagged(profile, threshold, of);
        profile.normal(flagged.raw, flagged.windows)
    }
}

/// What flagging a row is worth, and the window that it is in.
fn worth(row: usize, windows: &[(usize, usize)]) -> (f64, Option<usize>) {
    let next = windows.partition_point(|(_, last)| *last < row);
    if let Some((first, last)) = windows.get(next).filter(|(first, _)| *first <= row) {
        let left = (last - row + 1) as f64 / (last - first + 1) as f64;
        return (sigmoid(-left) / sigmoid(-1.0), Some(next));
    }
    let before = next.checked_sub(1).and_then(|last| windows.get(last));
    let since = |(first, last): &(usize, usize)| (row - last) as f64 / (last - first) as f64;
    (before.map_or(-1.0, |window| sigmoid(since(window))), None)
}

/// From 1 far before the end of a window, over 0 at it, to -1 far behind.
fn sigmoid(after: f64) -> f64 {
    if after > 3.0 {
        return -1.0;
    }
    2.0 / (1.0 + (5.0 * after).exp()) - 1.0
}
