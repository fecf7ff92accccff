//! What the calendar of its venue says of an order.

use super::{Config, Sessions};
use crate::kernel::calendar::{Calendar, Calendars, Phase, Session, SessionClass};
use crate::kernel::detector::{Evidence, Finding, Severity, evidence};
use crate::kernel::event::{Class, Event};
use crate::kernel::time::{Span, Timestamp};

/// The calendar of the venue of an order, and which of its phases the order came in.
pub(super) fn phase<'c>(
    calendars: &'c Calendars,
    event: &Event<'_>,
) -> Option<(&'c Calendar, Phase)> {
    let is_order = event.class == Class::Order;
    let calendar = calendars.venue(event.venue.filter(|_| is_order)?)?;
    Some((calendar, calendar.phase(event.ts)))
}

/// The finding of an order that cannot be judged, because the calendar of its venue does not speak of its
/// time: said aloud, lest it be taken for judged.
pub(super) fn unjudged(
    event: &Event<'_>,
    (calendar, phase): (&Calendar, Phase),
) -> Option<Finding> {
    if phase != Phase::Unknown {
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
        evidence: judged_by(calendar),
        clears: format!("a calendar of {mic} that goes on, in `calendars.directory`"),
        severity: Some(Severity::Info),
        sink: false,
        floor: 0.0,
    })
}

/// The finding of an order in this `phase` of its venue, if it is one in which `config` allows none.
pub(super) fn closed(
    event: &Event<'_>,
    phase: Option<(&Calendar, Phase)>,
    config: &Config,
) -> Option<Finding> {
    let (calendar, Phase::Closed { takes, last, next }) = phase? else {
        return None;
    };
    let meant = |class: SessionClass| class.is_regular() || config.sessions == Sessions::Extended;
    let just_closed =
        last.is_some_and(|last| event.ts.since(last.close) < config.after_close.span());
    let about_to_open =
        next.is_some_and(|next| next.open.since(event.ts) <= config.before_open.span());
    if takes.is_some_and(meant) || just_closed || about_to_open {
        return None;
    }
    let at = |instant: Option<Timestamp>| {
        instant.map_or_else(|| "unknown".to_owned(), Timestamp::rfc3339)
    };
    let (closed, opens) = (
        at(last.map(|last| last.close)),
        at(next.map(|next| next.open)),
    );
    let (mic, action) = (&calendar.mic, event.action);
    let session = takes.map_or("closed", SessionClass::name);
    let mut evidence = evidence([
        ("session", session.to_owned()),
        ("venue_closed_at", closed.clone()),
        ("venue_opens_at", opens.clone()),
    ]);
    evidence.extend(judged_by(calendar));
    Some(Finding {
        subject: format!("{mic} closed"),
        p_value: None,
        begins: 1.0,
        summary: match takes {
            Some(_) => format!("{action} on {mic} in its {session}, outside the regular session"),
            None if is_break(last, next) => format!("{action} on {mic} during its break"),
            None => format!("{action} on {mic} while the venue is closed"),
        },
        expected: format!("orders only while {mic} trades: closed at {closed}, opens at {opens}"),
        observed: format!("{action} at {}", event.ts.rfc3339()),
        evidence,
        clears: format!("{mic} opens, or `sessions`, `before_open` or `after_close` allow it"),
        severity: None,
        sink: event.is_sink(),
        floor: 0.0,
    })
}

/// Which venue it is and by which calendar it was judged.
fn judged_by(calendar: &Calendar) -> Evidence {
    let mic = &calendar.mic;
    let mut all = evidence([
        ("venue", mic.to_string()),
        ("calendar", format!("{mic} version {}", calendar.version)),
        ("calendar_hash", calendar.hash.to_string()),
    ]);
    let unverified = calendar.unverified.as_ref();
    all.extend(unverified.map(|why| ("calendar_unverified".into(), why.to_string())));
    all
}

/// Whether what lies between these two sessions is no more than a pause within a day.
fn is_break(last: Option<Session>, next: Option<Session>) -> bool {
    last.zip(next)
        .is_some_and(|(last, next)| next.open.since(last.close) <= Span::HOUR.times(3))
}
