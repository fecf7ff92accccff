//! The pure half of nhiwatch: it decides. Nothing here reads a clock, a file or a socket, and
//! nothing depends on the order of a hash map: the same log always gives the same alerts.
//!
//! [`kernel`] holds what all detectors share; each other folder is one detector with its page.

pub mod kernel;

// Private, so that a detector missing from the list below is seen to be unused.
mod api_volume;
#[cfg(test)]
mod fragile;
mod off_hours;
mod silence;
mod tool_chain;

kernel::registry::registry! {
    api_volume: api_volume::ApiVolume,
    #[cfg(test)]
    fragile: fragile::Fragile,
    off_hours: off_hours::OffHours,
    silence: silence::Silence,
    tool_chain: tool_chain::ToolChain,
}
