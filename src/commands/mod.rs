//! One module per command.

pub mod map;
