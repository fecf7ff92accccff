//! What is committed of the state, kept on local disk as well: a restart reads it there, and from Kafka only what
//! came since.
//!
//! It is a copy and nothing rests on it: where it is missing, damaged, too old or of another state, Kafka is read from the
//! beginning. A thread of its own writes it, so that a slow disk holds nobody up.

mod directory;
mod log;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
pub use directory::Directory;
use directory::Held;
use log::{Part, Stamp};
use writer::Writer;

use crate::service::Service;

/// The copies of those partitions that one shard owns; of none where no directory is configured.
pub(super) struct Cache {
    inner: Option<Inner>,
}

struct Inner {
    directory: Arc<Directory>,
    writer: Writer,
    /// The copies that are kept; a partition that is not here has none.
    kept: BTreeMap<i32, Kept>,
}

/// A copy that is written.
struct Kept {
    /// What is to be written next.
    next: Part,
    /// What it holds when all of before is written.
    mark: Mark,
    /// Whether it is filled from Kafka, by who can wait for the disk.
    fills: bool,
}

/// Until which offset of the state's topic a copy holds what was committed; nothing of one that is empty.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Mark(Option<i64>);

/// A copy that was found, before it is used.
pub(super) struct Found(Held);

impl Found {
    /// The offset from which the state is to be read after it, where its topic has these bounds; nothing where it must
    /// not be used.
    pub(super) fn goes_on_at(&self, (low, high): (i64, i64)) -> Option<i64> {
        let stamp = self.0.log.stamp()?;
        let age = now().saturating_sub(stamp.at);
        // The last record that it holds is read again: it says of which state it is.
        let from = stamp.until - 1;
        let fits = low <= from && stamp.until <= high && (-SKEW..AGE_MAX).contains(&age);
        fits.then_some(from)
    }

    /// Hands all that it holds to `each`, in order.
    ///
    /// # Errors
    /// Where it cannot be read, or was given up as `stops` said; what was handed over until then is not to be used.
    pub(super) fn read(
        &mut self,
        stops: impl Fn() -> bool,
        each: impl FnMut(&[u8], Option<&[u8]>),
    ) -> Result<(), std::io::Error> {
        self.0.log.read(stops, each)
    }
}

impl Cache {
    pub(super) fn new(service: &Service) -> Self {
        let inner = service.cache.as_ref().map(|directory| Inner {
            directory: Arc::clone(directory),
            writer: Writer::start(service.metrics.clone()),
            kept: BTreeMap::new(),
        });
        Self { inner }
    }

    /// The copy of `partition`, be it empty; nothing where there can be none.
    pub(super) fn open(&mut self, partition: i32) -> Option<Found> {
        let inner = self.inner.as_ref()?;
        match inner.directory.open(partition) {
            Ok(held) => Some(Found(held)),
            Err(error) => {
                inner.writer.say_given_up(partition, &error);
                None
            }
        }
    }

    /// Goes on with a copy; what it holds is used, or else begun anew.
    pub(super) fn keep(&mut self, partition: i32, copy: Found, used: bool) {
        if let Some(inner) = &mut self.inner {
            let mark = Mark(copy.0.log.stamp().filter(|_| used).map(|stamp| stamp.until));
            let next = Part::default();
            inner.writer.take(partition, copy.0, !used);
            let fills = !used;
            inner.kept.insert(partition, Kept { next, mark, fills });
        }
    }

    /// Adds a state record of `partition`, to be committed.
    pub(super) fn push(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let Some(inner) = &mut self.inner else {
            return;
        };
        if let Some(kept) = inner.kept.get_mut(&partition) {
            kept.next.push(key, value);
            if kept.next.len() >= log::PART_MAX {
                inner.hand_over(partition);
            }
        }
    }

    /// Notes that all that was added of `partition` is committed, up to this offset of the state's topic.
    pub(super) fn end(&mut self, partition: i32, until: i64) {
        if let Some(inner) = &mut self.inner
            && inner.hand_over(partition)
        {
            let stamp = Stamp { until, at: now() };
            inner.writer.end(partition, stamp);
            if let Some(kept) = inner.kept.get_mut(&partition) {
                (kept.mark, kept.fills) = (Mark(Some(until)), false);
            }
        }
    }

    /// Gives the copies of these partitions back, so that other shards may go on with them; tells what each holds that was
    /// kept until now.
    pub(super) fn release(&mut self, partitions: &[i32]) -> BTreeMap<i32, Mark> {
        let Some(inner) = &mut self.inner else {
            return BTreeMap::new();
        };
        let mut marks = BTreeMap::new();
        for partition in partitions {
            if let Some(kept) = inner.kept.remove(partition) {
                marks.insert(*partition, kept.mark);
            }
        }
        inner.writer.give_up(marks.keys());
        marks
    }

    /// Goes on with a copy that was given back, if it holds what it should.
    pub(super) fn resume(&mut self, partition: i32, mark: Mark) {
        let Some(copy) = self.open(partition) else {
            return;
        };
        let holds = Mark(copy.0.log.stamp().map(|stamp| stamp.until));
        if holds == mark {
            self.keep(partition, copy, true);
        } else if let Some(inner) = &self.inner {
            let error = std::io::Error::other("it is not what was given back");
            inner.writer.say_given_up(partition, &error);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.writer.give_up(self.kept.keys());
    }
}

impl Inner {
    /// Hands what was added of `partition` to the writer; tells whether that goes on with it.
    fn hand_over(&mut self, partition: i32) -> bool {
        let Some(kept) = self.kept.get_mut(&partition) else {
            return false;
        };
        let goes_on = self
            .writer
            .append(partition, std::mem::take(&mut kept.next), kept.fills);
        if !goes_on {
            self.kept.remove(&partition);
        }
        goes_on
    }
}

/// Milliseconds since 1970.
fn now() -> i64 {
    Utc::now().timestamp_millis()
}

/// A copy that is older, in milliseconds, is not used: what Kafka deletes for good after a day (`delete.retention.ms`, which
/// `nhiwatch topics --create` sets) would come back.
const AGE_MAX: i64 = 12 * 3600 * 1000;
/// By so much the clock may have been set back since.
const SKEW: i64 = 300_000;

#[cfg(test)]
mod tests;
