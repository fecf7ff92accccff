//! What an operator accepts to lose, so that the service goes on.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::config::Start;

/// Where to go on although something is lost by it: once for each partition, so that what was accepted at the start is not
/// accepted of whatever is lost weeks later.
#[derive(Debug, Default)]
pub struct Loss {
    accepted: Option<Start>,
    settled: Mutex<BTreeSet<(String, i32)>>,
}

impl Loss {
    /// Accepts what is lost by going on there; nothing where there is none.
    #[must_use]
    pub fn accepting(accepted: Option<Start>) -> Self {
        Self {
            accepted,
            settled: Mutex::default(),
        }
    }

    /// Where to go on in this partition, if a loss is accepted there.
    #[must_use]
    pub fn accepted(&self, topic: &str, partition: i32) -> Option<Start> {
        let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        let done = settled.contains(&(topic.to_owned(), partition));
        self.accepted.filter(|_| !done)
    }

    /// Notes that it has gone on in this partition.
    pub fn settle(&self, topic: &str, partition: i32) {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        settled.insert((topic.to_owned(), partition));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_accepted_once_for_each_partition() {
        let loss = Loss::accepting(Some(Start::Latest));
        loss.settle("events", 1);
        assert_eq!(loss.accepted("events", 1), None);
        assert_eq!(loss.accepted("events", 2), Some(Start::Latest));
        assert_eq!(Loss::default().accepted("events", 2), None);
    }
}
