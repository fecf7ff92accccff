#![doc = include_str!("README.md")]

mod venue;

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Profile;
use crate::kernel::calendar::{Calendar, Calendars, Phase};
use crate::kernel::detector::{
    Card, Detector, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::{Class, Event};
use crate::kernel::inventory::Declared;
use crate::kernel::options::{Minutes, Probability};
use crate::kernel::presence::Presence;
use crate::kernel::time::Span;

/// Acts in an hour in which it never acts, or places orders while the venue is closed.
pub struct OffHours {
    config: Config,
    calendars: Calendars,
}

/// The settings of `off-hours`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How improbable activity in an hour must be. An identity watched for ten weeks cannot reach
    /// less than about 0.001, so a much smaller value silences the learned half.
    pub p_max: Probability,
    /// In which of a venue's hours orders may be placed.
    pub sessions: Sessions,
    /// How long before the open orders are accepted as meant for the session.
    pub before_open: Minutes,
    /// How long after the close orders are accepted as belonging to the session.
    pub after_close: Minutes,
}

/// In which of a venue's hours orders may be placed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sessions {
    /// While it trades continuously and in its auctions.
    Regular,
    /// Whenever it takes orders: before the open, after the close, at night.
    Extended,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            p_max: Probability::new(0.003),
            sessions: Sessions::Regular,
            before_open: Minutes::new(0.0),
            after_close: Minutes::new(0.0),
        }
    }
}

impl Detector for OffHours {
    const CARD: Card = Card {
        name: "off-hours",
        summary: "Acts in an hour in which it never acts, or orders while the venue is closed",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["T1078.004", "FINRA-3110"],
        page: include_str!("README.md"),
    };
    type Config = Config;
    type State = ();

    fn new(config: Config, calendars: &Calendars) -> Self {
        Self {
            config,
            calendars: calendars.clone(),
        }
    }

    fn learning(_config: &Config) -> Span {
        Presence::LEARNING
    }

    fn rule(&self, event: &Event<'_>, declared: Option<&Declared>) -> Verdict {
        let phase = venue::phase(&self.calendars, event);
        self.broken(event, phase, declared)
            .or_else(|| venue::unjudged(event, phase?))
            .map_or(Verdict::Normal, Verdict::found)
    }

    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, (): &()) -> Verdict {
        let now = profile.now;
        let table = match &profile.closed.orders {
            Some(orders) if now.first_order && orders.is_learned() => orders,
            _ if now.first => &profile.closed.presence,
            _ => return Verdict::Normal,
        };
        if !table.is_learned() {
            return Verdict::Learning;
        }
        let zone = profile.zone();
        let cell = event.ts.hour_of_week(zone);
        let usual = table.usual(cell);
        let moves_money = matches!(event.class, Class::Order | Class::Payment);
        let (p_max, floor) = if usual.never && moves_money {
            (self.config.p_max.get().max(SINK_P_MAX), SINK_BITS)
        } else {
            (self.config.p_max.get(), 0.0)
        };
        // The venue's calendar or the declared schedule has said it already, with more force.
        let declared = profile.closed.declared.as_ref();
        let phase = || venue::phase(&self.calendars, event);
        if usual.p > p_max || self.broken(event, phase(), declared).is_some() {
            return Verdict::Normal;
        }
        // A habit that overruns the hour, or has moved along with a clock, is the same habit.
        if profile
            .hours_near(event.ts)
            .any(|near| table.usual(near).p >= HABIT)
        {
            return Verdict::Normal;
        }
        let what = if event.class == Class::Order {
            "places orders"
        } else {
            "is active"
        };
        Verdict::found(Finding {
            subject: "learned hours".to_owned(),
            p_value: Some(PValue::new(usual.p)),
            begins: self.config.p_max.get(),
            summary: format!(
                "active on {}, an hour in which it never {what}",
                event.ts.wall_clock(zone)
            ),
            expected: format!(
                "no activity in the hour {cell} {zone}: active in {:.0} of {:.0} such hours",
                usual.active, usual.visits
            ),
            observed: format!("{} at {}", event.action, event.ts.wall_clock(zone)),
            evidence: evidence([
                ("hour", format!("{cell} {zone}")),
                ("quiet_hours_seen", format!("{:.0}", usual.trials)),
                ("quiet_hours_active", format!("{:.1}", usual.activations)),
            ]),
            clears: "the identity is active in this hour in following weeks".to_owned(),
            severity: None,
            sink: event.is_sink(),
            floor,
        })
    }
}

/// The least that an order or a payment weighs in an hour in which, and beside which, there never was
/// anything: fewer weeks than years cannot make it rare enough, and somebody has to know.
const SINK_BITS: f64 = 8.0;
/// Up to where they are told of: some seventy quiet hours of which none came alive.
const SINK_P_MAX: f64 = 0.01;

/// How often an hour must be active to lend its neighbour an excuse: more often than not, so that a
/// stranger's own first hours excuse nothing.
const HABIT: f64 = 0.5;

impl OffHours {
    /// The finding of the rule that `event` breaks, if it breaks one, in this `phase` of its venue.
    fn broken(
        &self,
        event: &Event<'_>,
        phase: Option<(&Calendar, Phase)>,
        declared: Option<&Declared>,
    ) -> Option<Finding> {
        venue::closed(event, phase, &self.config).or_else(|| outside_schedule(event, declared?))
    }
}

/// The finding of an action that changes something outside the windows its owners declared.
fn outside_schedule(event: &Event<'_>, declared: &Declared) -> Option<Finding> {
    let changes = matches!(
        event.class,
        Class::Order | Class::Payment | Class::Admin | Class::Write
    );
    if !changes || declared.allows(event.ts) {
        return None;
    }
    let zone = Declared::zone(Some(declared));
    let at = event.ts.wall_clock(zone);
    let schedule = &declared.schedule;
    Some(Finding {
        subject: "outside declared schedule".to_owned(),
        p_value: None,
        begins: 1.0,
        summary: format!("{} on {at}, outside its declared schedule", event.action),
        expected: format!("orders, payments and changes only within {schedule} {zone}"),
        observed: format!("{} at {at}", event.action),
        evidence: evidence([
            ("schedule", schedule.to_string()),
            ("timezone", zone.name().to_owned()),
            ("class", event.class.word().to_owned()),
        ]),
        clears: "the owner adds the hour to `schedule` in the inventory".to_owned(),
        severity: None,
        sink: event.is_sink(),
        floor: 0.0,
    })
}
