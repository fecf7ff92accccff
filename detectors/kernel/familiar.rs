//! What has been seen before, bounded, with the chance that the next thing is new.

use serde::{Deserialize, Serialize};

/// A bounded set of fingerprints, each with how often and on which days it was seen.
///
/// It keeps what Good and Turing's estimate needs: how many trials there were, and how many things
/// were seen in exactly one session; and how often each thing happened in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Familiar {
    entries: Vec<Entry>,
    /// Sessions by things: one that a session repeats counts once.
    trials: u32,
    singletons: u32,
    /// Times that anything happened, repeats included.
    times: u32,
    /// Whether something had to be forgotten: then absence proves nothing any more.
    full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
struct Entry {
    fingerprint: u32,
    /// How often it happened, repeats within a session included.
    times: u32,
    /// Sessions it was seen in, at most [`SESSIONS_MAX`].
    sessions: u8,
    /// Whether it came with an anomaly, and must return on another day to be known.
    held: bool,
    /// Whether it was seen on more than one day.
    returned: bool,
    last_day: u16,
}

/// An entry as it is stored, in eight bytes or a few more.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(with = "postcard::fixint::le")]
    fingerprint: u32,
    times: u32,
    #[serde(with = "postcard::fixint::le")]
    last_day: u16,
    /// Sessions, and above them whether it is held and has returned.
    flags: u8,
}

impl From<Entry> for Stored {
    fn from(entry: Entry) -> Self {
        let (held, returned) = (u8::from(entry.held), u8::from(entry.returned));
        Self {
            fingerprint: entry.fingerprint,
            times: entry.times,
            last_day: entry.last_day,
            flags: entry.sessions | held << 6 | returned << 7,
        }
    }
}

impl From<Stored> for Entry {
    fn from(stored: Stored) -> Self {
        Self {
            fingerprint: stored.fingerprint,
            times: stored.times,
            sessions: stored.flags & 0x3f,
            held: stored.flags & 0x40 != 0,
            returned: stored.flags & 0x80 != 0,
            last_day: stored.last_day,
        }
    }
}

impl Familiar {
    /// Fingerprints kept.
    pub const MAX: usize = 1024;

    /// Whether `fingerprint` is known.
    #[must_use]
    pub fn knows(&self, fingerprint: u32) -> bool {
        self.find(fingerprint)
            .is_ok_and(|at| !self.entries[at].is_held())
    }

    /// Whether `fingerprint` was known before day `day`: what was seen on that day alone does not count.
    #[must_use]
    pub fn knew(&self, fingerprint: u32, day: u16) -> bool {
        self.find(fingerprint).is_ok_and(|at| {
            let entry = &self.entries[at];
            !entry.is_held() && (entry.returned || entry.last_day < day)
        })
    }

    /// Whether `fingerprint` is kept, known or held.
    #[must_use]
    pub fn has(&self, fingerprint: u32) -> bool {
        self.find(fingerprint).is_ok()
    }

    /// The chance that the next trial is new: Good and Turing's estimate, singletons over trials (Good
    /// 1953), with one thing more, and `prior` trials more that brought nothing else. One that forgets
    /// says nothing: 1.
    #[must_use]
    pub fn p_new(&self, prior: f64) -> f64 {
        if self.full {
            return 1.0;
        }
        self.share(self.singletons, prior)
    }

    /// The same, as it was before day `day`: what then was seen once is one cause's.
    #[must_use]
    pub fn p_new_before(&self, day: u16, prior: f64) -> f64 {
        let fresh = |entry: &&Entry| entry.sessions == 1 && entry.last_day >= day;
        let fresh = self.entries.iter().filter(fresh).count();
        if self.full {
            return 1.0;
        }
        self.share(self.singletons.saturating_sub(fresh as u32), prior)
    }

    /// The least that [`Familiar::p_new`] can be after so few trials: with no singleton at all.
    #[must_use]
    pub fn p_new_least(&self, prior: f64) -> f64 {
        self.share(0, prior)
    }

    fn share(&self, singletons: u32, prior: f64) -> f64 {
        ((f64::from(singletons) + 1.0) / (f64::from(self.trials) + prior)).min(1.0)
    }

    /// Whether something had to be forgotten.
    #[must_use]
    pub const fn forgets(&self) -> bool {
        self.full
    }

