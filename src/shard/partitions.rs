//! Whether the event log has as many partitions as the state is of.

use super::frame::{self, Progress};
use super::{Broker, GROUP, Teardown};
use crate::config::Topics;
use crate::service::Service;

/// Another number of partitions puts identities elsewhere than their state.
///
/// # Errors
/// Where the event log has not as many as this state is of.
pub(super) fn check(progress: &Progress, partitions: i32, topics: &Topics) -> Result<(), Teardown> {
    if progress.partitions == partitions {
        return Ok(());
    }
    let (events, state) = (&topics.events, &topics.state);
    Err(Teardown::Refused(format!(
        "{events} has {partitions} partitions, but the state in {state} is of {}: identities \
         are in other partitions than their state. Recreate {events} with {}, or delete and \
         recreate {state} and the group {GROUP} to learn anew",
        progress.partitions, progress.partitions,
    )))
}

/// Refuses to begin where the state of the other partitions is of another number of them: those we were given were
/// added, and what is in them has its state elsewhere. One partition with a past tells.
///
/// # Errors
/// Where that is so, or Kafka does not answer.
pub(super) fn check_others(
    broker: &mut impl Broker,
    service: &Service,
    partitions: i32,
) -> Result<(), Teardown> {
    for partition in 0..partitions {
        if broker.committed(partition, false)?.is_none() {
            continue;
        }
        if let Some(progress) = last_progress(broker, partition)? {
            return check(&progress, partitions, &service.config.topics);
        }
    }
    Ok(())
}

/// How far a partition has come that may be somebody else's. It is the last record of each transaction, so that the end
/// of the state mostly holds it.
fn last_progress(broker: &mut impl Broker, partition: i32) -> Result<Option<Progress>, Teardown> {
    let (low, high) = broker.state_bounds(partition)?;
    if low == high {
        return Ok(None);
    }
    for from in [low.max(high - TAIL), low] {
        let mut last = None;
        broker.read_state(partition, (from, high), &mut |key, value| {
            if key == frame::PROGRESS {
                last = value.map(<[u8]>::to_vec);
            }
        })?;
        let payload = last.as_deref().map(frame::unwrap).and_then(Result::ok);
        if let Some(payload) = payload {
            return Ok(serde_json::from_slice(payload).ok());
        }
    }
    Ok(None)
}

/// Records and marks at the end of a state among which one looks first for how far it has come.
const TAIL: i64 = 16;
