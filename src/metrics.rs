//! The list of metrics, and the only way to touch them. No label ever carries anything from data.

mod labels;
mod list;

use std::sync::Arc;

use dashmap::DashMap;
use nhiwatch_detectors::CARDS;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::limit::Limit;
use nhiwatch_detectors::kernel::own::OWN;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

pub use self::labels::{Intake, Role};
use self::list::{List, seconds};
use crate::wire::Reason;

/// Every metric's name.
pub const NAMES: &[&str] = &[
    "nhiwatch_build_info",
    "nhiwatch_records_total",
    "nhiwatch_intake_records_total",
    "nhiwatch_heartbeats_total",
    "nhiwatch_deadletters_total",
    "nhiwatch_lost_records_total",
    "nhiwatch_unknown_fields_total",
    "nhiwatch_detector_evaluations_total",
    "nhiwatch_detector_findings_total",
    "nhiwatch_detector_panics_total",
    "nhiwatch_alerts_total",
    "nhiwatch_alerts_folded_total",
    "nhiwatch_identities",
    "nhiwatch_identities_learning",
    "nhiwatch_identities_evicted_total",
    "nhiwatch_limits_total",
    "nhiwatch_consumer_lag_records",
    "nhiwatch_watermark_timestamp_seconds",
    "nhiwatch_commits_total",
    "nhiwatch_commit_seconds",
    "nhiwatch_checkpoint_seconds",
    "nhiwatch_teardowns_total",
    "nhiwatch_restore_seconds",
    "nhiwatch_state_cache_given_up_total",
    "nhiwatch_partitions_assigned",
    "nhiwatch_ready",
];

/// Why a thread gave up its clients: the words of [`Teardown`](crate::kafka::Teardown).
const TEARDOWNS: [&str; 2] = ["kafka", "refused"];

