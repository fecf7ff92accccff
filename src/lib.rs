//! nhiwatch's shell: it moves bytes. What is decided, `nhiwatch-detectors` decides.

pub mod alert;
pub mod calendars;
pub mod commands;
pub mod config;
pub mod failure;
