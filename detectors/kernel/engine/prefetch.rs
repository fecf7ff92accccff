//! Waiting for memory ahead of the events that need it.

use super::Engine;
use crate::kernel::identities::AT_ONCE;

impl Engine {
    /// How many identities [`Engine::prefetch`] looks at.
    pub const AHEAD: usize = AT_ONCE;

    /// Has what is known of the first [`Engine::AHEAD`] of these identities fetched into the processor's cache, since they
    /// are about to act: where there are many, much of an event's time is waiting for memory. It changes nothing.
    pub fn prefetch<'n>(&self, identities: impl Iterator<Item = &'n str>) {
        self.identities.prefetch(identities);
    }
}
