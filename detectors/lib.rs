//! The pure half of nhiwatch: it decides. Nothing here reads a clock, a file or a socket.

pub mod kernel;

/// Every detector's section of the config file.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configs {}

/// Every detector's card, in order.
pub const CARDS: &[kernel::detector::Card] = &[];
