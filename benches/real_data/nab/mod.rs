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
    };
    report::report(&measured).map_err(io::Error::other)
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
