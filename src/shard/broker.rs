//! What a shard needs of the log that it reads and writes: Kafka, or a model of it that can be made to fail.

use std::time::Duration;

use nhiwatch_detectors::kernel::time::Timestamp;

use super::Teardown;
use crate::wire::Content;

/// Where records are written to.
pub trait Outbox {
    /// Adds a record to the open transaction.
    ///
    /// # Errors
    /// Where it cannot even be queued.
    fn send(&self, record: &Outgoing<'_>) -> Result<(), Teardown>;
}

/// A group member that reads partitions of the event log, and writes in transactions.
///
/// Whatever fails, its user gives it up and makes another one: only what is committed counts then.
pub trait Broker: Outbox {
    /// A clock that only goes forward; 0 is when this member came up.
    fn now(&self) -> Duration;

    /// Waits up to `wait` for what comes next. Records of any of its partitions, each in order, are handed to `take`, the
    /// first together with some that are there already; whatever else has happened meanwhile, and after them, is given back,
    /// in order.
    ///
    /// # Errors
    /// What does not pass by itself.
    fn poll(
        &mut self,
        wait: Duration,
        take: &mut dyn FnMut(&[Record<'_>]),
    ) -> Result<Vec<Happened>, Teardown>;

    /// What is to be done between polls, given the partition, next offset and whether the end was reached of
    /// all that is owned. Tells whether a trouble is over that kept it from working.
    fn tend(&mut self, places: &mut dyn Iterator<Item = (i32, i64, bool)>) -> bool;

    /// Reads these partitions, and no other, from these offsets on; answers [`Happened::Assigned`].
    ///
    /// # Errors
    /// Where that is refused.
    fn assign(&mut self, places: &[(i32, i64)]) -> Result<(), Teardown>;

    /// Gives every partition back; answers [`Happened::Revoked`].
    ///
    /// # Errors
    /// Where that is refused.
    fn unassign(&mut self) -> Result<(), Teardown>;

    /// How many partitions the event log has.
    ///
    /// # Errors
    /// Where the broker does not answer.
    fn partitions(&mut self) -> Result<i32, Teardown>;

    /// The first offset of a partition of the event log that is still there, and its end.
    ///
    /// # Errors
    /// Where the broker does not answer.
    fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Teardown>;

    /// The group's committed offset, once no transaction is open that may change it; "none" is not believed
    /// at once where one is `expected`.
    ///
    /// # Errors
    /// Where the group's coordinator does not answer.
    fn committed(&mut self, partition: i32, expected: bool) -> Result<Option<i64>, Teardown>;

    /// The first offset of the state of a partition and its end, as one sees it who sees uncommitted records.
    ///
    /// # Errors
    /// Where the broker does not answer.
    fn state_bounds(&mut self, partition: i32) -> Result<(i64, i64), Teardown>;

    /// Hands every committed record of the state of a partition between these offsets to `each`, in order,
    /// and waits until the transactions there have ended. Gives the offset after the last of them, if there is any.
    ///
    /// # Errors
    /// Where the broker does not answer, or a transaction does not end, or not before the service is to stop.
    fn read_state(
        &mut self,
        partition: i32,
        bounds: (i64, i64),
        each: &mut Each<'_>,
    ) -> Result<Option<i64>, Teardown>;

    /// Opens a transaction.
    ///
    /// # Errors
    /// Where that is refused.
    fn begin(&mut self) -> Result<(), Teardown>;

    /// Commits what was sent since, and these next input offsets, together.
    ///
    /// # Errors
    /// Anything but a clean success. The outcome may be unknown then; only the successor's view of what is
    /// committed counts.
    fn commit(&mut self, offsets: &[(i32, i64)]) -> Result<(), Teardown>;

    /// The offset after the last record of the state of a partition that this member has written, as far as it is
    /// known; those after it may be its own as well.
    fn state_written(&self, partition: i32) -> Option<i64>;
}

/// Takes the key and value of a state record; no value deletes the key.
pub type Each<'f> = dyn FnMut(&[u8], Option<&[u8]>) + 'f;

/// A record of the event log.
#[derive(Debug)]
pub struct Record<'r> {
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'r [u8]>,
    /// Its value.
    pub value: Option<&'r [u8]>,
    /// What it holds, decoded.
    pub content: Content<'r>,
    /// The time that the log gave it.
    pub received: Option<Timestamp>,
}

/// What happens beside records.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Happened {
    /// The end of a partition was reached.
    Ended(i32),
    /// These are ours now, and no other.
    Assigned(Vec<i32>),
    /// None is ours any more.
    Revoked {
        /// Whether others may have them already.
        lost: bool,
    },
}

/// A record to write.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: &'a str,
    /// A fixed partition, or the key's own.
    pub partition: Option<i32>,
    /// The key, if it has one.
    pub key: Option<&'a [u8]>,
    /// The value; none deletes the key in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Headers.
    pub headers: &'a [(&'a str, &'a str)],
}
