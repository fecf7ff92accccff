//! One partition that a shard owns: its engine, and how far it has come.

use std::time::Duration;

use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::{Engine, Stats};
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::limit::Limit;

use super::cache::Mark;
use super::deadletter::Refused;
use super::frame::Progress;
use super::restore::Place;
use super::{Pending, Record};
use crate::config;
use crate::service::Service;
use crate::wire::{EVENT_LOG, Reject};

/// A partition, from its assignment on.
///
/// Its state is stored at a checkpoint, its progress at every commit. After a restart the records between the
/// two are taken in once more: the same log gives the same state, and what is to be said of them is said already.
pub(super) struct Owned {
    pub(super) engine: Engine,
    /// When its state was begun; see [`Progress::begun`].
    begun: i64,
    /// The next input offset.
    pub(super) next: i64,
    /// What lies before this offset was committed by whoever had the partition before.
    told: i64,
    /// As of which offset its state is stored.
    stored: i64,
    /// When it was stored; nothing where more is known already, so that whoever is killed again and again stores it
    /// nevertheless.
    stored_at: Option<Duration>,
    /// Records that it goes on without, as was accepted; none once that is committed.
    lost: Option<i64>,
    /// Whether nothing of it was ever committed.
    new: bool,
    /// Whether something was taken since the last commit.
    pub(super) touched: bool,
    /// Whether the end of its input was reached.
    pub(super) ended: bool,
    /// What was already counted into the metrics.
    counted: Stats,
}

/// What was known of a partition when it was given back, all of it stored.
pub(super) struct Parked {
    pub(super) engine: Engine,
    pub(super) begun: i64,
    /// The next input offset.
    pub(super) next: i64,
    /// What the copy on local disk holds, if it was kept until then.
    pub(super) copy: Option<Mark>,
}

impl Owned {
    /// Goes on at `place`, with an engine as of it and when its state was begun.
    pub(super) fn new((engine, begun): (Engine, i64), place: Place, now: Duration) -> Self {
        let Place {
            next,
            told,
            lost,
            new,
        } = place;
        let mut owned = Self {
            engine,
            begun,
            next,
            told,
            stored: next,
            stored_at: (next >= told && lost.is_none()).then_some(now),
            lost,
            new,
            touched: false,
            ended: false,
            counted: Stats::default(),
        };
        if owned.has_caught_up() {
            owned.begin_to_count();
        }
        owned
    }

    /// Keeps what is known for the time when the partition comes back; nothing where not all of it is stored.
    pub(super) fn park(self, copy: Option<Mark>) -> Option<Parked> {
        let stored = self.has_caught_up() && !self.is_behind() && !self.touched;
        stored.then_some(Parked {
            engine: self.engine,
            begun: self.begun,
            next: self.next,
            copy,
        })
    }

    /// Whether nothing of it was ever committed when it was given to us.
    pub(super) const fn is_new(&self) -> bool {
        self.new
    }

    /// Whether everything is taken in again that was committed before.
    pub(super) const fn has_caught_up(&self) -> bool {
        self.next >= self.told
    }

