//! What the benchmark publishes of other detectors on the same series.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::scoring::PROFILES;
use super::series::{Series, text};

/// A detector and its scores by profile, in the order of [`PROFILES`].
pub(super) type Published = (String, [f64; 3]);

/// The rows of `published/per_file_scores`, added up over these `series`; a detector without a row for
/// each of them is left out, as is `null`, which flags nothing.
pub(super) fn read(folder: &Path, series: &[Series]) -> io::Result<Vec<Published>> {
    let folder = folder.join("published/per_file_scores");
    let mut detectors = Vec::new();
    let suffix = format!("_{}_scores.csv", PROFILES[0].name);
    for entry in std::fs::read_dir(&folder)? {
        let file = entry?.file_name();
        let detector = file.to_str().and_then(|file| file.strip_suffix(&suffix));
        detectors.extend(
            detector
                .filter(|name| *name != "null")
                .map(ToOwned::to_owned),
        );
    }
    detectors.sort();
    let mut published = Vec::new();
    'detectors: for detector in detectors {
        let mut scores = [0.0; 3];
        for (score, profile) in scores.iter_mut().zip(&PROFILES) {
            let path = folder.join(format!("{detector}_{}_scores.csv", profile.name));
            let Some(raw) = raw(&text(&path)?, series) else {
                continue 'detectors;
            };
            let windows = series.iter().map(|series| series.windows.len()).sum();
            *score = profile.normal(raw, windows);
        }
        published.push((detector, scores));
    }
    Ok(published)
}

/// The sum of the raw scores (`Detector,Profile,File,Threshold,Score,...`) of these series.
fn raw(lines: &str, series: &[Series]) -> Option<f64> {
    let scores: BTreeMap<&str, f64> = lines
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(',').skip(2);
            let file = fields.next()?.trim_start_matches('/');
            Some((file, fields.nth(1)?.parse().ok()?))
        })
        .collect();
    let own = |series: &Series| scores.get(series.name.as_str()).copied();
    series.iter().map(own).sum()
}
