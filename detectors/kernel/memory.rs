//! What is kept of one identity: all of it, or what was stored until somebody looks at it.

use std::borrow::Cow;

use super::asleep::Asleep;
use super::baseline::Baseline;
use super::codec::Rest;
use super::hot::Hot;
use super::incidents::Incidents;
use super::name::Name;
use super::prefetch::prefetch;
use super::risk::Risk;
use super::time::{Span, Timestamp};
use crate::States;

/// Everything kept about one identity.
pub(crate) struct Memory {
    pub(crate) identity: Name,
    pub(crate) hot: Hot,
    pub(crate) baseline: Baseline,
    pub(crate) states: States,
    pub(crate) incidents: Incidents,
    /// What its findings add up to; kept from the first one on.
    pub(crate) risk: Option<Box<Risk>>,
    /// The numbers of its declared group and of those who trade on its venue; not stored.
    pub(crate) groups: [Option<u32>; 2],
    /// The number of those who are like it; not stored.
    pub(crate) peers: Option<u32>,
    /// A detector failed on it: nothing more is judged or learned.
    pub(crate) failed: bool,
    /// What must be stored: the hot part, and the rest.
    pub(crate) dirty: (bool, bool),
    /// Whether anything of it is stored, which must be deleted with it.
    pub(crate) stored: bool,
    /// What is stored of it could not be read: it stays as it is.
    pub(crate) unread: bool,
}

impl Memory {
    pub(crate) fn new(identity: &str) -> Self {
        Self {
            identity: identity.into(),
            hot: Hot::default(),
            baseline: Baseline::default(),
            states: States::default(),
            incidents: Incidents::default(),
            risk: None,
            groups: [None; 2],
            peers: None,
            failed: false,
            dirty: (false, false),
            stored: false,
            unread: false,
        }
    }

    pub(crate) const fn is_stranger(&self) -> bool {
        self.baseline.first_seen.is_none() && self.baseline.declared.is_none()
    }

    /// When it was first seen, if it has no history: it has not acted for longer than a day yet, and nobody has
    /// declared it.
    pub(crate) fn unproven(&self) -> Option<Timestamp> {
        let first_seen = self.baseline.first_seen?;
        let proven = self.hot.last.since(first_seen) > Span::DAY;
        (!proven && self.baseline.declared.is_none()).then_some(first_seen)
    }

    /// Has where each part begins that every event looks at fetched into the processor's cache.
    pub(crate) fn prefetch(&self) {
        prefetch(&self.identity);
        self.hot.prefetch();
        prefetch(&self.baseline.first_seen);
        prefetch(&self.baseline.rate);
        self.states.prefetch();
        prefetch(&self.incidents);
        prefetch(&self.risk);
        prefetch(&self.dirty);
    }

    /// Whether all of it is stored and no hour is open: then it may be kept as it is stored.
    pub(crate) fn may_sleep(&self) -> bool {
        self.stored
            && !self.unread
            && self.dirty == (false, false)
            && self.hot.open_hours().next().is_none()
    }

    /// All but its hot part, as it is stored.
    pub(crate) fn rest(&self) -> Rest<'_> {
        Rest {
            failed: self.failed,
            baseline: Cow::Borrowed(&self.baseline),
            incidents: Cow::Borrowed(&self.incidents),
            risk: self.risk.as_ref().map(Cow::Borrowed),
            states: self.states.encode(),
        }
    }
}

/// One identity: as it is, or as it was stored.
#[derive(Clone, Copy)]
pub(crate) enum Known<'k> {
    Awake(&'k Memory),
    Asleep(&'k Asleep),
}

impl<'k> Known<'k> {
    pub(crate) fn name(self) -> &'k str {
        match self {
            Self::Awake(memory) => &memory.identity,
            Self::Asleep(asleep) => &asleep.identity,
        }
    }

    pub(crate) const fn first_seen(self) -> Option<Timestamp> {
        match self {
            Self::Awake(memory) => memory.baseline.first_seen,
            Self::Asleep(asleep) => asleep.first_seen,
        }
    }

    pub(crate) const fn is_stored(self) -> bool {
        match self {
            Self::Awake(memory) => memory.stored,
            Self::Asleep(_) => true,
        }
    }
}
