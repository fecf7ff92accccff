//! What is wrong with a configuration file, and how it is shown.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

use crate::failure::Failure;

/// One thing wrong at one place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The bytes of the file it is about.
    pub at: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// The cure; empty where there is none to name.
    pub hint: String,
}

impl Problem {
    pub(super) fn new(
        at: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            at,
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// Why a configuration could not be loaded.
#[derive(Debug)]
pub enum ConfigErrors {
    /// The file cannot be read.
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file says something invalid.
    Invalid {
        /// The file.
        file: PathBuf,
        /// What it contains.
        text: String,
        /// All that is wrong, in the order of the file.
        problems: Vec<Problem>,
    },
}

impl ConfigErrors {
    pub(super) fn unreadable(file: &Path, reason: impl fmt::Display) -> Self {
        Self::Unreadable {
            file: file.to_owned(),
            reason: reason.to_string(),
        }
    }
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    /// Every problem with `file:line:col`, the line itself with carets, and the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, reason } => {
                write!(
                    f,
                    "cannot read the config file {}: {reason}",
                    file.display()
                )
            }
            Self::Invalid {
                file,
                text,
                problems,
            } => {
                let many = if problems.len() == 1 {
                    "error"
                } else {
                    "errors"
                };
                writeln!(f, "{} {many} in {}", problems.len(), file.display())?;
                let source = NamedSource::new(file.display().to_string(), text.clone());
                let printer = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                    .with_context_lines(0)
                    .with_width(100);
                for problem in problems {
                    writeln!(f)?;
                    printer.render_report(
                        f,
                        &Shown {
                            problem,
                            source: &source,
                        },
                    )?;
                }
                Ok(())
            }
        }
    }
}

impl From<ConfigErrors> for Failure {
    fn from(errors: ConfigErrors) -> Self {
        let text = errors.to_string().trim_end().to_owned();
        match errors {
            ConfigErrors::Unreadable { .. } => Self::Environment(text),
            ConfigErrors::Invalid { .. } => Self::Invalid(text),
        }
    }
}

/// A problem beside the file it is in.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: &'a NamedSource<String>,
}

impl std::error::Error for Shown<'_> {}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem.message)
    }
}

impl Diagnostic for Shown<'_> {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.problem.hint.is_empty()).then(|| Box::new(&self.problem.hint) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = LabeledSpan::new_with_span(Some("here".into()), self.problem.at.clone());
        Some(Box::new(std::iter::once(span)))
    }
}
