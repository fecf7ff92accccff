//! Identities without a history, bounded: who invents more of them than there is room for displaces nobody.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::time::{Span, Timestamp};

/// The identities of one partition that have not acted for longer than a day yet and that nobody declared.
///
/// Whoever may invent names can invent any number. Those first seen within a day are newcomers, and are bounded as a
/// class. Where there are too many, one of the issuer that has the most gives way to one of an issuer that has fewer
/// (longest queue drop: Suter, Lakshman, Stiliadis and Choudhury, INFOCOM 1998), so that who floods hurts itself.
pub(crate) struct Newcomers {
    max: usize,
    /// By when they were first seen.
    by_age: BTreeSet<Seen>,
    issuers: BTreeMap<Box<str>, BTreeSet<Seen>>,
    /// The issuers, by how many newcomers they have.
    by_size: BTreeSet<(usize, Box<str>)>,
    /// Those first seen longer ago, who have not come back since.
    unproven: BTreeSet<Seen>,
}

/// When an identity was first seen, and its name.
type Seen = (Timestamp, Arc<str>);

impl Newcomers {
    /// Room for `max` newcomers.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max: max.max(1),
            by_age: BTreeSet::new(),
            issuers: BTreeMap::new(),
            by_size: BTreeSet::new(),
            unproven: BTreeSet::new(),
        }
    }

    /// Takes in `identity`, first seen at `ts`.
    pub(crate) fn insert(&mut self, ts: Timestamp, identity: &str) {
        let seen: Seen = (ts, identity.into());
        if self.by_age.insert(seen.clone()) {
            self.regroup(issuer(identity), |group| group.insert(seen));
        }
    }

    /// Takes back in `identity`, first seen at `ts`, while the partition's time is `front`.
    pub(crate) fn restore(&mut self, ts: Timestamp, identity: &str, front: Timestamp) {
        match ts.plus(Span::DAY) < front {
            true => drop(self.unproven.insert((ts, identity.into()))),
            false => self.insert(ts, identity),
        }
    }

    /// The issuer that has the most newcomers, and how many.
    pub(crate) fn most(&self) -> Option<(&str, usize)> {
        let (most, issuer) = self.by_size.last()?;
        Some((issuer, *most))
    }

    /// Takes out `identity`, first seen at `ts`.
    pub(crate) fn remove(&mut self, ts: Timestamp, identity: &str) {
        let seen: Seen = (ts, identity.into());
        if self.by_age.remove(&seen) {
            self.regroup(issuer(identity), |group| group.remove(&seen));
        } else {
            self.unproven.remove(&seen);
        }
    }

    /// At `front`, who was first seen longer than a day ago is no newcomer any more.
    pub(crate) fn expire(&mut self, front: Timestamp) {
        while let Some((ts, _)) = self.by_age.first()
            && ts.plus(Span::DAY) < front
            && let Some(seen) = self.by_age.pop_first()
        {
            self.regroup(issuer(&seen.1), |group| group.remove(&seen));
            self.unproven.insert(seen);
        }
    }

    /// Whether there are as many newcomers as there may be.
    pub(crate) fn is_full(&self) -> bool {
        self.by_age.len() >= self.max
    }

    /// Takes out who was first seen longest ago and never came back.
    pub(crate) fn take_unproven(&mut self) -> Option<Arc<str>> {
        self.unproven.pop_first().map(|(_, identity)| identity)
    }

    /// Takes out a newcomer that makes room for `identity`: the latest of the issuer that has the most, where that still
    /// has as many then as the issuer of `identity` has with it.
    pub(crate) fn give_way(&mut self, identity: &str) -> Option<Arc<str>> {
        let own = self.issuers.get(issuer(identity)).map_or(0, BTreeSet::len);
        let (most, _) = self.by_size.last()?;
        (own + 1 < *most).then(|| self.take_latest()).flatten()
    }

    /// Takes out the latest newcomer of the issuer that has the most.
    pub(crate) fn take_latest(&mut self) -> Option<Arc<str>> {
        let (_, issuer) = self.by_size.last()?;
        let (ts, identity) = self.issuers.get(issuer)?.last()?.clone();
        self.remove(ts, &identity);
        Some(identity)
    }

    /// Changes the newcomers of `issuer` by `change`, and keeps their number.
    fn regroup(&mut self, issuer: &str, change: impl FnOnce(&mut BTreeSet<Seen>) -> bool) {
        let group = self.issuers.entry(issuer.into()).or_default();
        let before = group.len();
        change(group);
        let after = group.len();
        if after == 0 {
            self.issuers.remove(issuer);
        }
        self.by_size.remove(&(before, issuer.into()));
        if after > 0 {
            self.by_size.insert((after, issuer.into()));
        }
    }
}

/// Who has issued `identity`, as far as the name says: what stands behind the last `@`, or else before the last `/`
/// or `:`, such as the account of an ARN, the namespace of a SPIFFE id or the project of a mail address; nothing where
/// the name has one part only.
pub(crate) fn issuer(identity: &str) -> &str {
    if let Some((_, domain)) = identity.rsplit_once('@') {
        return domain;
    }
    identity.rfind(['/', ':']).map_or("", |at| &identity[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_hour(500_000);

    #[test]
    fn the_issuer_is_what_several_names_have_in_common() {
        for (identity, expected) in [
            ("arn:aws:iam::1111:role/svc-a", "arn:aws:iam::1111:role"),
            ("spiffe://bank/ns/pay/sa/gw", "spiffe://bank/ns/pay/sa"),
            ("system:serviceaccount:pay:gw", "system:serviceaccount:pay"),
            ("gw@pay.iam.example", "pay.iam.example"),
            ("svc-a", ""),
            ("", ""),
            ("ä/ö", "ä"),
        ] {
            assert_eq!(issuer(identity), expected, "{identity}");
        }
    }

    #[test]
    fn who_has_the_most_gives_way_to_who_has_fewer_and_never_the_other_way_round() {
        let mut newcomers = Newcomers::new(4);
        for n in 0..4_i64 {
            let ts = NOW.plus(Span::from_seconds(n));
            newcomers.insert(ts, &format!("flood/{n}"));
        }
        assert!(newcomers.is_full());
        assert_eq!(newcomers.give_way("flood/5"), None);
        for (nth, name) in ["a/1", "b/1"].into_iter().enumerate() {
            let latest = format!("flood/{}", 3 - nth);
            assert_eq!(newcomers.give_way(name).as_deref(), Some(&*latest));
            newcomers.insert(NOW, name);
        }
        // Two of the flood are left; another of `a` would make them as many.
        assert_eq!(newcomers.give_way("a/2"), None);
        assert!(newcomers.is_full());
    }

    #[test]
    fn who_never_came_back_is_unproven_after_a_day_and_takes_no_place_of_a_newcomer() {
        let mut newcomers = Newcomers::new(2);
        newcomers.insert(NOW, "a/1");
        newcomers.insert(NOW, "a/2");
        newcomers.insert(NOW, "a/2");
        newcomers.expire(NOW.plus(Span::DAY));
        assert!(newcomers.is_full());
        assert_eq!(newcomers.take_unproven(), None);
        newcomers.expire(NOW.plus(Span::DAY).plus(Span::from_micros(1)));
        assert!(!newcomers.is_full());
        newcomers.remove(NOW, "a/1");
        assert_eq!(newcomers.take_unproven().as_deref(), Some("a/2"));
        assert_eq!(newcomers.take_unproven(), None);
        assert_eq!(newcomers.take_latest(), None);
    }
}
