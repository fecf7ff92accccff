//! The series of the benchmark and what is labelled in them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use chrono::{NaiveDateTime, Timelike as _};

/// One file of the benchmark.
#[derive(Debug)]
pub(super) struct Series {
    /// Its group and file, as the labels call it.
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
    /// First and last row of each window that an anomaly is labelled in, in order.
    pub(super) windows: Vec<(usize, usize)>,
}

/// One measurement.
#[derive(Debug)]
pub(super) struct Row {
    /// When, as the file says it.
    stamp: String,
    /// Hour of the day.
    pub(super) hour: usize,
    pub(super) value: f64,
}

impl Series {
    /// The folder that the file is in.
    pub(super) fn group(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// Rows at the beginning that are not scored: 15 % of them, at most 750.
    pub(super) fn probation(&self) -> usize {
        (self.rows.len() * 15 / 100).min(750)
    }

    /// Writes the scores of the rows as the benchmark's own scorer reads them.
    pub(super) fn write_scores(&self, folder: &Path, scores: &[f64]) -> io::Result<()> {
        let mut text = "timestamp,anomaly_score\n".to_owned();
        for (row, score) in self.rows.iter().zip(scores) {
            writeln!(text, "{},{score}", row.stamp).map_err(io::Error::other)?;
        }
        let path = folder.join(&self.name);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(path, text)
    }
}

/// All series that have labels, by name.
pub(super) fn read(folder: &Path) -> io::Result<Vec<Series>> {
    let path = folder.join("labels/combined_windows.json");
    let labels: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text(&path)?).map_err(|error| wrong(&path, &error.to_string()))?;
    let one = |(name, labels): (String, Vec<(String, String)>)| {
        let path = folder.join("data").join(&name);
        let lines = text(&path)?;
        let rows: Option<Vec<Row>> = lines.lines().skip(1).map(row).collect();
        let rows = rows.ok_or_else(|| wrong(&path, "a line is not `timestamp,value`"))?;
        // Labels have fractions of seconds, rows have none.
        let find = |label: &str| {
            rows.iter()
                .position(|row| label.starts_with(row.stamp.as_str()))
        };
        let windows: Option<Vec<_>> = labels
            .iter()
            .map(|(first, last)| Some((find(first)?, find(last)?)))
            .collect();
        let windows = windows.ok_or_else(|| wrong(&path, "no row is at a labelled time"))?;
        Ok(Series {
            name,
            rows,
            windows,
        })
    };
    labels.into_iter().map(one).collect()
}

fn row(line: &str) -> Option<Row> {
    let (stamp, value) = line.split_once(',')?;
    let at = NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S").ok()?;
    Some(Row {
        stamp: stamp.to_owned(),
        hour: at.hour() as usize,
        value: value.parse().ok()?,
    })
}

/// What is in a file; an error that names it.
pub(super) fn text(path: &Path) -> io::Result<String> {
    std::fs::read_to_string(path).map_err(|error| wrong(path, &error.to_string()))
}

/// An error about a file.
pub(super) fn wrong(path: &Path, what: &str) -> io::Error {
    io::Error::other(format!("{}: {what}", path.display()))
}
