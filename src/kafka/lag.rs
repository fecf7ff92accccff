//! How many records a thread has yet to take, for the gauge that all threads share.

use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;

use super::assignment::Assignments;
use super::native;
use crate::metrics::{Metrics, Role};

/// One partition being read: its topic, its number, the next offset, and whether its end was reached.
pub type Place<'t> = (&'t str, i32, i64, bool);

/// What one thread has put into the gauge; taken out again when the thread gives up its partitions.
pub struct Lag {
    metrics: Metrics,
    role: Role,
    counted: i64,
    at: Instant,
}

impl Lag {
    /// Nothing yet.
    #[must_use]
    pub fn new(metrics: Metrics, role: Role) -> Self {
        Self {
            metrics,
            role,
            counted: 0,
            at: Instant::now(),
        }
    }

    /// Brings the gauge up to date, at most twice a second.
    pub fn refresh<'t>(
        &mut self,
        consumer: &BaseConsumer<Assignments>,
        places: impl Iterator<Item = Place<'t>>,
    ) {
        if self.at.elapsed() < Duration::from_millis(500) {
            return;
        }
        self.at = Instant::now();
        // Where the end is not known yet there is at least something to find out.
        let behind = |(topic, partition, next, ended): Place<'_>| match ended {
            true => 0,
            false => {
                native::known_end(consumer, topic, partition).map_or(1, |end| (end - next).max(0))
            }
        };
        self.set(places.map(behind).sum());
    }

    fn set(&mut self, behind: i64) {
        self.metrics.lag(self.role, behind - self.counted);
        self.counted = behind;
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        self.set(0);
    }
}
