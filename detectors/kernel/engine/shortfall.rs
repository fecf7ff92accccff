//! What an engine cannot take in is told, whoever it is of.

use super::Engine;
use crate::kernel::alert::Alert;
use crate::kernel::limit::Limit;
use crate::kernel::newcomers::issuer;
use crate::kernel::shortfalls::{Lack, Missed};
use crate::kernel::time::Timestamp;

impl Engine {
    /// Takes note of `count` records that could not be read: of which source, and what is wrong with them. `received`
    /// is when they reached the log, and counts where the partition has no time yet.
    ///
    /// A record of the partition's own log that cannot be read is no input and has no fate: its driver calls this.
    pub fn refuse(
        &mut self,
        (source, reason): (&str, &str),
        count: u64,
        received: Option<Timestamp>,
        alerts: &mut Vec<Alert>,
    ) {
        let front = self.clock.front();
        let Some(ts) = front.or(received) else {
            return;
        };
        let missed = Missed {
            lack: Lack::Sense,
            subject: &format!("{source}: {reason}"),
            count,
            identity: None,
            most: None,
            ts,
            day: front.map(Timestamp::day),
        };
        let decision = self.decision.digest();
        alerts.extend(self.shortfalls.note(&missed, self.partition, decision));
    }

    /// An event or the declaration of `identity` found no room for it, because of `limit`.
    pub(super) fn miss_room(&mut self, identity: &str, limit: Limit, alerts: &mut Vec<Alert>) {
        self.stats.limits[limit as usize] += 1;
        let Some(ts) = self.clock.front() else {
            return;
        };
        let most = self.identities.most_newcomers();
        let missed = Missed {
            lack: Lack::Room,
            subject: named(issuer(identity)),
            count: 1,
            identity: Some(identity),
            most: most.map(|(issuer, most)| (named(issuer), most)),
            ts,
            day: Some(ts.day()),
        };
        let decision = self.decision.digest();
        alerts.extend(self.shortfalls.note(&missed, self.partition, decision));
    }
}

/// What an alert calls an issuer: some names tell none.
const fn named(issuer: &str) -> &str {
    match issuer.is_empty() {
        true => "names without an issuer",
        false => issuer,
    }
}
