//! How many identities were first seen in which hour, so that the young are counted without a look
//! at each.

use std::collections::BTreeMap;

use super::time::{Span, Timestamp};

/// Identities first seen in each of the last hours.
#[derive(Debug, Default)]
pub(crate) struct Births {
    hours: BTreeMap<i64, u64>,
}

impl Births {
    /// Notes an identity first seen at `ts`.
    pub(crate) fn note(&mut self, ts: Timestamp) {
        *self.hours.entry(ts.hour()).or_default() += 1;
    }

    /// Takes an identity first seen at `ts` back out.
    pub(crate) fn forget(&mut self, ts: Timestamp) {
        if let Some(count) = self.hours.get_mut(&ts.hour()) {
            *count -= 1;
            if *count == 0 {
                self.hours.remove(&ts.hour());
            }
        }
    }

    /// Drops what is older than `age` at `now`; nobody asks for it any more.
    pub(crate) fn expire(&mut self, age: Span, now: Timestamp) {
        while let Some(oldest) = self.hours.first_entry()
            && *oldest.key() < now.minus(age).hour()
        {
            oldest.remove();
        }
    }

    /// Identities younger than `age` at `now`, to the hour.
    pub(crate) fn younger(&self, age: Span, now: Timestamp) -> u64 {
        let oldest = now.minus(age).hour();
        self.hours.range(oldest..).map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_young_are_those_born_within_the_age_and_not_taken_out() {
        let hour = |n: i64| Timestamp::from_hour(500_000 + n);
        let mut births = Births::default();
        for n in [0, 1, 1, 5] {
            births.note(hour(n));
        }
        let younger = |births: &Births, n| births.younger(Span::HOUR.times(4), hour(n));
        assert_eq!([3, 5, 6, 9].map(|n| younger(&births, n)), [4, 3, 1, 1]);
        births.forget(hour(5));
        births.expire(Span::HOUR.times(4), hour(5));
        assert_eq!(younger(&births, 5), 2);
        assert_eq!(births.hours.len(), 1);
        births.forget(hour(0));
    }
}
