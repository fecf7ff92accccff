//! The vocabulary: events, time, baselines, detectors, and the engine that drives them.

#[cfg(feature = "ablation")]
pub mod ablation;

pub mod time;

pub mod event;
pub mod inventory;
pub mod schedule;

pub mod input;

pub mod calendar;

pub mod tails;

pub mod familiar;
mod fit;
pub mod flow;
pub mod growth;
pub mod level;
pub mod minutes;
mod name;
pub mod names;
pub mod presence;
pub mod rate;
mod runs;
pub mod season;
pub mod surprise;
pub mod tally;
pub mod trail;

pub mod anchor;
pub mod baseline;
pub mod hot;
pub mod patience;
pub mod quarantine;

pub mod alert;
pub mod detector;
pub mod options;
pub mod registry;

mod asleep;
mod births;
pub mod clock;
mod groups;
mod holidays;
pub mod identities;
mod memory;
mod newcomers;
pub mod peers;
pub(crate) mod prefetch;
pub mod seen;
mod shortfalls;
mod slab;
mod timers;

pub mod limit;

pub mod budget;
mod incident;
mod incidents;
mod noise;
mod occasion;
pub mod own;
pub mod risk;
mod storm;
mod storms;
pub mod triage;

pub mod codec;
pub mod engine;
