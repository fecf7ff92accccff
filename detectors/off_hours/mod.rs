#![doc = include_str!("README.md")]

use serde::{Deserialize, Serialize};

use crate::kernel::baseline::Profile;
use crate::kernel::calendar::{Calendar, Calendars, Phase, Session, SessionClass};
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
        self.broken(event, declared)
            .or_else(|| self.beyond_the_calendar(event))
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
        let sink = matches!(event.class, Class::Order | Class::Payment);
        let (p_max, floor) = if usual.never && sink {
            (self.config.p_max.get().max(SINK_P_MAX), SINK_BITS)
        } else {
            (self.config.p_max.get(), 0.0)
        };
        // The venue's calendar or the declared schedule has said it already, with more force.
        let declared = profile.closed.declared.as_ref();
        if usual.p > p_max || self.broken(event, declared).is_some() {
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
    /// The finding of the rule that `event` breaks, if it breaks one.
    fn broken(&self, event: &Event<'_>, declared: Option<&Declared>) -> Option<Finding> {
        self.closed_venue(event)
            .or_else(|| outside_schedule(event, declared?))
    }

    /// An order that cannot be judged, because the calendar of its venue does not speak of its time: said
    /// aloud, lest it be taken for judged.
    fn beyond_the_calendar(&self, event: &Event<'_>) -> Option<Finding> {
        let calendar = self.order_venue(event)?;
        if calendar.phase(event.ts) != Phase::Unknown {
            return None;
        }
        let mic = &calendar.mic;
        let (from, until) = calendar.coverage();
        let (from, until) = (from.rfc3339(), until.rfc3339());
        Some(Finding {
            subject: format!("{mic} calendar ends"),
            p_value: None,
            begins: 1.0,
            summary: format!(
                "{} on {mic} cannot be judged: its calendar ends",
                event.action
            ),
            expected: format!("orders between {from} and {until}, of which the calendar speaks"),
            observed: format!("{} at {}", event.action, event.ts.rfc3339()),
            evidence: evidence([
                ("venue", mic.to_string()),
                ("calendar", format!("{mic} version {}", calendar.version)),
                ("calendar_hash", calendar.hash.to_string()),
            ]),
            clears: format!("a calendar of {mic} that goes on, in `calendars.directory`"),
            severity: Some(Severity::Info),
            sink: false,
            floor: 0.0,
        })
    }

    /// The calendar of the venue of an order.
    fn order_venue(&self, event: &Event<'_>) -> Option<&Calendar> {
        let is_order = event.class == Class::Order;
        self.calendars.venue(event.venue.filter(|_| is_order)?)
    }

    fn closed_venue(&self, event: &Event<'_>) -> Option<Finding> {
        let calendar = self.order_venue(event)?;
        let Phase::Closed { takes, last, next } = calendar.phase(event.ts) else {
            return None;
        };
        let meant =
            |class: SessionClass| class.is_regular() || self.config.sessions == Sessions::Extended;
        if takes.is_some_and(meant) {
            return None;
        }
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
        let session = takes.map_or("closed", SessionClass::name);
        Some(Finding {
            subject: format!("{mic} closed"),
            p_value: None,
            begins: 1.0,
            summary: match takes {
                Some(_) => format!(
                    "{} on {mic} in its {}, outside the regular session",
                    event.action, session
                ),
                None if is_break(last, next) => {
                    format!("{} on {mic} during its break", event.action)
                }
                None => format!("{} on {mic} while the venue is closed", event.action),
            },
            expected: format!(
                "orders only while {mic} trades: closed at {closed}, opens at {opens}"
            ),
            observed: format!("{} at {}", event.action, event.ts.rfc3339()),
            evidence: {
                let mut all = evidence([
                    ("venue", mic.to_string()),
                    ("session", session.to_owned()),
                    ("venue_closed_at", closed),
                    ("venue_opens_at", opens),
                    ("calendar", format!("{} version {}", mic, calendar.version)),
                    ("calendar_hash", calendar.hash.to_string()),
                ]);
                let unverified = calendar.unverified.as_ref();
                all.extend(unverified.map(|why| ("calendar_unverified".into(), why.to_string())));
                all
            },
            clears: format!("{mic} opens, or `sessions`, `before_open` or `after_close` allow it"),
            severity: None,
            sink: event.is_sink(),
            floor: 0.0,
        })
    }
}

/// Whether what lies between these two sessions is no more than a pause within a day.
fn is_break(last: Option<Session>, next: Option<Session>) -> bool {
    last.zip(next)
        .is_some_and(|(last, next)| next.open.since(last.close) <= Span::HOUR.times(3))
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
