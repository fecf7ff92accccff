//! What a shard puts into its transaction: alerts, and the state of its partitions.

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::Engine;

use super::Teardown;
use super::broker::{Outbox, Outgoing};
use super::cache::Cache;
use super::frame::{self, Progress};
use crate::alert;
use crate::config::AlertFormat;
use crate::service::Service;

/// Adds `alert`, as a CloudEvent in the layout configured, to the transaction.
///
/// # Errors
/// Where it cannot be queued.
pub(super) fn alert(
    outbox: &impl Outbox,
    service: &Service,
    alert: &Alert,
) -> Result<(), Teardown> {
    let value = match service.config.alerts.format {
        AlertFormat::Ocsf => alert::ocsf(alert),
        AlertFormat::Native => alert::native(alert),
    };
    let id = alert.id.to_string();
    let revision = alert.revision.to_string();
    let kind = if alert.revision == 1 {
        "nhi.alert.v1"
    } else {
        "nhi.alert.updated.v1"
    };
    outbox.send(&Outgoing {
        topic: &service.config.topics.alerts,
        partition: None,
        key: Some(alert.identity.as_bytes()),
        value: Some(value.as_bytes()),
        headers: &[
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_id", &id),
            ("ce_source", "/nhi/nhiwatch"),
            ("ce_type", kind),
            ("revision", &revision),
            ("severity", alert.severity.word()),
            ("detector", alert.detector),
        ],
    })
}

/// Adds what changed in one partition's state since it was last stored to the transaction, and to its copy, and then how far
/// it has come.
///
/// # Errors
/// Where it cannot be queued.
pub(super) fn state(
    outbox: &impl Outbox,
    service: &Service,
    partition: i32,
    (engine, cache): (&mut Engine, &mut Cache),
    progress: &Progress,
) -> Result<(), Teardown> {
    let mut failed = None;
    let mut state = State::new(outbox, service, partition, progress.next);
    let mut send = |key: &[u8], payload: Option<&[u8]>| {
        if failed.is_none() {
            failed = state.send(key, payload).err();
            cache.push(partition, key, payload.map(|_| state.value.as_slice()));
        }
    };
    engine.flush(&mut send);
    send(frame::PROGRESS, Some(&progress_payload(progress)));
    failed.map_or(Ok(()), Err)
}

/// Adds how far a partition has come to the transaction.
///
/// # Errors
/// Where it cannot be queued.
pub(super) fn progress(
    outbox: &impl Outbox,
    service: &Service,
    partition: i32,
    progress: &Progress,
) -> Result<(), Teardown> {
    let payload = progress_payload(progress);
    State::new(outbox, service, partition, progress.next).send(frame::PROGRESS, Some(&payload))
}

/// Plain fields always have a JSON form.
fn progress_payload(progress: &Progress) -> Vec<u8> {
    serde_json::to_vec(progress).unwrap_or_default()
}

/// Records of one partition's state, as of one offset.
struct State<'o, O> {
    outbox: &'o O,
    topic: &'o str,
    partition: i32,
    as_of: i64,
    /// Kept to reuse its allocation.
    value: Vec<u8>,
}

impl<'o, O: Outbox> State<'o, O> {
    fn new(outbox: &'o O, service: &'o Service, partition: i32, as_of: i64) -> Self {
        Self {
            outbox,
            topic: &service.config.topics.state,
            partition,
            as_of,
            value: Vec::new(),
        }
    }

    fn send(&mut self, key: &[u8], payload: Option<&[u8]>) -> Result<(), Teardown> {
        if let Some(payload) = payload {
            frame::wrap(self.as_of, payload, &mut self.value);
        }
        self.outbox.send(&Outgoing {
            topic: self.topic,
            partition: Some(self.partition),
            key: Some(key),
            value: payload.map(|_| self.value.as_slice()),
            headers: &[],
        })
    }
}
