//! Getting a partition's state back before its first event is processed.

use std::sync::Arc;

use nhiwatch_detectors::kernel::engine::Engine;

use super::frame::{self, Progress};
use super::{ACCEPT, Broker, GROUP, Teardown};
use crate::config::{Start, Topics};
use crate::service::Service;

/// A partition ready to go on.
pub(super) struct Restored {
    /// Its engine, with the state as of `place.next`.
    pub(super) engine: Engine,
    /// Where its input goes on.
    pub(super) place: Place,
    /// State records read.
    pub(super) records: u64,
}

/// Where a partition's input goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The next offset, as of which the state is.
    pub(super) next: i64,
    /// What lies before was committed: it is taken in again, and nothing is said of it.
    pub(super) told: i64,
    /// Records that the state lacks, where that was accepted.
    pub(super) lost: Option<i64>,
}

impl Place {
    /// Where there is no past.
    pub(super) const fn first(next: i64) -> Self {
        Self {
            next,
            told: next,
            lost: None,
        }
    }
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
/// Where Kafka does not answer, or where state and committed offset contradict each other and that is not accepted.
pub(super) fn restore(
    broker: &mut impl Broker,
    service: &Service,
    (partition, partitions): (i32, i32),
) -> Result<Restored, Teardown> {
    let (config, decision) = (&service.config, &service.decision);
    let index = u32::try_from(partition).unwrap_or_default();
    let mut engine = Engine::new(index, Arc::clone(decision));
    let mut committed = broker.committed(partition, false)?;
    let (progress, records) = load(broker, &config.topics.state, partition, &mut engine)?;
    if committed.is_none() && progress.is_some() {
        committed = broker.committed(partition, true)?;
    }
    if let Some(progress) = &progress {
        check_partitions(progress, partitions, &config.topics)?;
        tell_of_another_decision(progress, partition, decision.digest());
    }
    let bounds = broker.bounds(partition)?;
    let place = match (committed, &progress) {
        (None, None) if records == 0 => Place::first(match config.start {
            Start::Latest => bounds.1,
            Start::Earliest => bounds.0,
        }),
        (Some(committed), Some(progress)) if fits(committed, progress, bounds) => Place {
            next: progress.stored,
            told: committed,
            lost: None,
        },
        (committed, _) if broker.committed(partition, committed.is_some())? != committed => {
            // We were away for longer than the group waits.
            return Err(Teardown::Refused(format!(
                "partition {partition}: another process has gone on with it while it was restored"
            )));
        }
        (committed, progress) => {
            let topics = &config.topics;
            let error = contradiction(committed, progress.as_ref(), bounds, partition, topics);
            let Some(accepted) = service.loss.accepted(&topics.events, partition) else {
                return Err(error);
            };
            let place = nevertheless(accepted, committed, progress.as_ref(), bounds);
            let Place { next, told, lost } = place;
            tracing::warn!(partition, next, told, lost, %error, "goes on nevertheless");
            place
        }
    };
    Ok(Restored {
        engine,
        place,
        records,
    })
}

/// Another number of partitions puts identities elsewhere than their state.
fn check_partitions(progress: &Progress, partitions: i32, topics: &Topics) -> Result<(), Teardown> {
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

fn tell_of_another_decision(progress: &Progress, partition: i32, now: &str) {
    if progress.decision != now {
        tracing::info!(
            partition,
            offset = progress.next,
            before = progress.decision,
            now,
            again = progress.next - progress.stored,
            "another configuration is in force from here on"
        );
    }
}

/// Whether the input has all that comes after the stored state, and was not cut off or made anew.
const fn fits(committed: i64, progress: &Progress, (low, high): (i64, i64)) -> bool {
    committed == progress.next && progress.stored >= low && committed <= high
}

/// What is wrong with a partition whose input has these bounds.
fn contradiction(
    committed: Option<i64>,
    progress: Option<&Progress>,
    (low, high): (i64, i64),
    partition: i32,
    topics: &Topics,
) -> Teardown {
    let (events, state) = (&topics.events, &topics.state);
    if let Some(progress) = progress
        && progress.next > high
    {
        return Teardown::Refused(format!(
            "partition {partition}: the state in {state} goes on at {} of {events}, which ends at {high}: it was cut off or \
             made anew. To go on with what there is, {ACCEPT}; or delete and recreate {state} and the group {GROUP} to \
             learn anew",
            progress.next
        ));
    }
    if let Some(progress) = progress
        && committed == Some(progress.next)
    {
        if progress.next < low {
            return Teardown::deleted(GROUP, events, (partition, progress.next), low);
        }
        return Teardown::Refused(format!(
            "partition {partition} of {events}: the state is stored as of {}, but what came before {low} is deleted: {} \
             records are told of and not learned from. To go on without them, {ACCEPT}",
            progress.stored,
            low - progress.stored
        ));
    }
    let say = |offset: Option<i64>| offset.map_or("none".to_owned(), |o| o.to_string());
    let (offset, stored) = (say(committed), say(progress.map(|progress| progress.next)));
    Teardown::Refused(format!(
        "partition {partition}: group {GROUP} has committed offset {offset} of {events}, but the \
         state in {state} goes on at {stored}; starting would lose or repeat events. Reset \
         the group's offset to {stored}, or {ACCEPT} to go on with what there is, or delete and \
         recreate {state} and the group to learn anew",
    ))
}

/// Where to go on although something is lost. Whatever may have been told, by the state or by the group's offset, is not told
/// again; a log that ends before that is another one, of which nothing was told. Where there is no state, what is
/// still there is learned again.
fn nevertheless(
    accepted: Start,
    committed: Option<i64>,
    progress: Option<&Progress>,
    (low, high): (i64, i64),
) -> Place {
    let told = committed.max(progress.map(|progress| progress.next));
    let told = told.filter(|told| *told <= high).unwrap_or(low);
    let known = progress.map(|progress| progress.stored);
    let known = known.filter(|stored| *stored <= high).unwrap_or(low);
    let next = match accepted {
        Start::Earliest => known.max(low),
        Start::Latest => high,
    };
    // Without a state only what was never read is lost: the rest is learned again.
    let since = if progress.is_some() { known } else { told };
    Place {
        next,
        told: told.max(next),
        lost: Some((next - since).max(0)),
    }
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
