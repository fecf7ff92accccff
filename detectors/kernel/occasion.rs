//! What a finding came with: whom it is about, when it happened, and by what it is weighed.

use super::baseline::Baseline;
use super::budget::Thresholds;
use super::clock::SKEW;
use super::detector::BaselineState;
use super::event::Event;
use super::noise::Common;
use super::time::Timestamp;

/// What a finding came with.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    /// Whom it is about.
    pub(crate) identity: &'a str,
    /// When it is to have happened: not after it arrived, or an incident would stay open for ever.
    pub(crate) ts: Timestamp,
    /// The newest time there is.
    pub(crate) now: Timestamp,
    /// When an alert says that it happened.
    pub(crate) said: Timestamp,
    /// Id, action and address of the event it was found at; nothing where time alone has told.
    pub(crate) uid: Option<&'a str>,
    pub(crate) action: &'a str,
    pub(crate) ip: Option<&'a str>,
    /// What was known of the identity.
    pub(crate) baseline: &'a Baseline,
    /// By what it is weighed.
    pub(crate) measure: Measure<'a>,
}

/// By what findings are weighed.
#[derive(Clone, Copy)]
pub(crate) struct Measure<'a> {
    /// Digest of the decisions in force.
    pub(crate) decision: &'a str,
    /// The budget, solved.
    pub(crate) thresholds: &'a Thresholds,
    /// The noise of the partition's identities.
    pub(crate) common: &'a Common,
}

impl<'a> Occasion<'a> {
    /// An event, while the partition's time is `front`.
    pub(crate) fn at(
        event: &'a Event<'a>,
        front: Timestamp,
        baseline: &'a Baseline,
        measure: Measure<'a>,
    ) -> Self {
        let ts = event
            .received
            .map_or(event.ts, |received| event.ts.min(received.plus(SKEW)));
        Self {
            identity: event.identity,
            ts,
            now: front.max(ts),
            said: event.ts,
            uid: event.uid,
            action: event.action,
            ip: event.ip,
            baseline,
            measure,
        }
    }

    /// A moment at which time alone has told something of `identity`.
    pub(crate) const fn alone(
        identity: &'a str,
        ts: Timestamp,
        now: Timestamp,
        baseline: &'a Baseline,
        measure: Measure<'a>,
    ) -> Self {
        Self {
            identity,
            ts,
            now,
            said: ts,
            uid: None,
            action: "",
            ip: None,
            baseline,
            measure,
        }
    }

    /// How much was known of the identity.
    pub(crate) fn state(&self) -> BaselineState {
        BaselineState::of(self.baseline.age(self.ts))
    }
}
