//! Which of several logs goes next, so that they become one in the order of event time.

use std::time::{Duration, Instant};

use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// What one log has to offer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Offer {
    /// A record that waits for no other: news that is not an event, or what could not be read.
    AtOnce,
    /// A record of this time.
    At(Timestamp),
    /// More is in the log, and on its way to us.
    Coming,
    /// All was taken.
    End,
}

/// The order in which logs are merged, and how far event time has come by it.
///
/// The smallest time goes first, and nothing goes while a log that is not at its end has yet to
/// show its next record. What is too late to be in order anyway does not hold up the rest: the two
/// take turns, so that a log of old events beside live ones delays neither.
#[derive(Debug, Default)]
pub(super) struct Merge {
    front: Option<Front>,
    late_was_last: bool,
}

#[derive(Clone, Copy, Debug)]
struct Front {
    ts: Timestamp,
    /// When it was reached, and whether it was then the present.
    at: Instant,
    live: bool,
}

impl Merge {
    /// The log whose record goes next, if any may.
    pub(super) fn choose(&mut self, offers: impl Iterator<Item = Offer>) -> Option<usize> {
        let bound = self.front.map(|front| front.ts.minus(IN_ORDER));
        let (mut due, mut late) = (None::<(Timestamp, usize)>, None::<(Timestamp, usize)>);
        let mut at_once = None;
        for (index, offer) in offers.enumerate() {
            match offer {
                Offer::Coming => return None,
                Offer::End => {}
                Offer::AtOnce => at_once = at_once.or(Some(index)),
                Offer::At(ts) => {
                    let best = if bound.is_some_and(|bound| ts < bound) {
                        &mut late
                    } else {
                        &mut due
                    };
                    if best.is_none_or(|(smallest, _)| ts < smallest) {
                        *best = Some((ts, index));
                    }
                }
            }
        }
        if at_once.is_some() {
            return at_once;
        }
        let late_goes = late.is_some() && (due.is_none() || !self.late_was_last);
        self.late_was_last = late_goes;
        let chosen = if late_goes { late } else { due };
        chosen.map(|(_, index)| index)
    }

    /// Notes that an event of `ts` went; `now` is the wall clock's time at the instant `at`.
    pub(super) fn passed(&mut self, ts: Timestamp, now: Timestamp, at: Instant) {
        if self.front.is_none_or(|front| ts >= front.ts) {
            let live = ts >= now.minus(PRESENT);
            self.front = Some(Front { ts, at, live });
        }
    }

    /// How far event time has come. While the merge is live and `idle`, it goes on with the clock;
    /// in a replay of old data it never runs ahead of the data.
    #[must_use]
    pub(super) fn time(&self, at: Instant, idle: bool) -> Option<Timestamp> {
        let front = self.front?;
        if !front.live || !idle {
            return Some(front.ts);
        }
        let since = at.saturating_duration_since(front.at);
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        Some(front.ts.plus(Span::from_micros(micros)))
    }
}

/// How long a log that is not at its end is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Behind the front by more than this, an event is late for the watch in whatever order it comes.
const IN_ORDER: Span = Span::MINUTE.times(10);
/// So near the wall clock, event time is the present.
const PRESENT: Span = Span::MINUTE.times(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_seconds(1_790_000_000 + minute * 60)
    }

    #[test]
    fn the_earliest_goes_first_and_a_log_that_is_coming_is_waited_for() {
        let mut merge = Merge::default();
        let mut choose = |offers: &[Offer]| merge.choose(offers.iter().copied());
        assert_eq!(choose(&[Offer::At(at(2)), Offer::At(at(1))]), Some(1));
        assert_eq!(choose(&[Offer::At(at(2)), Offer::Coming]), None);
        assert_eq!(choose(&[Offer::AtOnce, Offer::Coming]), None);
        assert_eq!(choose(&[Offer::At(at(2)), Offer::End]), Some(0));
        assert_eq!(choose(&[Offer::At(at(2)), Offer::AtOnce]), Some(1));
        assert_eq!(choose(&[Offer::At(at(2)), Offer::At(at(2))]), Some(0));
        assert_eq!(choose(&[Offer::End, Offer::End]), None);
    }

    #[test]
    fn two_backlogs_become_one_in_order() {
        let logs = [[0, 3, 4, 90], [1, 2, 50, 51]];
        let (mut merge, mut next, mut went) = (Merge::default(), [0, 0], Vec::new());
        let offer = |log: usize, next: usize| {
            logs[log]
                .get(next)
                .map_or(Offer::End, |minute| Offer::At(at(*minute)))
        };
        while let Some(log) = merge.choose([offer(0, next[0]), offer(1, next[1])].into_iter()) {
            let minute = logs[log][next[log]];
            merge.passed(at(minute), at(100_000), Instant::now());
            went.push(minute);
            next[log] += 1;
        }
        assert_eq!(went, [0, 1, 2, 3, 4, 50, 51, 90]);
    }

    #[test]
    fn a_log_of_old_events_and_a_live_one_take_turns() {
        let mut merge = Merge::default();
        merge.passed(at(1000), at(1000), Instant::now());
        let offers = [Offer::At(at(3)), Offer::At(at(1001))];
        let turns: Vec<_> = (0..4)
            .map(|_| merge.choose(offers.into_iter()).unwrap())
            .collect();
        assert_eq!(turns, [0, 1, 0, 1]);
    }

    #[test]
    fn time_goes_on_with_the_clock_only_where_it_is_the_present() {
        let start = Instant::now();
        let later = start + Duration::from_secs(60);
        let mut merge = Merge::default();
        assert_eq!(merge.time(later, true), None);
        merge.passed(at(5), at(100_000), start);
        assert_eq!(merge.time(later, true), Some(at(5)));
        merge.passed(at(7), at(8), start);
        assert_eq!(merge.time(later, true), Some(at(8)));
        assert_eq!(merge.time(later, false), Some(at(7)));
        merge.passed(at(6), at(8), later);
        assert_eq!(merge.time(later, false), Some(at(7)));
    }
}
