//! Sets that are published as one JSON object a line, compressed.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::de::DeserializeOwned;

/// The records of the file at `path`, in its order.
///
/// # Errors
///
/// Where the file is missing, or a line is not as it is published: the error names both.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let named = |line: usize, error: &dyn std::fmt::Display| {
        let path = path.display();
        io::Error::other(format!("{path}, line {line}: {error}"))
    };
    let file = File::open(path);
    let file = file.map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    let parsed = (1..).zip(lines).map(|(number, line)| {
        let line = line.map_err(|error| named(number, &error))?;
        serde_json::from_str(&line).map_err(|error| named(number, &error))
    });
    parsed.collect()
}
