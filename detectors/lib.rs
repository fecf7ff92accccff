//! The pure half of nhiwatch: it decides. Nothing here reads a clock, a file or a socket, and
//! nothing depends on the order of a hash map: the same log always gives the same alerts.
//!
//! [`kernel`] holds what all detectors share; each other folder is one detector with its page.

pub mod kernel;

// Private, so that a detector missing from the list below is seen to be unused.
mod api_volume;
#[cfg(test)]
mod dice;
mod drift;
mod egress_volume;
mod error_burst;
#[cfg(test)]
mod fragile;
mod off_hours;
mod silence;
mod tool_chain;

kernel::registry::registry! {
    api_volume: api_volume::ApiVolume,
    drift: drift::Drift,
    egress_volume: egress_volume::EgressVolume,
    error_burst: error_burst::ErrorBurst,
    #[cfg(test)]
    fragile: fragile::Fragile,
    off_hours: off_hours::OffHours,
    silence: silence::Silence,
    tool_chain: tool_chain::ToolChain,
}
