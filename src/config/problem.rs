//! What is wrong with a file of the configuration, and how it is shown.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
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
    pub(crate) fn new(
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

/// Why a file of the configuration could not be loaded.
#[derive(Debug)]
pub enum ConfigErrors {
    /// The file cannot be read.
    Unreadable {
        /// What sort of file it is.
        what: &'static str,
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
    pub(crate) fn unreadable(what: &'static str, file: &Path, reason: impl fmt::Display) -> Self {
        Self::Unreadable {
            what,
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
            Self::Unreadable { what, file, reason } => {
                write!(f, "cannot read the {what} {}: {reason}", file.display())
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
                let source = Lines {
                    file: file.display().to_string(),
                    text: masked(text),
                };
                let printer = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
                    .with_context_lines(1)
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

/// Whether what stands under `key` is a secret.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["jaas", "passphrase", "password", "secret"]
        .iter()
        .any(|word| key.contains(word))
}

/// Whether what comes after a colon with this `before` it must not be shown: a key with a dot is one of
/// librdkafka's, and a misspelt one may be a secret's.
fn is_hidden(before: &str) -> bool {
    let key = before.rsplit([' ', '{', ',']).next();
    is_secret(before) || key.is_some_and(|key| key.contains('.'))
}

/// `text` with stars for everything that must not be shown; places stay what they are.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut under = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        let blank = line.trim().is_empty();
        let shown = match under {
            Some(outer) if blank || indent > outer => indent,
            _ => match line
                .match_indices(':')
                .find(|(colon, _)| is_hidden(&line[..*colon]))
            {
                Some((colon, _)) => {
                    under = Some(indent);
                    colon + 1
                }
                None => {
                    under = None;
                    line.len()
                }
            },
        };
        let (open, hidden) = line.split_at(shown);
        masked.push_str(open);
        // One star for each byte keeps every byte's place.
        masked.extend(hidden.bytes().map(|byte| match byte {
            b'\n' | b'\r' | b' ' => char::from(byte),
            _ => '*',
        }));
    }
    masked
}

/// The file as it may be shown: of each problem the whole line, and no other.
#[derive(Debug)]
struct Lines {
    file: String,
    text: String,
}

impl Lines {
    /// The rest of the line in which `at` begins, if `at` goes on in the next; at least a character.
    fn first_line(&self, at: &Range<usize>) -> Range<usize> {
        let start = at.start.min(self.text.len());
        let rest = &self.text[start..];
        let line = rest.find(['\r', '\n']).unwrap_or(rest.len());
        start..at.end.min(start + line).max(start)
    }
}

impl SourceCode for Lines {
    /// With no context only the place itself, else the whole line.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        _after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (mut start, mut end) = (span.offset(), span.offset() + span.len());
        let line_start = self.text[..start]
            .rfind('\n')
            .map_or(0, |newline| newline + 1);
        let line = self.text[..start].matches('\n').count();
        let mut column = self.text[line_start..start].chars().count();
        if before > 0 {
            (start, column) = (line_start, 0);
            end = self.text[end..]
                .find('\n')
                .map_or(self.text.len(), |newline| end + newline);
        }
        let data = self.text[start..end].trim_end_matches('\r').as_bytes();
        let span = (start, data.len()).into();
        let contents =
            MietteSpanContents::new_named(self.file.clone(), data, span, line, column, 1);
        Ok(Box::new(contents))
    }
}

/// A problem beside the file it is in.
#[derive(Debug)]
struct Shown<'a> {
    problem: &'a Problem,
    source: &'a Lines,
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
        let at = self.source.first_line(&self.problem.at);
        let span = LabeledSpan::new_with_span(Some("here".into()), at);
        Some(Box::new(std::iter::once(span)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_secret_is_masked_and_places_stay() {
        let text = "kafka:\n  sasl_password: hünter2\n  key_password: >\n    multi\n    line\n\n  x: {password: a, b: c}\ny: 1\nlibrdkafka:\n  ssl.key.passwrd: hunter3\n";
        let masked = masked(text);
        assert_eq!(masked.len(), text.len());
        for part in ["nter2", "multi", "line", "a, b", "hunter3"] {
            assert!(!masked.contains(part), "{masked}");
        }
        for part in [
            "kafka:\n",
            "sasl_password: *",
            "\n  x: {password: *",
            "\ny: 1\nlibrdkafka:\n  ssl.key.passwrd: *",
        ] {
            assert!(masked.contains(part), "{masked}");
        }
    }
}