    /// Forgets everything, for good: what is new all the time tells nothing when it is.
    pub fn give_up(&mut self) {
        *self = Self {
            full: true,
            ..Self::default()
        };
    }

    /// How many different things are remembered.
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.entries.len()
    }

    /// The fingerprints that are remembered, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.fingerprint)
    }

    /// How often `fingerprint` happened.
    #[must_use]
    pub fn times(&self, fingerprint: u32) -> u32 {
        self.find(fingerprint)
            .map_or(0, |at| self.entries[at].times)
    }

    /// How often anything happened.
    #[must_use]
    pub const fn times_in_all(&self) -> u32 {
        self.times
    }

    /// Trials so far.
    #[must_use]
    pub const fn trials(&self) -> u32 {
        self.trials
    }

    /// Things seen in exactly one session.
    #[must_use]
    pub const fn singletons(&self) -> u32 {
        self.singletons
    }

    /// Notes that a session of day `day` (days since the epoch) had `fingerprint` so many `times`;
    /// call it once per session. A `held` newcomer becomes known only after three sessions on two
    /// days.
    pub fn note(&mut self, fingerprint: u32, times: u32, day: u16, held: bool) {
        self.trials = self.trials.saturating_add(1);
        self.times = self.times.saturating_add(times);
        match self.find(fingerprint) {
            Ok(at) => {
                let entry = &mut self.entries[at];
                if entry.sessions == 1 {
                    self.singletons = self.singletons.saturating_sub(1);
                }
                entry.times = entry.times.saturating_add(times);
                entry.sessions = entry.sessions.saturating_add(1).min(SESSIONS_MAX);
                entry.returned |= day != entry.last_day;
                entry.last_day = entry.last_day.max(day);
            }
            Err(at) => {
                let at = if self.entries.len() < Self::MAX {
                    at
                } else {
                    self.forget(at)
                };
                let entry = Entry {
                    fingerprint,
                    times,
                    sessions: 1,
                    held,
                    returned: false,
                    last_day: day,
                };
                self.entries.insert(at, entry);
                self.singletons = self.singletons.saturating_add(1);
            }
        }
    }

    fn find(&self, fingerprint: u32) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&fingerprint, |entry| entry.fingerprint)
    }

    /// Forgets what was seen longest ago, and tells where `at` is now.
    fn forget(&mut self, at: usize) -> usize {
        self.full = true;
        let oldest = self
            .entries
            .iter()
            .enumerate()
            .min_by_key(|(_, e)| (e.last_day, e.fingerprint));
        let oldest = oldest.map_or(0, |(index, _)| index);
        if self.entries.remove(oldest).sessions == 1 {
            self.singletons = self.singletons.saturating_sub(1);
        }
        if oldest < at { at - 1 } else { at }
    }
}

impl Entry {
    const fn is_held(&self) -> bool {
        self.held && (self.sessions < SESSIONS_MAX || !self.returned)
    }
}

/// Sessions after which something is fully known.
const SESSIONS_MAX: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chance_of_news_falls_with_repetition_and_rises_with_singletons() {
        let mut rigid = Familiar::default();
        let mut explorer = Familiar::default();
        for session in 0..500_u32 {
            rigid.note(session % 5, 1, 1, false);
            explorer.note(session, 1, 1, false);
        }
        assert!(rigid.p_new(2.0) < 0.0021);
        assert!(explorer.p_new(2.0) > 0.9);
    }

    #[test]
    fn what_came_with_an_anomaly_is_known_after_three_sessions_on_two_days() {
        let mut set = Familiar::default();
        for day in [10, 10, 10] {
            set.note(7, 1, day, true);
            assert!(!set.knows(7));
        }
        set.note(7, 1, 11, true);
        assert!(set.knows(7));
    }

    #[test]
    fn it_stays_bounded_and_then_claims_nothing() {
        let mut set = Familiar::default();
        for n in 0..5000_u32 {
            set.note(n.wrapping_mul(2_654_435_761), 1, (n / 100) as u16, false);
        }
        assert_eq!(set.entries.len(), Familiar::MAX);
        assert!(set.entries.is_sorted_by_key(|entry| entry.fingerprint));
        assert_eq!(set.p_new(2.0), 1.0);
    }
}
