//! What a shard puts into its transaction: alerts, and the state of its partitions.

use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::engine::Engine;

use super::Teardown;
use super::broker::{Outbox, Outgoing};
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

/// Adds what changed in one partition's state, and how far it has come, to the transaction.
///
/// # Errors
/// Where it cannot be queued.
pub(super) fn state(
    outbox: &impl Outbox,
    service: &Service,
    partition: i32,
    engine: &mut Engine,
    progress: &Progress,
) -> Result<(), Teardown> {
    let (mut value, mut failed) = (Vec::new(), None);
    let topic = &service.config.topics.state;
    let mut send = |key: &[u8], payload: Option<&[u8]>| {
        if failed.is_some() {
            return;
        }
        if let Some(payload) = payload {
            frame::wrap(progress.next, payload, &mut value);
        }
        let value = payload.map(|_| value.as_slice());
        let record = Outgoing {
            topic,
            partition: Some(partition),
            key: Some(key),
            value,
            headers: &[],
        };
        failed = outbox.send(&record).err();
    };
    engine.flush(&mut send);
    // Plain fields always have a JSON form.
    let progress = serde_json::to_vec(progress).unwrap_or_default();
    send(frame::PROGRESS, Some(&progress));
    failed.map_or(Ok(()), Err)
}
