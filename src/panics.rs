//! What is said of a bug: where it is, never what it says.

use std::backtrace::{Backtrace, BacktraceStatus};

/// From now on logs a panic by its place alone.
///
/// The message of a panic may quote what was being worked on, such as an event, and no text from an
/// event goes to the log. `RUST_BACKTRACE=1` adds the way there.
pub fn withhold_messages() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let place = place.as_deref().unwrap_or("an unknown place");
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            tracing::error!(place, %backtrace, "a bug in nhiwatch");
        } else {
            tracing::error!(place, "a bug in nhiwatch");
        }
    }));
}
