//! What every thread of the service shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nhiwatch_detectors::kernel::engine::Decision;

use crate::config::Config;
use crate::http::Health;
use crate::inventory::Inventory;
use crate::loss::Loss;
use crate::metrics::Metrics;
use crate::shard::cache::Directory;
use crate::sources::Sources;

/// What every thread of the service shares; none of it takes part in a decision's state.
#[derive(Clone)]
pub struct Service {
    /// The configuration.
    pub config: Arc<Config>,
    /// Detectors, limits and calendars.
    pub decision: Arc<Decision>,
    /// Whether to go on although something is lost by it, which is refused otherwise.
    pub loss: Arc<Loss>,
    /// Where the state is kept on local disk as well, if anywhere.
    pub cache: Option<Arc<Directory>>,
    /// The mapping files.
    pub sources: Arc<Sources>,
    /// What the inventory file declares.
    pub inventory: Arc<Inventory>,
    /// Where to count.
    pub metrics: Metrics,
    /// Where to say whether we work.
    pub health: Arc<Health>,
    /// Set once, when the process is to end.
    pub stop: Arc<AtomicBool>,
}

impl Service {
    /// Whether the process is to end.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
