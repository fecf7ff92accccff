//! The Numenta Anomaly Benchmark (Lavin and Ahmad 2015).

mod lens;
mod published;
mod report;
mod scoring;
mod series;
mod volume;

use std::io;
use std::path::Path;

use report::Measured;
use scoring::{Corpus, PROFILES};
use series::Series;
use volume::{CONSTANTS, Constants, Volume};

/// Scores the series in `folder` and reports it; `quick`ly only the artificial ones. The scores of the
/// rows go to `scores`, if there is such a folder to be.
///
/// # Errors
///
/// Where a file of the benchmark is missing or not as it is published, or one cannot be written.
pub(crate) fn measure(folder: &Path, quick: bool, scores: Option<&Path>) -> io::Result<String> {
    let mut series = series::read(folder)?;
    if quick {
        series.retain(|series| series.group().starts_with("artificial"));
    }
    let found = all(&series, CONSTANTS);
    if let Some(to) = scores {
        for (series, found) in series.iter().zip(&found) {
            series.write_scores(to, found)?;
        }
    }
    let corpus = Corpus::new(&series, &found);
    let standard = PROFILES[0];
    let threshold = corpus.threshold(&standard, |_| true);
    let varied = volume::varied()
        .into_iter()
        .map(|(name, low, high)| {
            let best = |constants| {
                let found = all(&series, constants);
                let corpus = Corpus::new(&series, &found);
                let threshold = corpus.threshold(&standard, |_| true);
                corpus.score(&standard, threshold, |_| true)
            };
            (name, best(low), best(high))
        })
        .collect();
    let published = published::read(folder, &series)?;
    let measured = Measured {
        corpus: &corpus,
        threshold,
        varied,
        published,
        clock: clock(&series),
    };
    report::report(&measured).map_err(io::Error::other)
}

/// The best that a clock does which flags every so many-th row, and its rows: what luck is worth.
fn clock(series: &[Series]) -> (f64, usize) {
    let scored = (50..=1000).step_by(50).map(|every| {
        let flag = |row: usize| f64::from(u8::from(row.is_multiple_of(every)));
        let found: Vec<Vec<f64>> = series
            .iter()
            .map(|series| (0..series.rows.len()).map(flag).collect())
            .collect();
        let flagged = Corpus::new(series, &found);
        (flagged.score(&PROFILES[0], 1.0, |_| true), every)
    });
    scored.fold((f64::NEG_INFINITY, 0), |best, other| {
        if other.0 > best.0 { other } else { best }
    })
}

/// The score of every row of every series.
fn all(series: &[Series], constants: Constants) -> Vec<Vec<f64>> {
    let scores = |series: &Series| {
        let mut volume = Volume::new(constants);
        let rows = series.rows.iter();
        rows.map(|row| volume.score(row.hour, row.value)).collect()
    };
    series.iter().map(scores).collect()
}
