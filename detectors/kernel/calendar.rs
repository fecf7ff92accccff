//! When a trading venue is open, as data that somebody else has compiled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The trading calendars in force, by market identifier code (ISO 10383).
#[derive(Clone, Debug, Default)]
pub struct Calendars(BTreeMap<Box<str>, Calendar>);

impl Calendars {
    /// The calendars of `list`; of two for one venue the later one counts.
    #[must_use]
    pub fn new(list: Vec<Calendar>) -> Self {
        Self(
            list.into_iter()
                .map(|calendar| (calendar.mic.clone(), calendar))
                .collect(),
        )
    }

    /// The calendar of venue `mic`, if there is one.
    #[must_use]
    pub fn venue(&self, mic: &str) -> Option<&Calendar> {
        self.0.get(mic)
    }

    /// All of them, ordered by code.
    pub fn iter(&self) -> impl Iterator<Item = &Calendar> {
        self.0.values()
    }
}

/// The sessions of one venue.
#[derive(Clone, Debug)]
pub struct Calendar {
    /// Market identifier code, such as `XNYS`.
    pub mic: Box<str>,
    /// Version of the data, as its file says.
    pub version: Box<str>,
    /// Hash of the data in hex, so that an alert proves which calendar it used.
    pub hash: Box<str>,
    /// Every session, in order, none overlapping another.
    sessions: Vec<Session>,
    /// Stretches around them in which the venue takes orders as well, in order.
    around: Vec<(SessionClass, Session)>,
    /// Why nobody vouches for the data, if that is so.
    pub unverified: Option<Box<str>>,
    /// First instant the calendar speaks of.
    from: Timestamp,
    /// First instant it no longer speaks of.
    until: Timestamp,
}

/// One continuous stretch of trading; a lunch break makes two of a day.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Session {
    /// Its first instant.
    pub open: Timestamp,
    /// The first instant after it.
    pub close: Timestamp,
}

/// What sort of stretch around its sessions a venue takes orders in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionClass {
    /// Orders are taken, and nothing trades yet.
    PreOpen,
    /// The call phase of an auction, or trading at its price.
    Auction,
    /// Trading before the session.
    PreMarket,
    /// Trading after the session.
    PostMarket,
    /// Trading at night.
    Overnight,
}

impl SessionClass {
    /// Its name as calendar files and alerts write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreOpen => "pre-open",
            Self::Auction => "auction",
            Self::PreMarket => "pre-market",
            Self::PostMarket => "post-market",
            Self::Overnight => "overnight",
        }
    }

    /// Whether it belongs to the regular session: its auctions do.
    #[must_use]
    pub const fn is_regular(self) -> bool {
        matches!(self, Self::Auction)
    }
}

/// What a venue does at an instant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// It trades; this is the session.
    Open(Session),
    /// It does not; the sessions before and after.
    Closed {
        /// In what sort of stretch it takes orders all the same, if it does.
        takes: Option<SessionClass>,
        /// The session before, if the calendar knows one.
        last: Option<Session>,
        /// The session after, if the calendar knows one.
        next: Option<Session>,
    },
    /// The calendar does not speak of this instant.
    Unknown,
}

impl Calendar {
    /// The calendar of `mic` with these `sessions`, speaking of `from` up to `until`.
    ///
    /// Sessions are put in order; one that is empty or overlaps the one before is left out.
    #[must_use]
    pub fn new(
        mic: &str,
        version: &str,
        hash: &str,
        mut sessions: Vec<Session>,
        from: Timestamp,
        until: Timestamp,
    ) -> Self {
        sessions.sort_by_key(|session| session.open);
        let mut last = Timestamp::from_micros(i64::MIN);
        sessions.retain(|session| {
            let fits = session.open >= last && session.close > session.open;
            if fits {
                last = session.close;
            }
            fits
        });
        Self {
            mic: mic.into(),
            version: version.into(),
            hash: hash.into(),
            sessions,
            around: Vec::new(),
            unverified: None,
            from,
            until,
        }
    }

    /// The same venue, which takes orders in these stretches `around` its sessions as well.
    #[must_use]
    pub fn taking_orders(mut self, mut around: Vec<(SessionClass, Session)>) -> Self {
        around.sort_by_key(|(_, stretch)| stretch.open);
        self.around = around;
        self
    }

    /// The same calendar, with the reason `why` nobody vouches for it, if there is one.
    #[must_use]
    pub fn unverified(mut self, why: Option<&str>) -> Self {
        self.unverified = why.map(Into::into);
        self
    }

    /// What the venue does at `at`.
    #[must_use]
    pub fn phase(&self, at: Timestamp) -> Phase {
        if at < self.from || at >= self.until {
            return Phase::Unknown;
        }
        let after = self.sessions.partition_point(|session| session.open <= at);
        let last = after
            .checked_sub(1)
            .and_then(|index| self.sessions.get(index))
            .copied();
        match last {
            Some(session) if at < session.close => Phase::Open(session),
            last => Phase::Closed {
                takes: self.around(at),
                last,
                next: self.sessions.get(after).copied(),
            },
        }
    }

    fn around(&self, at: Timestamp) -> Option<SessionClass> {
        let after = self
            .around
            .partition_point(|(_, stretch)| stretch.open <= at);
        let (class, stretch) = self.around.get(after.checked_sub(1)?)?;
        (at < stretch.close).then_some(*class)
    }

    /// The first instant it speaks of, and the first it no longer speaks of.
    #[must_use]
    pub const fn coverage(&self) -> (Timestamp, Timestamp) {
        (self.from, self.until)
    }

    /// Every session, in order.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_session_holds_its_open_and_not_its_close() {
        let session = Session {
            open: at(100),
            close: at(200),
        };
        let later = Session {
            open: at(300),
            close: at(400),
        };
        let venue = Calendar::new("XTST", "1", "", vec![later, session], at(0), at(1000));
        assert_eq!(venue.phase(at(100)), Phase::Open(session));
        assert_eq!(venue.phase(at(199)), Phase::Open(session));
        let closed = Phase::Closed {
            takes: None,
            last: Some(session),
            next: Some(later),
        };
        assert_eq!(venue.phase(at(200)), closed);
        assert_eq!(
            venue.phase(at(99)),
            Phase::Closed {
                takes: None,
                last: None,
                next: Some(session)
            }
        );
        assert_eq!(venue.phase(at(1000)), Phase::Unknown);
    }
}
