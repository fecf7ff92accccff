//! Where the alerts go: as text to a person, or as NDJSON to a file or a pipe.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

use nhiwatch_detectors::kernel::alert::{Alert, IncidentId};
use nhiwatch_detectors::kernel::detector::Severity;

use crate::alert::{native, person};
use crate::failure::Failure;
use crate::files::STDIN;

/// Where alerts are written, and how.
pub(super) enum Output {
    /// Each new alert, and each that has become more severe, as text on standard output.
    Person {
        /// Whether with colours.
        colour: bool,
        /// The severity at which each incident was last shown.
        shown: HashMap<IncidentId, Severity>,
    },
    /// Nowhere: what was raised does not matter.
    Nowhere,
    /// Every revision as one line of JSON.
    Native {
        /// To where.
        to: Box<dyn Write>,
        /// Whether that is standard output.
        stdout: bool,
    },
}

impl Output {
    /// Opens `alerts`: a file, `-`, or text on standard output where there is none.
    pub(super) fn open(alerts: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = alerts else {
            let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
            let colour = !plain && io::stdout().is_terminal();
            let shown = HashMap::new();
            return Ok(Self::Person { colour, shown });
        };
        let stdout = path.as_os_str() == STDIN;
        let to: Box<dyn Write> = if stdout {
            Box::new(BufWriter::new(io::stdout()))
        } else {
            Box::new(BufWriter::new(File::create(path).map_err(|error| {
                Failure::Environment(format!(
                    "{} cannot be written: {error}; name a file in a folder you may write to",
                    path.display()
                ))
            })?))
        };
        Ok(Self::Native { to, stdout })
    }

    /// Writes one alert.
    pub(super) fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        match self {
            Self::Native { to, .. } => writeln!(to, "{}", native(alert)),
            Self::Person { colour, shown } => {
                let severity = Some(alert.severity);
                if severity <= shown.get(&alert.id).copied() {
                    return Ok(());
                }
                shown.insert(alert.id, alert.severity);
                let mut out = io::stdout().lock();
                writeln!(out, "{}", person(alert, *colour))?;
                out.flush()
            }
            Self::Nowhere => Ok(()),
        }
    }

    /// Writes what is still held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Native { to, .. } => to.flush(),
            Self::Person { .. } | Self::Nowhere => Ok(()),
        }
    }

    /// Whether standard output is for NDJSON alone.
    pub(super) const fn is_stdout_taken(&self) -> bool {
        matches!(self, Self::Native { stdout: true, .. })
    }
}

/// What the place alerts go to is called.
pub(super) fn name(alerts: Option<&Path>) -> String {
    match alerts {
        Some(path) if path.as_os_str() != STDIN => path.display().to_string(),
        _ => "standard output".to_owned(),
    }
}
