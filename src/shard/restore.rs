//! Getting a partition's state back before its first event is processed.

use std::sync::Arc;

use chrono::Utc;
use nhiwatch_detectors::kernel::engine::Engine;

use super::cache::{Cache, Found};
use super::frame::{self, Progress};
use super::{ACCEPT, Broker, GROUP, Teardown, partitions};
use crate::config::{Start, Topics};
use crate::service::Service;

/// A partition ready to go on.
pub(super) struct Restored {
    /// Its engine, with the state as of `place.next`.
    pub(super) engine: Engine,
    /// When its state was begun; see [`Progress::begun`].
    pub(super) begun: i64,
    /// Where its input goes on.
    pub(super) place: Place,
    /// State records read.
    pub(super) records: u64,
    /// Those of them that were read from local disk.
    pub(super) copied: u64,
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
    /// Whether nothing of it was ever committed.
    pub(super) new: bool,
}

impl Place {
    /// Where all is known that came before.
    pub(super) const fn at(next: i64) -> Self {
        Self {
            next,
            told: next,
            lost: None,
            new: false,
        }
    }

    /// Where there is no past.
    const fn first(next: i64) -> Self {
        Self {
            new: true,
            ..Self::at(next)
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
    (broker, cache): (&mut impl Broker, &mut Cache),
    service: &Service,
    (partition, count): (i32, i32),
) -> Result<Restored, Teardown> {
    let (config, decision) = (&service.config, &service.decision);
    let mut committed = broker.committed(partition, false)?;
    let Loaded {
        engine,
        progress,
        records,
        copied,
        ..
    } = load(broker, cache, service, partition)?;
    if committed.is_none() && progress.is_some() {
        committed = broker.committed(partition, true)?;
    }
    if let Some(progress) = &progress {
        partitions::check(progress, count, &config.topics)?;
        tell_of_another_decision(progress, partition, decision.digest());
    }
    let bounds = broker.bounds(partition)?;
    let mut begun = progress
        .as_ref()
        .map_or_else(now, |progress| progress.begun);
    let place = match (committed, &progress) {
        (None, None) if records == 0 => Place::first(match config.start {
            Start::Latest => bounds.1,
            Start::Earliest => bounds.0,
        }),
        (Some(committed), Some(progress)) if fits(committed, progress, bounds) => Place {
            told: committed,
            ..Place::at(progress.stored)
        },
        (committed, _) if broker.committed(partition, committed.is_some())? != committed => {
            // We were away for longer than the group waits.
            return Err(Teardown::Refused(format!(
                "partition {partition}: another process has gone on with it while it was restored"
            )));
        }
        (committed, progress) => {
            let progress = progress.as_ref();
            let topics = &config.topics;
            let error = contradiction(committed, progress, bounds, partition, topics);
            let Some(accepted) = service.loss.accepted(&topics.events, partition) else {
                return Err(error);
            };
            // Copies elsewhere may hold what this state has lost.
            begun = now();
            let place = nevertheless(accepted, committed, progress, bounds);
            let Place {
                next, told, lost, ..
            } = place;
            tracing::warn!(partition, next, told, lost, %error, "goes on nevertheless");
            place
        }
    };
    Ok(Restored {
        engine,
        begun,
        place,
        records,
        copied,
    })
}

fn now() -> i64 {
    Utc::now().timestamp_millis()
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
    let gone = match committed {
        None => "; a topic that is deleted takes the offset with it",
        Some(_) => "",
    };
    Teardown::Refused(format!(
        "partition {partition}: group {GROUP} has committed offset {offset} of {events}{gone}, but the \
         state in {state} goes on at {stored}; starting would lose or repeat events. Unless {events} was made anew, reset \
         the group's offset to {stored} and delete every kafka.state_cache, or {ACCEPT} to go on with what there \
         is, or delete and recreate {state} and the group to learn anew",
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
        new: false,
    }
}

/// A partition's state as it was stored.
struct Loaded {
    engine: Engine,
    progress: Option<Progress>,
    records: u64,
    copied: u64,
    /// The first record that could not be read, and why.
    refused: Option<(Vec<u8>, String)>,
}

impl Loaded {
    fn nothing(service: &Service, partition: i32) -> Self {
        let index = u32::try_from(partition).unwrap_or_default();
        Self {
            engine: Engine::new(index, Arc::clone(&service.decision)),
            progress: None,
            records: 0,
            copied: 0,
            refused: None,
        }
    }

    /// Takes one state record in. Compaction may leave several of one key, the newest last: later ones replace
    /// earlier. Each is taken in as it comes, while the next ones are on their way; so one that is damaged stops the
    /// start even where a later one replaces it.
    fn take(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.take_in(key, value, frame::unwrap);
    }

    fn take_in(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        unwrap: fn(&[u8]) -> Result<&[u8], String>,
    ) {
        if self.refused.is_some() {
            return;
        }
        match take(&mut self.engine, key, value, unwrap) {
            Ok(Some(at)) => self.progress = Some(at),
            Ok(None) => {}
            Err(reason) => self.refused = Some((key.to_vec(), reason)),
        }
        self.records += u64::from(value.is_some());
    }

    /// After the last record: what could not be read, and why.
    fn end(&mut self) -> Result<(), (String, String)> {
        if let Some((key, reason)) = self.refused.take() {
            let key = String::from_utf8_lossy(&key).escape_debug().to_string();
            return Err((key, reason));
        }
        let restored = self.engine.restored();
        restored.map_err(|error| (error.key, error.reason))
    }
}

/// Reads the state of `partition`: from its copy on local disk and what came since, or else all of it.
fn load(
    broker: &mut impl Broker,
    cache: &mut Cache,
    service: &Service,
    partition: i32,
) -> Result<Loaded, Teardown> {
    let bounds = broker.state_bounds(partition)?;
    let mut copy = cache.open(partition);
    let from = copy.as_ref().and_then(|copy| copy.goes_on_at(bounds));
    if let Some(from) = from
        && let Some(copied) = copy.take()
    {
        let rest = (from, bounds.1);
        match go_on_from(copied, (broker, cache), service, partition, rest)? {
            Ok(loaded) => return Ok(loaded),
            Err(reason) => {
                tracing::warn!(partition, reason, "the state cache is not used");
                cache.release(&[partition]);
                copy = cache.open(partition);
            }
        }
    }
    let mut loaded = Loaded::nothing(service, partition);
    if let Some(copy) = copy {
        cache.keep(partition, copy, false);
    }
    if bounds.0 < bounds.1 {
        let until = broker.read_state(partition, bounds, &mut |key, value| {
            loaded.take(key, value);
            cache.push(partition, key, value);
        })?;
        let topic = &service.config.topics.state;
        loaded.end().map_err(|(key, reason)| {
            Teardown::Refused(format!(
                "partition {partition}: state record {key} in {topic}: {reason}; delete and recreate \
                 {topic} and the group {GROUP} to learn anew"
            ))
        })?;
        if let Some(until) = until {
            cache.end(partition, until);
        }
    }
    Ok(loaded)
}

/// Reads a copy of the state of `partition`, and from Kafka the `rest`; or says why the copy is of no use.
fn go_on_from(
    mut copy: Found,
    (broker, cache): (&mut impl Broker, &mut Cache),
    service: &Service,
    partition: i32,
    rest: (i64, i64),
) -> Result<Result<Loaded, String>, Teardown> {
    let mut loaded = Loaded::nothing(service, partition);
    // Each part of the file has a checksum, which was right.
    let mut take =
        |key: &[u8], value: Option<&[u8]>| loaded.take_in(key, value, frame::unwrap_whole);
    let read = copy.read(|| service.stopping(), &mut take);
    if service.stopping() {
        return Err(Teardown::given_up("reading the state cache"));
    }
    if let Err(error) = read {
        return Ok(Err(error.to_string()));
    }
    loaded.copied = loaded.records;
    let begun = loaded.progress.take().map(|progress| progress.begun);
    cache.keep(partition, copy, true);
    let until = broker.read_state(partition, rest, &mut |key, value| {
        loaded.take(key, value);
        cache.push(partition, key, value);
    })?;
    if begun.is_none() || loaded.progress.as_ref().map(|progress| progress.begun) != begun {
        return Ok(Err("it is of another state".to_owned()));
    }
    if let Err((key, reason)) = loaded.end() {
        return Ok(Err(format!("record {key}: {reason}")));
    }
    if let Some(until) = until {
        cache.end(partition, until);
    }
    Ok(Ok(loaded))
}

/// Takes one state record, of which `unwrap` gives the payload, into `engine`; gives the progress, if that is what it is.
fn take(
    engine: &mut Engine,
    key: &[u8],
    value: Option<&[u8]>,
    unwrap: fn(&[u8]) -> Result<&[u8], String>,
) -> Result<Option<Progress>, String> {
    let Some(value) = value else {
        let deleted = engine.delete(key);
        return deleted.map(|()| None).map_err(|error| error.reason);
    };
    let payload = unwrap(value)?;
    if key == frame::PROGRESS {
        let progress = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        return Ok(Some(progress));
    }
    let restored = engine.restore(key, payload);
    restored.map(|()| None).map_err(|error| error.reason)
}
