//! Runs the scenarios of the detectors' pages: the notation, and nothing more.
//!
//! `habit ID ACTION[>ACTION…] always|daily|weekdays [HH:MM..HH:MM] every 10m for 28d` makes history.
//! `event ID ACTION DAY HH:MM [session S] [venue MIC]` and `burst ID ACTION DAY HH:MM N within 30m`
//! come after it, each followed by what must come of it: `# alert: NAME ["text"]`, `# quiet[: NAME]`
//! or `# learning: NAME`. Times are UTC; history starts on a Monday.

use std::sync::Arc;

use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars, Session};
use nhiwatch_detectors::kernel::detector::Alert;
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Limits};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use nhiwatch_detectors::{CARDS, Configs};

/// Monday, 2026-01-05T00:00:00Z.
pub(crate) const MONDAY: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// Runs one scenario; the error names the line that did not hold.
pub(crate) fn run(scenario: &str) -> Result<(), String> {
    let mut world = World::new();
    for line in scenario.lines().filter(|line| !line.trim().is_empty()) {
        let (what, expected) = match line.split_once('#') {
            Some((what, expected)) => (what, Some(expected.trim())),
            None => (line, None),
        };
        let words: Vec<&str> = what.split_whitespace().collect();
        let before = world.learning();
        let alerts = match words[..] {
            ["habit", id, actions, ref rest @ ..] => world.habit(id, actions, rest)?,
            ["event", id, action, day, time, ref rest @ ..] => {
                let at = world.next(day, time)?;
                let option = |name: &str| {
                    rest.chunks(2)
                        .find(|pair| pair[0] == name)
                        .and_then(|pair| pair.get(1))
                        .copied()
                };
                world.act(id, action, at, option("session"), option("venue"))
            }
            ["burst", id, action, day, time, count, "within", span] => {
                let at = world.next(day, time)?;
                let count: i64 = count.parse().map_err(|_| format!("no count: {line}"))?;
                let step = duration(span)?.micros() / count;
                (0..count).fold(Vec::new(), |mut alerts, n| {
                    let at = at.plus(Span::from_micros(n * step));
                    alerts.extend(world.act(id, action, at, None, None));
                    alerts
                })
            }
            _ => return Err(format!("cannot read `{line}`")),
        };
        if let Some(expected) = expected {
            let learning: Vec<bool> = world
                .learning()
                .iter()
                .zip(&before)
                .map(|(now, then)| now > then)
                .collect();
            holds(expected, &alerts, &learning).map_err(|why| format!("`{line}`: {why}"))?;
        }
    }
    Ok(())
}

fn holds(expected: &str, alerts: &[Alert], learning: &[bool]) -> Result<(), String> {
    let opened: Vec<&Alert> = alerts.iter().filter(|alert| alert.revision == 1).collect();
    let seen: Vec<String> = opened
        .iter()
        .map(|alert| {
            format!(
                "{}: {} | {}",
                alert.detector, alert.finding.summary, alert.finding.observed
            )
        })
        .collect();
    let (verb, rest) = expected.split_once(':').unwrap_or((expected, ""));
    let (name, text) = rest.split_once('"').unwrap_or((rest, ""));
    let (name, text) = (name.trim(), text.trim_end_matches('"'));
    if !name.is_empty() && !CARDS.iter().any(|card| card.name == name) {
        return Err(format!("there is no detector `{name}`"));
    }
    let says = |alert: &&Alert| {
        let finding = &alert.finding;
        [&finding.summary, &finding.expected, &finding.observed]
            .iter()
            .any(|t| t.contains(text))
    };
    let of_it = |alert: &&Alert| name.is_empty() || alert.detector == name;
    let ok = match verb {
        "alert" => opened
            .iter()
            .copied()
            .any(|alert| of_it(&alert) && says(&alert)),
        "quiet" => !opened.iter().copied().any(|alert| of_it(&alert)),
        "learning" => {
            let index = CARDS.iter().position(|card| card.name == name);
            index.is_some_and(|index| learning[index])
                && !opened.iter().copied().any(|alert| of_it(&alert))
        }
        _ => return Err(format!("cannot read the expectation `{expected}`")),
    };
    if ok {
        Ok(())
    } else {
        Err(format!("saw {seen:?}"))
    }
}

struct World {
    engine: Engine,
    now: Timestamp,
    acts: u64,
}

