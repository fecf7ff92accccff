//! nhiwatch's shell: it moves bytes. What is decided, `nhiwatch-detectors` decides.

pub mod cli;
pub mod commands;
pub mod config;
pub mod failure;
pub mod http;
pub mod metrics;
pub mod wire;
