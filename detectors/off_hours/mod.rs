#![doc = include_str!("README.md")]

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Profile;
use crate::kernel::calendar::{Calendars, Phase};
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
    /// How long before the open orders are accepted as meant for the session.
    pub before_open: Minutes,
    /// How long after the close orders are accepted as belonging to the session.
    pub after_close: Minutes,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            p_max: Probability::new(0.003),
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
        self.closed_venue(event)
            .or_else(|| outside_schedule(event, declared?))
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
        // The venue's calendar or the declared schedule has said it already, with more force.
        let declared = profile.closed.declared.as_ref();
        if usual.p > self.config.p_max.get() || self.rule(event, declared) != Verdict::Normal {
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
            floor: 0.0,
        })
    }
}

/// How often an hour must be active to lend its neighbour an excuse: more often than not, so that a
/// stranger's own first hours excuse nothing.
const HABIT: f64 = 0.5;

impl OffHours {
    fn closed_venue(&self, event: &Event<'_>) -> Option<Finding> {
        if event.class != Class::Order {
            return None;
        }
        let calendar = self.calendars.venue(event.venue?)?;
        let Phase::Closed { last, next } = calendar.phase(event.ts) else {
            return None;
        };
        let after_close = self.config.after_close.span();
        let before_open = self.config.before_open.span();
        if last.is_some_and(|last| event.ts.since(last.close) < after_close)
            || next.is_some_and(|next| next.open.since(event.ts) <= before_open)
        {
            return None;
        }
        let at = |instant: Option<crate::kernel::time::Timestamp>| {
            instant.map_or_else(|| "unknown".to_owned(), |instant| instant.rfc3339())
        };
        let (closed, opens) = (
            at(last.map(|last| last.close)),
            at(next.map(|next| next.open)),
        );
        let mic = &calendar.mic;
        Some(Finding {
            subject: format!("{mic} closed"),
            p_value: None,
            begins: 1.0,
            summary: format!("{} on {mic} while the venue is closed", event.action),
            expected: format!(
                "orders only while {mic} trades: closed at {closed}, opens at {opens}"
            ),
            observed: format!("{} at {}", event.action, event.ts.rfc3339()),
            evidence: evidence([
                ("venue", mic.to_string()),
                ("venue_closed_at", closed),
                ("venue_opens_at", opens),
                ("calendar", format!("{} version {}", mic, calendar.version)),
                ("calendar_hash", calendar.hash.to_string()),
            ]),
            clears: format!("{mic} opens, or `before_open` or `after_close` allows it"),
            severity: None,
            sink: event.is_sink(),
            floor: 0.0,
        })
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
