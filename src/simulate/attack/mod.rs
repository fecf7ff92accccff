//! The attacks: what they are called, whom they befall, who should notice.

mod access;
mod cadence;
mod chains;
mod orders;
#[cfg(test)]
mod tests;
mod volume;

use super::PlanError;
use super::ask::{self, ListError};
use super::identity::{Family, Identity};
use super::stage::{Sign, Stage};

/// A scripted misuse. `docs/simulation.md` says what each does, and how much of it.
///
/// The discriminant numbers the stream of randomness, so it never changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Attack {
    /// A1: a stolen key, used from a new network at a normal volume.
    StolenKey = 0,
    /// A2: a key used from a second host while the first one works on.
    SharedKey = 5,
    /// A3: reads in bulk, 50 times the usual rate for an hour.
    BulkRead = 1,
    /// A4: a little more is carried out every day.
    SlowLeak = 6,
    /// A5: orders on a weekday night, a weekend or a holiday.
    OffHoursOrders = 2,
    /// A6: orders at a venue the identity never traded at, while it is open.
    ForeignVenue = 7,
    /// A7: a secret is read and posted outside, a chain never seen before.
    SecretToOutside = 3,
    /// A8: an agent follows a web page's instructions and mails customer data out.
    InjectedAgent = 4,
    /// A9: an identity that slept for more than 30 days wakes and looks around.
    DormantWakes = 8,
    /// A10: an identity is used after it was retired.
    RetiredActive = 9,
    /// A11: administration it may do and never did.
    UnusedAdmin = 10,
    /// A12: it tries what it may not do.
    DeniedProbe = 11,
    /// A13: a nightly job is killed, or a look-alike runs at another time.
    CadenceBreak = 12,
    /// A14: known tools by known steps, in an order never seen before.
    AbnormalOrder = 13,
    /// A15: a second instance of a trading bot doubles its orders.
    DoubledBot = 14,
    /// A16: a role is given more rights, then data leaves.
    PrivilegeThenEgress = 15,
    /// A17: the volume creeps up for two weeks before it bursts.
    BoilingFrog = 16,
    /// A18: many peers do A7 within a few hours.
    ManyPeers = 17,
    /// A19: an agent carries customer data out by calls that it knows, each after one that it knows.
    KnownLeak = 18,
    /// A20: an agent comes to the end of its work without the steps between.
    SkippedSteps = 19,
}

/// The order of scripting: who has the fewest possible victims comes first.
pub(super) const CHOOSIEST_FIRST: [Attack; 20] = [
    Attack::BulkRead,
    Attack::BoilingFrog,
    Attack::CadenceBreak,
    Attack::OffHoursOrders,
    Attack::ForeignVenue,
    Attack::DoubledBot,
    Attack::AbnormalOrder,
    Attack::InjectedAgent,
    Attack::SecretToOutside,
    Attack::PrivilegeThenEgress,
    Attack::ManyPeers,
    Attack::SlowLeak,
    Attack::SharedKey,
    Attack::StolenKey,
    Attack::UnusedAdmin,
    Attack::DeniedProbe,
    Attack::DormantWakes,
    Attack::RetiredActive,
    // They came later, and must not take the victims that others had.
    Attack::KnownLeak,
    Attack::SkippedSteps,
];

impl Attack {
    /// Every attack, in the order of their codes.
    pub const ALL: [Self; 20] = [
        Self::StolenKey,
        Self::SharedKey,
        Self::BulkRead,
        Self::SlowLeak,
        Self::OffHoursOrders,
        Self::ForeignVenue,
        Self::SecretToOutside,
        Self::InjectedAgent,
        Self::DormantWakes,
        Self::RetiredActive,
        Self::UnusedAdmin,
        Self::DeniedProbe,
        Self::CadenceBreak,
        Self::AbnormalOrder,
        Self::DoubledBot,
        Self::PrivilegeThenEgress,
        Self::BoilingFrog,
        Self::ManyPeers,
        Self::KnownLeak,
        Self::SkippedSteps,
    ];
    /// Those of `all` and `standard`: the first 18, so that these banks stay what they were.
    const REFERENCE: usize = 18;

