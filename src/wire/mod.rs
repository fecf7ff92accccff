//! The wire format: bytes in, the kernel's values out, and back.

pub mod control;
pub mod encode;
pub mod event;
mod fields;
pub mod input;
pub mod log;
pub mod reject;
pub mod timestamp;
mod values;

pub use event::RawEvent;
pub use input::{Content, with_input};
pub use log::LogLine;
pub use reject::{Reason, Reject};

/// What an alert calls the events log, where a record of it cannot be read.
pub const EVENT_LOG: &str = "events log";
