//! Records on their way to a shard: they are fetched and decoded by a thread of its own while the shard judges those
//! before.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::Scope;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};

use nhiwatch_detectors::kernel::time::Timestamp;

use super::assignment::Assignments;
use crate::shard::{Record, Teardown};
use crate::wire::{Content, control};

/// What one shard hears from its consumer, in order.
///
/// After a rebalance nothing is fetched until the next [`Reader::next`]: nothing of partitions that are given back comes
/// after it.
pub(super) struct Reader<'c> {
    arrived: Receiver<Batch<'c>>,
    /// Records that were taken go back, so that the other thread frees them too.
    spent: Sender<Records<'c>>,
    go_on: SyncSender<()>,
    /// Whether the other thread waits to go on.
    waits: bool,
    ended: &'c AtomicBool,
}

self_cell::self_cell!(
    /// Messages, and the records that they are, borrowed from them.
    pub(super) struct Records<'c> {
        owner: Fetched<'c>,
        #[covariant]
        dependent: Decoded,
    }
);

type Decoded<'a> = Vec<Record<'a>>;

/// Messages as they came.
#[derive(Default)]
pub(super) struct Fetched<'c> {
    messages: Vec<BorrowedMessage<'c>>,
    /// Bytes that they hold.
    bytes: usize,
}

/// What came at once.
pub(super) struct Batch<'c> {
    /// In the order of each partition.
    pub(super) records: Records<'c>,
    /// What Kafka said after them instead of a record.
    pub(super) error: Option<KafkaError>,
    /// Whether there are rebalances to carry out after them.
    pub(super) rebalances: bool,
}

impl<'c> Reader<'c> {
    /// Begins to fetch from `consumer`, until it is dropped; `ended` is told of that.
    ///
    /// # Errors
    /// Where there can be no further thread.
    pub(super) fn start<'s>(
        scope: &'s Scope<'s, 'c>,
        consumer: &'c BaseConsumer<Assignments>,
        ended: &'c AtomicBool,
    ) -> Result<Self, Teardown> {
        let (to, arrived) = sync_channel(AHEAD);
        let (spent, used) = channel();
        let (go_on, may_go_on) = sync_channel(1);
        let fetch = move || {
            let mut on_their_way = 0;
            while !ended.load(Ordering::Acquire) {
                let batch = fetch(consumer, take_back(&used, &mut on_their_way));
                on_their_way += batch.records.borrow_owner().bytes;
                let news = batch.rebalances;
                let gone = !batch.is_empty() && to.send(batch).is_err();
                if gone || (news && may_go_on.recv().is_err()) {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("reader".to_owned());
        thread.spawn_scoped(scope, fetch).map_err(|error| {
            Teardown::Refused(format!("no thread can be started to read with: {error}"))
        })?;
        Ok(Self {
            arrived,
            spent,
            go_on,
            waits: false,
            ended,
        })
    }

    /// What comes within `wait`, be it nothing.
    ///
    /// # Errors
    /// Where the other thread has ended.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Batch<'c>, Teardown> {
        if std::mem::take(&mut self.waits) {
            // Where it has ended, nothing arrives any more.
            let _ = self.go_on.send(());
        }
        match self.arrived.recv_timeout(wait) {
            Ok(batch) => {
                self.waits = batch.rebalances;
                Ok(batch)
            }
            Err(RecvTimeoutError::Timeout) => Ok(Batch::of(Fetched::default(), None, false)),
            Err(RecvTimeoutError::Disconnected) => Err(Teardown::Refused(
                "the thread that reads has ended".to_owned(),
            )),
        }
    }

    /// Takes back records that were taken.
    pub(super) fn free(&self, records: Records<'c>) {
        if !records.borrow_dependent().is_empty() {
            // Where it has ended they are freed here.
            let _ = self.spent.send(records);
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
    }
}

impl<'c> Batch<'c> {
    fn of(fetched: Fetched<'c>, error: Option<KafkaError>, rebalances: bool) -> Self {
        Self {
            records: Records::new(fetched, |it| it.messages.iter().map(record).collect()),
            error,
            rebalances,
        }
    }

    fn is_empty(&self) -> bool {
        self.records.borrow_dependent().is_empty() && self.error.is_none() && !self.rebalances
    }
}

/// Frees those that were taken, and gives the room of the last; waits for some where too much is on its way.
fn take_back<'c>(
    used: &Receiver<Records<'c>>,
    on_their_way: &mut usize,
) -> Vec<BorrowedMessage<'c>> {
    let mut room = Vec::new();
    loop {
        let back = match *on_their_way > AHEAD_BYTES {
            true => used.recv().ok(),
            false => used.try_recv().ok(),
        };
        let Some(Fetched { messages, bytes }) = back.map(Records::into_owner) else {
            return room;
        };
        *on_their_way -= bytes;
        room = messages;
        room.clear();
    }
}

/// What is there, if need be after a while, up to an error or a rebalance; put into `room`.
fn fetch<'c>(consumer: &'c BaseConsumer<Assignments>, room: Vec<BorrowedMessage<'c>>) -> Batch<'c> {
    let mut fetched = Fetched {
        messages: room,
        bytes: 0,
    };
    let (mut error, mut wait) = (None, PAUSE);
    while fetched.messages.len() < BATCH
        && fetched.bytes < BATCH_BYTES
        && error.is_none()
        && !consumer.context().has_news()
    {
        match consumer.poll(std::mem::take(&mut wait)) {
            None => break,
            Some(Ok(message)) => {
                fetched.bytes += size(&message);
                fetched.messages.push(message);
            }
            Some(Err(failed)) => error = Some(failed),
        }
    }
    Batch::of(fetched, error, consumer.context().has_news())
}

/// Bytes of a message's key, value and headers.
fn size(message: &BorrowedMessage<'_>) -> usize {
    let headers = message.headers();
    let headers = headers.into_iter().flat_map(Headers::iter);
    let values = headers.map(|header| header.value.map_or(0, <[u8]>::len));
    message.key_len() + message.payload_len() + values.sum::<usize>()
}

fn record<'m>(message: &'m BorrowedMessage<'_>) -> Record<'m> {
    let headers = message.headers();
    let headers = headers.into_iter().flat_map(Headers::iter);
    let kind = control::kind(headers.map(|header| (header.key, header.value)));
    let kind = kind.map(|kind| Cow::Owned(kind.into_owned()));
    let received = message.timestamp().to_millis();
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key(),
        value: message.payload(),
        content: Content::of(kind, message.payload()),
        received: received.map(|ms| Timestamp::from_micros(ms.saturating_mul(1000))),
    }
}

/// Records that are handed over at most until there is time for anything else.
const BATCH: usize = 256;
/// Bytes after which there are enough, however few records they are in.
const BATCH_BYTES: usize = 256 << 10;
/// Bytes on their way above which none are fetched until some were taken.
const AHEAD_BYTES: usize = 32 << 20;
/// Batches that are fetched ahead: some eight thousand records, about as many as come while a commit is waited for.
const AHEAD: usize = 32;
/// How long it waits for a record until it looks whether it is to end.
const PAUSE: Duration = Duration::from_millis(50);