impl World {
    fn new() -> Self {
        let decision = Decision::new(&Configs::default(), &Limits::default(), &calendars(), "");
        Self {
            engine: Engine::new(0, Arc::new(decision)),
            now: MONDAY,
            acts: 0,
        }
    }

    fn learning(&self) -> Vec<u64> {
        self.engine
            .stats()
            .detectors
            .iter()
            .map(|stats| stats.learning)
            .collect()
    }

    fn act(
        &mut self,
        identity: &str,
        action: &str,
        ts: Timestamp,
        session: Option<&str>,
        venue: Option<&str>,
    ) -> Vec<Alert> {
        self.acts += 1;
        self.now = ts;
        let uid = format!("e{}", self.acts);
        let class = if action.starts_with("order.") {
            Class::Order
        } else {
            Class::Read
        };
        let uid = Some(uid.as_str());
        let event = Event {
            ts,
            uid,
            identity,
            action,
            class,
            session,
            venue,
            ..Event::default()
        };
        let mut alerts = Vec::new();
        self.engine.handle(&Input::Event(event), &mut alerts);
        alerts
    }

    fn habit(&mut self, id: &str, actions: &str, rest: &[&str]) -> Result<Vec<Alert>, String> {
        let (days, hours, every, length) = match *rest {
            [days, hours, "every", every, "for", length] => (days, hours, every, length),
            [days, "every", every, "for", length] => (days, "00:00..24:00", every, length),
            _ => return Err(format!("cannot read the habit {rest:?}")),
        };
        let (from, until) = hours.split_once("..").ok_or("no hours")?;
        let (from, until) = (clock(from)?, clock(until)?);
        let (every, end) = (duration(every)?, self.now.plus(duration(length)?));
        let (mut at, mut alerts) = (self.now, Vec::new());
        while at < end {
            let days_in = at.since(MONDAY).seconds() / 86_400;
            let second = at.since(MONDAY).seconds() % 86_400;
            let is_day = days != "weekdays" || days_in % 7 < 5;
            if is_day && (from..until).contains(&second) {
                let session = actions.contains('>').then(|| format!("s{}", at.micros()));
                for (n, action) in (0..).zip(actions.split('>')) {
                    let at = at.plus(Span::from_seconds(n * 20));
                    alerts.extend(self.act(id, action, at, session.as_deref(), None));
                }
            }
            at = at.plus(every);
        }
        self.now = end;
        Ok(alerts)
    }

    /// The next `day` at `time` that is not before now.
    fn next(&self, day: &str, time: &str) -> Result<Timestamp, String> {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let day = days
            .iter()
            .position(|d| *d == day)
            .ok_or(format!("no day `{day}`"))? as i64;
        let second = day * 86_400 + clock(time)?;
        let week = self.now.since(MONDAY).seconds() / (7 * 86_400);
        let at = MONDAY.plus(Span::from_seconds(week * 7 * 86_400 + second));
        Ok(if at < self.now {
            at.plus(Span::WEEK)
        } else {
            at
        })
    }
}

/// Seconds since midnight.
fn clock(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a time of day");
    let (hours, minutes) = text.split_once(':').ok_or_else(wrong)?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| wrong());
    Ok(number(hours)? * 3600 + number(minutes)? * 60)
}

fn duration(text: &str) -> Result<Span, String> {
    let wrong = || format!("`{text}` is not a duration");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "s" => Span::SECOND,
        "m" => Span::MINUTE,
        "h" => Span::HOUR,
        "d" => Span::DAY,
        _ => return Err(wrong()),
    };
    Ok(unit.times(number.parse().map_err(|_| wrong())?))
}

/// New York as it trades on winter weekdays.
pub(crate) fn calendars() -> Calendars {
    let session = |day: i64| {
        let midnight = MONDAY.plus(Span::DAY.times(day));
        let minutes = |n| midnight.plus(Span::MINUTE.times(n));
        Session {
            open: minutes(14 * 60 + 30),
            close: minutes(21 * 60),
        }
    };
    let sessions = (0..400).filter(|day| day % 7 < 5).map(session).collect();
    let until = MONDAY.plus(Span::DAY.times(400));
    Calendars::new(vec![Calendar::new(
        "XNYS", "test", "test", sessions, MONDAY, until,
    )])
}