    /// Hands records of this partition to its engine, in order. While some are judged, what is known of the identities
    /// of the next ones is fetched into the processor's cache.
    pub(super) fn take(&mut self, records: &[Record<'_>], now: Duration, pending: &mut Pending) {
        self.prefetch(records);
        let mut parts = records.chunks(Engine::AHEAD).peekable();
        while let Some(part) = parts.next() {
            self.prefetch(parts.peek().copied().unwrap_or_default());
            for record in part {
                if record.offset >= self.next {
                    self.take_one(record, now, pending);
                }
            }
        }
    }

    fn prefetch(&self, records: &[Record<'_>]) {
        let identities = records.iter().map(|record| record.content.identity());
        self.engine.prefetch(identities.flatten());
    }

    fn take_one(&mut self, record: &Record<'_>, now: Duration, pending: &mut Pending) {
        self.ended = false;
        if record.offset < self.told {
            return self.take_again(record);
        }
        self.catch_up();
        self.next = record.offset + 1;
        self.touched = true;
        pending.since.get_or_insert(now);
        let before = pending.alerts.len();
        let (fate, unknown) = self.hand(record, &mut pending.alerts);
        pending.unknown += unknown;
        pending.taken += 1;
        pending.urgent |= pending.alerts[before..]
            .iter()
            .any(|alert| alert.severity >= Severity::High);
        if let Err(reject) = fate {
            let refused = Refused::of(record, reject);
            pending.held += refused.bytes();
            pending.refused.push(refused);
        }
    }

    /// Takes in what was committed before: the state is to follow from it once more, and nothing else.
    fn take_again(&mut self, record: &Record<'_>) {
        self.next = record.offset + 1;
        let _ = self.hand(record, &mut Vec::new());
        if self.has_caught_up() {
            self.begin_to_count();
        }
    }

    /// Notes that the end of its input was reached.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.catch_up();
    }

    /// Nothing more comes of what was told: what lies before the next offset may be marks of transactions.
    fn catch_up(&mut self) {
        if !self.has_caught_up() {
            self.next = self.told;
            self.begin_to_count();
        }
    }

    fn hand(
        &mut self,
        record: &Record<'_>,
        alerts: &mut Vec<Alert>,
    ) -> (Result<Fate, Reject>, u64) {
        let (engine, mut unknown) = (&mut self.engine, 0);
        let (key, value, received) = (record.key, record.value, record.received);
        let fate = record
            .content
            .with_input(key, value, received, |input, fields| {
                unknown = u64::from(fields);
                input.map(|input| engine.handle(&input, alerts))
            });
        if let Err(reject) = &fate {
            let what = (EVENT_LOG, reject.reason.word());
            engine.refuse(what, 1, record.received, alerts);
        }
        (fate, unknown)
    }

    /// Whether its state is to be stored with the next commit: it is not, and it is time to or there is much.
    pub(super) fn is_due(&self, now: Duration, kafka: &config::Kafka) -> bool {
        let age = self.stored_at.map(|at| now.saturating_sub(at));
        self.is_behind()
            && (age.is_none_or(|age| age >= kafka.checkpoint_interval)
                || (self.next - self.stored).cast_unsigned() >= kafka.checkpoint_records
                || self.engine.unstored() >= kafka.checkpoint_identities)
    }

    /// Whether something was taken, or given up, since its state was stored.
    pub(super) const fn is_behind(&self) -> bool {
        self.has_caught_up() && (self.next > self.stored || self.lost.is_some())
    }

    /// When its state was stored; never counts as first.
    pub(super) const fn stored_at(&self) -> Option<Duration> {
        self.stored_at
    }

    /// Notes that its state is stored as of now.
    pub(super) fn stored(&mut self, now: Duration) {
        (self.stored, self.stored_at) = (self.next, Some(now));
    }

    /// What was lost by going on, if that is committed now for the first time.
    pub(super) const fn take_lost(&mut self) -> Option<i64> {
        self.lost.take()
    }

    /// How far it has come, of so many partitions, under this decision.
    pub(super) fn progress(&self, partitions: i32, decision: &str) -> Progress {
        Progress {
            next: self.next,
            stored: self.stored,
            partitions,
            decision: decision.to_owned(),
            begun: self.begun,
        }
    }

    /// Everything until now was counted by whoever took it in first; but identities are a gauge, and those of
    /// this partition are new to this process.
    fn begin_to_count(&mut self) {
        self.counted = self.engine.stats();
        (self.counted.identities, self.counted.learning) = (0, 0);
    }

    /// Moves what was counted since the last commit into the metrics.
    pub(super) fn count(&mut self, service: &Service) {
        let (now, then) = (self.engine.stats(), &self.counted);
        let metrics = &service.metrics;
        for (&fate, (now, then)) in Fate::ALL.iter().zip(now.fates.iter().zip(&then.fates)) {
            metrics.records(fate, now - then);
        }
        for (&limit, (now, then)) in Limit::ALL.iter().zip(now.limits.iter().zip(&then.limits)) {
            metrics.limit(limit, now - then);
        }
        for (card, (now, then)) in CARDS.iter().zip(now.detectors.iter().zip(&then.detectors)) {
            metrics.detector(
                card.name,
                now.evaluations - then.evaluations,
                now.findings - then.findings,
                now.panics - then.panics,
            );
        }
        metrics.identities(
            now.identities.cast_signed() - then.identities.cast_signed(),
            now.learning.cast_signed() - then.learning.cast_signed(),
        );
        metrics.folded(now.folded - then.folded);
        metrics.evicted(now.evicted - then.evicted);
        if let Some(watermark) = self.engine.watermark() {
            let partition = self.engine.partition();
            metrics.watermark(partition, Some(watermark.micros() as f64 / 1e6));
        }
        self.counted = now;
    }

    /// Takes it out of what the gauges show.
    pub(super) fn uncount(&self, service: &Service) {
        let (identities, learning) = (self.counted.identities, self.counted.learning);
        let metrics = &service.metrics;
        metrics.watermark(self.engine.partition(), None);
        metrics.identities(-identities.cast_signed(), -learning.cast_signed());
    }
}
