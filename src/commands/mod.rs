//! One module per command.

pub mod calendars;
