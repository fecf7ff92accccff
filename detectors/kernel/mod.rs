//! The vocabulary: events, time, profiles, detectors, and the engine that drives them.

pub mod calendar;
pub mod detector;
pub mod engine;
pub mod event;
pub mod input;
pub mod inventory;
pub mod time;
