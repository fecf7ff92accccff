//! Stretches of an identity's life that are over: what detectors review and learn.

use serde::{Deserialize, Serialize};

use crate::kernel::hot::Hour;
use crate::kernel::trail::Session;

/// A day on the wall clock that an identity follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Day {
    /// Days since the epoch.
    pub number: i64,
    /// Calls.
    pub calls: u64,
    /// Calls that failed or were denied.
    pub failures: u64,
    /// Bytes moved.
    pub bytes: f64,
    /// Amounts of orders and payments.
    pub amount: f64,
    /// Hours in which there was anything.
    pub hours: u32,
    /// Calls beyond what is usual that busy peers explain, or that lie in hours which something was
    /// published about.
    pub excused: f64,
    /// Whether something in it is held back from learning.
    pub suspect: bool,
    /// Whether the venues that it works for were closed, or open for a shorter time; told when it is
    /// over.
    pub free: bool,
}

impl Day {
    pub(crate) fn new(number: i64) -> Self {
        Self {
            number,
            ..Self::default()
        }
    }

    /// 0 for Monday.
    #[must_use]
    pub const fn weekday(&self) -> usize {
        weekday(self.number)
    }

    pub(super) fn add(&mut self, hour: &Hour) {
        let tally = &hour.tally;
        self.calls = self.calls.saturating_add(tally.calls);
        self.failures = self.failures.saturating_add(tally.failures);
        self.bytes += tally.bytes;
        self.amount += tally.amount;
        self.hours += 1;
        self.suspect |= hour.suspect;
        if hour.suspect {
            self.excused += (tally.calls as f64 - hour.expected.mean).max(0.0);
        }
    }
}

/// 0 for Monday, of a day in days since the epoch, which was a Thursday.
pub(in crate::kernel) const fn weekday(number: i64) -> usize {
    (number + 3).rem_euclid(7) as usize
}

/// A stretch of an identity's life that is over and may be learned.
#[derive(Clone, Debug)]
pub enum Closed {
    /// A session, or a stretch of a long one.
    Session(Session),
    /// An hour in which there was something.
    Hour(Hour),
    /// A day, perhaps one on which there was nothing.
    Day(Day),
}
