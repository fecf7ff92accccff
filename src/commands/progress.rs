//! How far it is, on standard error; nothing is drawn where that is no terminal.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Bars in one place, one after the other: bytes read, then records done.
#[derive(Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// A bar for reading `bytes`, where it is known how many there are.
    pub(super) fn new(bytes: Option<u64>) -> Self {
        let (bar, template) = match bytes {
            Some(bytes) => (
                ProgressBar::new(bytes),
                "reading {bar:30} {bytes} of {total_bytes} {eta}",
            ),
            None => (ProgressBar::no_length(), "reading {spinner} {bytes}"),
        };
        let progress = Self(bar);
        progress.style(template);
        progress.0.enable_steady_tick(Duration::from_millis(200));
        progress
    }

    /// As [`Progress::new`], but none where standard output is a terminal too: what is written there
    /// would run into the bar.
    pub(super) fn beside_output(bytes: Option<u64>) -> Self {
        if std::io::stdout().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        Self::new(bytes)
    }

    /// So many more bytes are read.
    pub(super) fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// What comes now is `doing` so many `records`.
    pub(super) fn counting(&self, doing: &str, records: u64) {
        self.style(&format!(
            "{doing} {{bar:30}} {{human_pos}} of {{human_len}} {{eta}}"
        ));
        self.0.set_length(records);
        self.0.set_position(0);
        self.0.reset_eta();
    }

    /// One more record is done.
    pub(super) fn counted(&self) {
        self.0.inc(1);
    }

    /// Does `write` while the bar is out of its way.
    pub(super) fn aside<R>(&self, write: impl FnOnce() -> R) -> R {
        self.0.suspend(write)
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }

    fn style(&self, template: &str) {
        // The templates are fixed; without a style, indicatif's own serves.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
    }
}