/// The metrics; clones are cheap and count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    records: IntCounterVec,
    intake: IntCounterVec,
    heartbeats: IntCounter,
    deadletters: IntCounterVec,
    lost: IntCounter,
    cache_given_up: IntCounter,
    unknown_fields: IntCounter,
    evaluations: IntCounterVec,
    findings: IntCounterVec,
    panics: IntCounterVec,
    alerts: IntCounterVec,
    identities: IntGauge,
    identities_learning: IntGauge,
    folded: IntCounter,
    identities_evicted: IntCounter,
    limits: IntCounterVec,
    lag: IntGaugeVec,
    watermark: Gauge,
    /// What the gauge is the least of, by partition: shards write, whoever asks for metrics reads.
    watermarks: Arc<DashMap<u32, f64>>,
    commits: IntCounterVec,
    commit_seconds: HistogramVec,
    checkpoint_seconds: Histogram,
    teardowns: IntCounterVec,
    restore_seconds: Gauge,
    partitions: IntGauge,
    ready: IntGauge,
}

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    ///
    /// Only where the list itself is wrong, such as a name that stands in it twice.
    pub fn new() -> prometheus::Result<Self> {
        let list = List(Registry::new());
        let metrics = Self {
            records: list.counters(
                "nhiwatch_records_total",
                "Records of the event topic, by what became of them; each has one fate.",
                &["fate"],
            )?,
            intake: list.counters(
                "nhiwatch_intake_records_total",
                "Raw records, by what became of them.",
                &["outcome"],
            )?,
            heartbeats: list.counter(
                "nhiwatch_heartbeats_total",
                "Records that tell a silent partition of the event topic what time it is.",
            )?,
            deadletters: list.counters(
                "nhiwatch_deadletters_total",
                "Records sent to the dead-letter topic, by who could not read them and why.",
                &["role", "reason"],
            )?,
            lost: list.counter(
                "nhiwatch_lost_records_total",
                "Records that were never read, and that --accept-data-loss said to go on without.",
            )?,
            cache_given_up: list.counter(
                "nhiwatch_state_cache_given_up_total",
                "Times that the copy of a partition's state on local disk was given up until the next start.",
            )?,
            unknown_fields: list.counter(
                "nhiwatch_unknown_fields_total",
                "Fields of events that were ignored because the schema does not know them.",
            )?,
            evaluations: list.counters(
                "nhiwatch_detector_evaluations_total",
                "Events a detector evaluated; one that does not count by its rules only.",
                &["detector"],
            )?,
            findings: list.counters(
                "nhiwatch_detector_findings_total",
                "Findings of a detector; an event may break a rule and be unusual besides.",
                &["detector"],
            )?,
            panics: list.counters(
                "nhiwatch_detector_panics_total",
                "Failures of a detector; each is a bug in it.",
                &["detector"],
            )?,
            alerts: list.counters(
                "nhiwatch_alerts_total",
                "Incidents opened, by detector and severity.",
                &["detector", "severity"],
            )?,
            folded: list.counter(
                "nhiwatch_alerts_folded_total",
                "Incidents of one identity that were told as one of a storm only.",
            )?,
            identities: list.gauge(
                "nhiwatch_identities",
                "Identities this process keeps a baseline of.",
            )?,
            identities_learning: list.gauge(
                "nhiwatch_identities_learning",
                "Identities whose baseline is still learning: known for less than a week.",
            )?,
            identities_evicted: list.counter(
                "nhiwatch_identities_evicted_total",
                "Identities forgotten to stay within the limit.",
            )?,
            limits: list.counters(
                "nhiwatch_limits_total",
                "Times something was lost to a limit, by limit.",
                &["limit"],
            )?,
            lag: list.gauges(
                "nhiwatch_consumer_lag_records",
                "Records not yet taken from the topics a role reads, transaction marks included.",
                &["role"],
            )?,
            watermark: list.float(
                "nhiwatch_watermark_timestamp_seconds",
                "How far event time has come in the slowest partition, as Unix time.",
            )?,
            commits: list.counters(
                "nhiwatch_commits_total",
                "Transactions committed.",
                &["role"],
            )?,
            commit_seconds: list.keep(HistogramVec::new(
                seconds(
                    "nhiwatch_commit_seconds",
                    "How long committing a transaction took.",
                ),
                &["role"],
            )?)?,
            checkpoint_seconds: list.keep(Histogram::with_opts(seconds(
                "nhiwatch_checkpoint_seconds",
                "How long a commit took that stored the state of a partition.",
            ))?)?,
            teardowns: list.counters(
                "nhiwatch_teardowns_total",
                "Times a thread gave up its clients and began anew, by reason.",
                &["reason"],
            )?,
            restore_seconds: list.float(
                "nhiwatch_restore_seconds",
                "How long the latest restore of baselines took.",
            )?,
            partitions: list.gauge(
                "nhiwatch_partitions_assigned",
                "Partitions of the event topic this process has.",
            )?,
            ready: list.gauge(
                "nhiwatch_ready",
                "Whether the process does its work: 1 where /readyz answers 200.",
            )?,
            watermarks: Arc::default(),
            registry: list.0.clone(),
        };
        let build = IntGauge::with_opts(
            Opts::new(
                "nhiwatch_build_info",
                "Always 1; the label names the version running.",
            )
            .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        list.keep(build)?.set(1);
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// A rate can only be told from a series that was there before its first increase.
    fn start_at_zero(&self) {
        for fate in Fate::ALL {
            self.records.with_label_values(&[fate.word()]);
        }
        for limit in Limit::ALL {
            self.limits.with_label_values(&[limit.word()]);
        }
        for outcome in Intake::ALL {
            self.intake.with_label_values(&[outcome.word()]);
        }
        for role in Role::ALL {
            self.lag.with_label_values(&[role.word()]);
            self.commits.with_label_values(&[role.word()]);
            self.commit_seconds.with_label_values(&[role.word()]);
            for reason in Reason::ALL {
                self.deadletters
                    .with_label_values(&[role.word(), reason.word()]);
            }
        }
        for reason in TEARDOWNS {
            self.teardowns.with_label_values(&[reason]);
        }
        for card in CARDS {
            for family in [&self.evaluations, &self.findings, &self.panics] {
                family.with_label_values(&[card.name]);
            }
        }
        for card in CARDS.iter().chain(OWN) {
            for severity in Severity::ALL {
                self.alerts.with_label_values(&[card.name, severity.word()]);
            }
        }
    }

    /// Counts `count` records that had this fate.
    pub fn records(&self, fate: Fate, count: u64) {
        self.records.with_label_values(&[fate.word()]).inc_by(count);
    }

    /// How many records met this fate so far.
    #[must_use]
    pub fn record_count(&self, fate: Fate) -> u64 {
        self.records.with_label_values(&[fate.word()]).get()
    }

    /// Counts `count` raw records with this outcome.
    pub fn intake(&self, outcome: Intake, count: u64) {
        self.intake
            .with_label_values(&[outcome.word()])
            .inc_by(count);
    }

    /// Counts `count` records that `role` sent to the dead-letter topic.
    pub fn deadletters(&self, role: Role, reason: Reason, count: u64) {
        self.deadletters
            .with_label_values(&[role.word(), reason.word()])
            .inc_by(count);
    }

    /// Counts `count` fields that the event schema does not know.
    pub fn unknown_fields(&self, count: u64) {
        self.unknown_fields.inc_by(count);
    }

    /// Counts `count` heartbeats written to the event topic.
    pub fn heartbeats(&self, count: u64) {
        self.heartbeats.inc_by(count);
    }

    /// Heartbeats written to the event topic so far.
    #[must_use]
    pub fn heartbeat_count(&self) -> u64 {
        self.heartbeats.get()
    }

    /// Raw records with this outcome so far.
    #[must_use]
    pub fn intake_count(&self, outcome: Intake) -> u64 {
        self.intake.with_label_values(&[outcome.word()]).get()
    }

    /// Counts what one detector did since the last call; `detector` is its card's name.
    pub fn detector(&self, detector: &'static str, evaluations: u64, findings: u64, panics: u64) {
        self.evaluations
            .with_label_values(&[detector])
            .inc_by(evaluations);
        self.findings
            .with_label_values(&[detector])
            .inc_by(findings);
        self.panics.with_label_values(&[detector]).inc_by(panics);
    }

    /// Counts an incident that opened.
    pub fn alert(&self, detector: &'static str, severity: Severity) {
        self.alerts
            .with_label_values(&[detector, severity.word()])
            .inc();
    }

    /// Counts `count` incidents that were told with a storm.
    pub fn folded(&self, count: u64) {
        self.folded.inc_by(count);
    }

    /// Adds to the identities kept, and to those of them still learning; negative where they leave.
    pub fn identities(&self, kept: i64, learning: i64) {
        self.identities.add(kept);
        self.identities_learning.add(learning);
    }

    /// Counts `count` identities forgotten.
    pub fn evicted(&self, count: u64) {
        self.identities_evicted.inc_by(count);
    }

    /// Counts `count` losses to `limit`.
    pub fn limit(&self, limit: Limit, count: u64) {
        self.limits.with_label_values(&[limit.word()]).inc_by(count);
    }

    /// Adds to the records that `role` has not taken yet; negative where it has caught up.
    pub fn lag(&self, role: Role, records: i64) {
        self.lag.with_label_values(&[role.word()]).add(records);
    }

    /// Sets how far event time has come in `partition`, in seconds of Unix time; none where the
    /// partition is no longer ours. The gauge shows the slowest.
    pub fn watermark(&self, partition: u32, seconds: Option<f64>) {
        match seconds {
            Some(seconds) => drop(self.watermarks.insert(partition, seconds)),
            None => drop(self.watermarks.remove(&partition)),
        }
    }

    /// Counts a commit of `role` that took so many seconds.
    pub fn commit(&self, role: Role, seconds: f64) {
        self.commits.with_label_values(&[role.word()]).inc();
        self.commit_seconds
            .with_label_values(&[role.word()])
            .observe(seconds);
    }

    /// Notes that a commit which stored state took so many seconds.
    pub fn checkpoint(&self, seconds: f64) {
        self.checkpoint_seconds.observe(seconds);
    }

    /// Counts records that will never be read.
    pub fn lost(&self, records: i64) {
        self.lost.inc_by(records.max(0).cast_unsigned());
    }

    /// Counts a copy of a partition's state that is not kept any more.
    pub fn cache_given_up(&self) {
        self.cache_given_up.inc();
    }

    /// Counts a shard that began anew; `reason` is a word of ours.
    pub fn teardown(&self, reason: &'static str) {
        self.teardowns.with_label_values(&[reason]).inc();
    }

    /// Sets how long the latest restore took, in seconds.
    pub fn restore(&self, seconds: f64) {
        self.restore_seconds.set(seconds);
    }

    /// Adds to the partitions assigned; negative where they are revoked.
    pub fn partitions(&self, count: i64) {
        self.partitions.add(count);
    }

    /// Sets whether the process does its work.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// Where a metric cannot be written in it.
    pub fn render(&self) -> prometheus::Result<String> {
        let slowest = self.watermarks.iter().map(|at| *at.value());
        self.watermark
            .set(slowest.reduce(f64::min).unwrap_or_default());
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

#[cfg(test)]
mod tests;
