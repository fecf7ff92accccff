//! Getting a partition's state back before its first event is processed.

use std::sync::Arc;

use nhiwatch_detectors::kernel::engine::{Decision, Engine};

use super::frame::{self, Progress};
use super::{Broker, GROUP, Teardown};
use crate::config::{Start, Topics};

/// A partition ready to go on.
pub(super) struct Restored {
    /// Its engine, with the state as of `stored`.
    pub(super) engine: Engine,
    /// The input offset to go on from.
    pub(super) stored: i64,
    /// The next input offset of which nothing was told yet.
    pub(super) next: i64,
    /// State records read.
    pub(super) records: u64,
}

/// Reads the state of `partition`, of so many, and finds out where its input goes on.
///
/// The committed offset is asked for first. Its answer waits for transactions that may still change it, and
/// once we own the partition nobody else begins one: so what is read of the state after that is as of it, or
/// the two contradict each other for good.
///
/// The end of the state is asked for with a client that sees uncommitted records: the committed
/// offset may be visible before the last transaction's mark on the state topic is, and a reader of
/// committed records would take the state for complete one transaction too early.
///
/// # Errors
/// Where Kafka does not answer, or where state and committed offset contradict each other.
pub(super) fn restore(
    broker: &mut impl Broker,
    topics: &Topics,
    start: Start,
    decision: &Arc<Decision>,
    (partition, partitions): (i32, i32),
) -> Result<Restored, Teardown> {
    let index = u32::try_from(partition).unwrap_or_default();
    let mut engine = Engine::new(index, Arc::clone(decision));
    let mut committed = broker.committed(partition, false)?;
    let (progress, records) = load(broker, &topics.state, partition, &mut engine)?;
    if committed.is_none() && progress.is_some() {
        committed = broker.committed(partition, true)?;
    }
    let (stored, next) = match (committed, progress) {
        (Some(_), Some(progress)) if progress.partitions != partitions => {
            let (events, state) = (&topics.events, &topics.state);
            return Err(Teardown::Refused(format!(
                "{events} has {partitions} partitions, but the state in {state} is of {}: identities \
                 are in other partitions than their state. Recreate {events} with {}, or delete and \
                 recreate {state} and the group {} to learn anew",
                progress.partitions, progress.partitions, GROUP,
            )));
        }
        (Some(committed), Some(progress)) if committed == progress.next => {
            if progress.decision != decision.digest() {
                tracing::info!(
                    partition,
                    offset = committed,
                    before = progress.decision,
                    now = decision.digest(),
                    again = committed - progress.stored,
                    "another configuration is in force from here on"
                );
            }
            let (low, _) = broker.bounds(partition)?;
            if progress.stored < low {
                let cure = format!(
                    "delete and recreate {} and the group to learn anew",
                    topics.state
                );
                let place = (partition, progress.stored);
                return Err(Teardown::deleted(GROUP, &topics.events, place, low, &cure));
            }
            (progress.stored, committed)
        }
        (None, None) if records == 0 => {
            let (low, high) = broker.bounds(partition)?;
            let first = if start == Start::Latest { high } else { low };
            (first, first)
        }
        (committed, _) if broker.committed(partition, committed.is_some())? != committed => {
            // We were away for longer than the group waits.
            return Err(Teardown::Refused(format!(
                "partition {partition}: another process has gone on with it while it was restored"
            )));
        }
        (committed, progress) => {
            let say = |offset: Option<i64>| offset.map_or("none".to_owned(), |o| o.to_string());
            let stored = say(progress.map(|progress| progress.next));
            let (events, state) = (&topics.events, &topics.state);
            return Err(Teardown::Refused(format!(
                "partition {partition}: group {} has committed offset {} of {events}, but the \
                 state in {state} goes on at {stored}; starting would lose or repeat events. Reset \
                 the group's offset to {stored}, or delete and recreate {state} and the group to \
                 learn anew",
                GROUP,
                say(committed),
            )));
        }
    };
    Ok(Restored {
        engine,
        stored,
        next,
        records,
    })
}

/// Reads every state record of `partition` into `engine`; gives the progress and the number read.
fn load(
    broker: &mut impl Broker,
    topic: &str,
    partition: i32,
    engine: &mut Engine,
) -> Result<(Option<Progress>, u64), Teardown> {
    let bounds = broker.state_bounds(partition)?;
    if bounds.0 >= bounds.1 {
        return Ok((None, 0));
    }
    let (mut progress, mut records, mut refused) = (None, 0, None);
    // Compaction may leave several records of one key, the newest last: later ones replace earlier. Each is
    // taken in as it comes, while the next ones are on their way; so one that is damaged stops the start even where
    // a later one replaces it.
    broker.read_state(partition, bounds, &mut |key, value| {
        if refused.is_none() {
            let taken = take(engine, key, value);
            match taken {
                Ok(Some(at)) => progress = Some(at),
                Ok(None) => {}
                Err(reason) => refused = Some((key.to_vec(), reason)),
            }
            records += u64::from(value.is_some());
        }
    })?;
    let refused = refused.map(|(key, reason)| {
        (
            String::from_utf8_lossy(&key).escape_debug().to_string(),
            reason,
        )
    });
    let unread = || {
        engine
            .restored()
            .err()
            .map(|error| (error.key, error.reason))
    };
    if let Some((key, reason)) = refused.or_else(unread) {
        return Err(Teardown::Refused(format!(
            "partition {partition}: state record {key} in {topic}: {reason}; delete and recreate \
             {topic} and the group {GROUP} to learn anew"
        )));
    }
    Ok((progress, records))
}

/// Takes one state record into `engine`; gives the progress, if that is what it is.
fn take(engine: &mut Engine, key: &[u8], value: Option<&[u8]>) -> Result<Option<Progress>, String> {
    let Some(value) = value else {
        let deleted = engine.delete(key);
        return deleted.map(|()| None).map_err(|error| error.reason);
    };
    let (_, payload) = frame::unwrap(value)?;
    if key == frame::PROGRESS {
        let progress = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        return Ok(Some(progress));
    }
    let restored = engine.restore(key, payload);
    restored.map(|()| None).map_err(|error| error.reason)
}
