//! The point at which two detectors are compared: so many honest things flagged, and no more.

use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Settings, Sighting};
use nhiwatch_detectors::kernel::options::Probability;

/// An engine whose `tool-chain` says all that it can say, however probable, and keeps it; whose `off-hours` tells of hours at
/// which an identity is active as seldom as `hours` says.
pub(crate) fn outspoken(hours: f64) -> Engine {
    let mut detectors = Configs::default();
    detectors.tool_chain.config.p_max = Probability::new(OUTSPOKEN);
    detectors.off_hours.config.p_max = Probability::new(hours);
    let decision = Decision::new(Settings {
        detectors,
        ..Settings::default()
    });
    let mut engine = Engine::new(0, Arc::new(decision));
    engine.keep_sightings();
    engine
}

/// How seldom that is by default.
pub(crate) fn usual_hours() -> f64 {
    Configs::default().off_hours.config.p_max.get()
}

/// What `tool-chain` weighs most of these findings, in bits; 0 where there is none.
pub(crate) fn heaviest<'s>(sightings: impl Iterator<Item = &'s Sighting>) -> f64 {
    let own = sightings.filter(|sighting| sighting.detector == "tool-chain");
    own.filter_map(|sighting| sighting.finding.weight())
        .fold(0.0, f64::max)
}

/// The least weight above which no more than `share` of the honest ones lie.
pub(crate) fn threshold(honest: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut weights: Vec<f64> = honest.collect();
    weights.sort_by(|a, b| b.total_cmp(a));
    let allowed = (weights.len() as f64 * share) as usize;
    weights.get(allowed).copied().unwrap_or(0.0)
}

/// How improbable something must be for the engine to say it.
const OUTSPOKEN: f64 = 0.5;
