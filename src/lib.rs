//! nhiwatch's shell: it moves bytes. What is decided, `nhiwatch-detectors` decides.

pub mod alert;
pub mod calendars;
pub mod cli;
pub mod commands;
pub mod config;
pub mod digest;
pub mod failure;
pub mod files;
pub mod http;
pub mod inventory;
pub mod kafka;
pub mod loss;
pub mod metrics;
pub mod panics;
pub mod partition;
pub mod replay;
pub mod scoring;
pub mod service;
pub mod shard;
pub mod simulate;
pub mod sources;
pub mod wire;
