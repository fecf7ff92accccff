//! Why a record could not be read.

use std::fmt;

/// The kind of fault; its word is used in dead letters, metrics and summaries.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// Not one well-formed JSON value.
    Json,
    /// A required field is absent, null or empty.
    MissingField,
    /// A field has a value of the wrong type, or outside what it may be.
    WrongType,
    /// The time is unreadable, ambiguous or out of range.
    Timestamp,
    /// The record, a string or a list is longer than its limit.
    TooLarge,
    /// Not UTF-8.
    Utf8,
    /// The record's key is not the identity it is about.
    KeyMismatch,
    /// A control record that says nothing valid.
    Control,
    /// No mapping fits it, or the mapping found no event in it.
    Mapping,
    /// It has no value.
    Empty,
}

impl Reason {
    /// Every reason, in order.
    pub const ALL: &'static [Self] = &[
        Self::Json,
        Self::MissingField,
        Self::WrongType,
        Self::Timestamp,
        Self::TooLarge,
        Self::Utf8,
        Self::KeyMismatch,
        Self::Control,
        Self::Mapping,
        Self::Empty,
    ];

    /// The word used for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MissingField => "missing-field",
            Self::WrongType => "wrong-type",
            Self::Timestamp => "timestamp",
            Self::TooLarge => "too-large",
            Self::Utf8 => "utf8",
            Self::KeyMismatch => "key-mismatch",
            Self::Control => "control",
            Self::Mapping => "mapping",
            Self::Empty => "empty",
        }
    }

    /// The reason that `word` stands for, if any.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|reason| reason.word() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A record refused at the edge: what was wrong with it, and where.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reject {
    /// The kind of fault.
    pub reason: Reason,
    /// The place and the fault in words; may quote the record, so show it only escaped.
    pub detail: String,
}

impl Reject {
    /// The most characters of `detail` that are kept: a hostile record must not fill the logs.
    pub const DETAIL_MAX: usize = 240;

    /// A refusal for `reason`; `detail` is cut to [`Reject::DETAIL_MAX`] characters.
    #[must_use]
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        let mut detail = detail.to_string();
        if let Some((end, _)) = detail.char_indices().nth(Self::DETAIL_MAX) {
            detail.truncate(end);
            detail.push('…');
        }
        Self { reason, detail }
    }
}

impl fmt::Display for Reject {
    /// `reason: detail`, with control and other invisible characters escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.reason)?;
        for c in self.detail.chars() {
            // `escape_debug` would also escape quotes, which are harmless and common here.
            if matches!(c, '"' | '\'' | '\\') {
                write!(f, "{c}")?;
            } else {
                write!(f, "{}", c.escape_debug())?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Reject {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_short_and_shown_without_control_characters() {
        let reject = Reject::new(Reason::Json, format!("\u{1b}[31m\n{}", "x".repeat(5000)));
        let shown = reject.to_string();
        assert!(shown.starts_with("json: \\u{1b}[31m\\nxxx"), "{shown}");
        assert!(shown.chars().count() < 300);
    }
}
