//! How far it is, on standard error; nothing is drawn where that is no terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Two bars in one place: bytes read, then events judged.
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

    /// So many more bytes are read.
    pub(super) fn read(&self, bytes: u64) {
        self.0.inc(bytes);
    }

    /// All is read, and `events` are still to be judged.
    pub(super) fn judging(&self, events: u64) {
        self.style("judging {bar:30} {human_pos} of {human_len} {eta}");
        self.0.set_length(events);
        self.0.set_position(0);
        self.0.reset_eta();
    }

    /// One more event is judged.
    pub(super) fn judged(&self) {
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