    /// Its code, as in labels.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::StolenKey => "A1",
            Self::SharedKey => "A2",
            Self::BulkRead => "A3",
            Self::SlowLeak => "A4",
            Self::OffHoursOrders => "A5",
            Self::ForeignVenue => "A6",
            Self::SecretToOutside => "A7",
            Self::InjectedAgent => "A8",
            Self::DormantWakes => "A9",
            Self::RetiredActive => "A10",
            Self::UnusedAdmin => "A11",
            Self::DeniedProbe => "A12",
            Self::CadenceBreak => "A13",
            Self::AbnormalOrder => "A14",
            Self::DoubledBot => "A15",
            Self::PrivilegeThenEgress => "A16",
            Self::BoilingFrog => "A17",
            Self::ManyPeers => "A18",
            Self::KnownLeak => "A19",
            Self::SkippedSteps => "A20",
        }
    }

    /// The detectors that should see it.
    #[must_use]
    pub const fn detectors(self) -> &'static [&'static str] {
        match self {
            Self::StolenKey => &["new-network"],
            Self::SharedKey => &["credential-sharing", "concurrent-use"],
            Self::BulkRead => &["api-volume"],
            Self::SlowLeak => &["egress-volume", "drift"],
            Self::OffHoursOrders => &["off-hours"],
            Self::ForeignVenue => &["order-shape"],
            Self::SecretToOutside
            | Self::InjectedAgent
            | Self::AbnormalOrder
            | Self::KnownLeak
            | Self::SkippedSteps => &["tool-chain"],
            Self::DormantWakes => &["dormant-wakes"],
            Self::RetiredActive => &["retired-identity"],
            Self::UnusedAdmin => &["new-resource-class"],
            Self::DeniedProbe => &["error-burst"],
            Self::CadenceBreak => &["silence"],
            Self::DoubledBot => &["concurrent-use", "api-volume"],
            Self::PrivilegeThenEgress => &["privilege-change", "egress-volume"],
            Self::BoilingFrog => &["drift", "api-volume"],
            Self::ManyPeers => &["tool-chain", "storm"],
        }
    }

    /// Reads `none`, `all` (one of each of A1 to A18), or a list such as `A3,A5x2`.
    ///
    /// # Errors
    /// Names the first item that is not an attack, and the attacks there are.
    pub fn list(text: &str) -> Result<Vec<Self>, ListError> {
        match text.trim() {
            "" | "none" => Ok(Vec::new()),
            "all" => Ok(Self::ALL[..Self::REFERENCE].to_vec()),
            list => ask::list(list, &Self::ALL, Self::code, "A3,A5x2"),
        }
    }

    /// The attacks of a standard run of so many identities: one of each of A1 to A17 for every 50 of
    /// them, and of A18, which befalls many at once, for every 200; at least one of each.
    #[must_use]
    pub fn standard(identities: usize) -> Vec<Self> {
        let times = |attack| match attack {
            Self::ManyPeers => identities / 200,
            _ => identities / 50,
        };
        Self::ALL[..Self::REFERENCE]
            .iter()
            .flat_map(|&attack| std::iter::repeat_n(attack, times(attack).max(1)))
            .collect()
    }

    fn sign(self) -> Sign {
        Sign {
            code: self.code(),
            detectors: self.detectors(),
            malicious: true,
        }
    }
}

/// Whether `who` can be the victim.
fn fits(attack: Attack, instance: usize, who: &Identity) -> bool {
    let family = who.family;
    match attack {
        Attack::StolenKey => matches!(family, Family::Cloud | Family::Integration),
        Attack::SharedKey => matches!(
            family,
            Family::Payment | Family::Poller | Family::Integration
        ),
        Attack::BulkRead | Attack::BoilingFrog => who.constant_rate() >= 21.0,
        Attack::SlowLeak => matches!(family, Family::Poller | Family::Integration),
        Attack::OffHoursOrders | Attack::ForeignVenue | Attack::DoubledBot => {
            family == Family::Algo
        }
        // Every other time a cloud role.
        Attack::SecretToOutside if instance % 2 == 1 => family == Family::Cloud,
        Attack::SecretToOutside | Attack::InjectedAgent => family == Family::Agent,
        Attack::KnownLeak => chains::detour(who).is_some(),
        Attack::SkippedSteps => !chains::shortcuts(who.workflows).is_empty(),
        Attack::AbnormalOrder => !chains::unseen_walks(who.workflows).is_empty(),
        Attack::CadenceBreak => family == Family::Batch,
        Attack::PrivilegeThenEgress => family == Family::Cloud,
        Attack::DormantWakes
        | Attack::RetiredActive
        | Attack::UnusedAdmin
        | Attack::DeniedProbe => matches!(
            family,
            Family::Cloud | Family::Payment | Family::Poller | Family::Integration
        ),
        Attack::ManyPeers => false,
    }
}

impl Stage<'_> {
    /// Instance number `instance` of `attack`.
    pub(super) fn attack(&mut self, attack: Attack, instance: usize) -> Result<(), PlanError> {
        let sign = attack.sign();
        let mut chance = self.attack_chance(attack, instance);
        if attack == Attack::ManyPeers {
            return self.many_peers(sign, &mut chance, instance);
        }
        let who = self
            .choose(&mut chance, |who| fits(attack, instance, who))
            .ok_or(PlanError::NoVictim(attack.code()))?;
        let victim = &mut Identity {
            chance,
            ..who.clone()
        };
        let acts = match attack {
            Attack::StolenKey => self.stolen_key(victim),
            Attack::SharedKey => self.shared_key(victim),
            Attack::BulkRead => self.bulk_read(victim),
            Attack::SlowLeak => self.slow_leak(who, victim),
            Attack::OffHoursOrders => self.off_hours(victim, instance),
            Attack::ForeignVenue => self.foreign_venue(victim),
            Attack::SecretToOutside => self.secret_to_outside(victim),
            Attack::InjectedAgent => self.injected_agent(victim),
            Attack::DormantWakes => self.dormant_wakes(victim),
            Attack::RetiredActive => self.retired_active(victim),
            Attack::UnusedAdmin => self.unused_admin(victim),
            Attack::DeniedProbe => self.denied_probe(who, victim),
            Attack::CadenceBreak => {
                self.cadence_break(sign, victim, instance);
                return Ok(());
            }
            Attack::AbnormalOrder => self.abnormal_order(victim),
            Attack::DoubledBot => self.doubled_bot(who, victim),
            Attack::PrivilegeThenEgress => self.privilege_then_egress(victim),
            Attack::BoilingFrog => self.boiling_frog(victim),
            Attack::KnownLeak => self.known_leak(victim),
            Attack::SkippedSteps => self.skipped_steps(victim),
            Attack::ManyPeers => Vec::new(),
        };
        self.keep(sign, acts);
        Ok(())
    }
}
