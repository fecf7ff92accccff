//! Runs the scenarios of the detectors' pages: the notation, and nothing more.
//!
//! `declare ID timezone ZONE`, `declare ID schedule WINDOW` and `declare ID tier N` are the inventory's.
//! `habit ID ACTION[>ACTION…] always|daily|weekdays [HH:MM..HH:MM] every 10m for 28d` makes history.
//! `event ID ACTION DAY HH:MM` and `burst ID ACTION DAY HH:MM N within 30m` come after it, and
//! `pass until DAY HH:MM` lets time pass without events; each may be
//! followed by what must come of it: `# alert: NAME ["text"]` for a new incident,
//! `# update: NAME ["text"]` for more of one, `# quiet[: NAME]` for no new one, or `# learning: NAME`. Before that, each may set fields of its events: `country CH bytes 12`, by
//! their names in the event schema, where `%` stands for the number of the event. Times are UTC; history starts on a Monday.

mod expected;
mod fields;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use nhiwatch_detectors::Configs;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::calendar::{Calendar, Calendars, Session, SessionClass};
use nhiwatch_detectors::kernel::engine::{Decision, Engine, Settings};
use nhiwatch_detectors::kernel::event::{Class, Event};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

/// Monday, 2026-01-05T00:00:00Z.
const MONDAY: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// The scenarios of a page.
pub(crate) fn scenarios(page: &str) -> Vec<&str> {
    let blocks = page.split("```scenario\n").skip(1);
    blocks
        .filter_map(|block| Some(block.split_once("```")?.0))
        .collect()
}

/// Runs one scenario in `world`; gives all it raised, or names the line that did not hold.
pub(crate) fn run(world: &mut World, scenario: &str) -> Result<Vec<Alert>, String> {
    let mut all = Vec::new();
    for line in scenario.lines().filter(|line| !line.trim().is_empty()) {
        let (what, expected) = match line.split_once('#') {
            Some((what, expected)) => (what, Some(expected.trim())),
            None => (line, None),
        };
        let before = world.learning();
        let alerts = world.play(what).map_err(|why| format!("`{line}`: {why}"))?;
        if let Some(expected) = expected {
            let now = world.learning();
            let learning: Vec<bool> = now
                .iter()
                .zip(&before)
                .map(|(now, then)| now > then)
                .collect();
            expected::holds(expected, &alerts, &learning)
                .map_err(|why| format!("`{line}`: {why}"))?;
        }
        all.extend(alerts);
    }
    Ok(all)
}

/// An engine in time.
pub(crate) struct World {
    pub(crate) engine: Engine,
    now: Timestamp,
    acts: u64,
    declared: BTreeMap<String, Declared>,
}

impl World {
    pub(crate) fn new(configs: &Configs) -> Self {
        let decision = Decision::new(Settings {
            detectors: configs.clone(),
            calendars: calendars(),
            ..Settings::default()
        });
        Self {
            engine: Engine::new(0, Arc::new(decision)),
            now: MONDAY,
            acts: 0,
            declared: BTreeMap::new(),
        }
    }

    fn learning(&self) -> Vec<u64> {
        let detectors = self.engine.stats().detectors;
        detectors.iter().map(|stats| stats.learning).collect()
    }

    fn play(&mut self, line: &str) -> Result<Vec<Alert>, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["declare", id, name, ref value @ ..] => self.declare(id, name, &value.join(" ")),
            ["habit", id, actions, ref rest @ ..] => self.habit(id, actions, rest),
            ["pass", "until", day, time] => self.pass(day, time),
            ["event", id, action, day, time, ref fields @ ..] => {
                let at = self.next(day, time)?;
                self.act(id, action, at, fields)
            }
            [
                "burst",
                id,
                action,
                day,
                time,
                count,
                "within",
                span,
                ref fields @ ..,
            ] => {
                let at = self.next(day, time)?;
                let count: i64 = count.parse().map_err(|_| "no count")?;
                let step = duration(span)?.micros() / count;
                let mut alerts = Vec::new();
                for n in 0..count {
                    let at = at.plus(Span::from_micros(n * step));
                    alerts.extend(self.act(id, action, at, fields)?);
                }
                Ok(alerts)
            }
            _ => Err("cannot be read".to_owned()),
        }
    }

    /// Adds one thing to what is declared of `identity`.
    fn declare(&mut self, identity: &str, name: &str, value: &str) -> Result<Vec<Alert>, String> {
        let wrong = || format!("`{value}` is no {name}");
        let declared = self.declared.entry(identity.to_owned()).or_default();
        match name {
            "timezone" => declared.timezone = Some(value.parse().map_err(|_| wrong())?),
            "schedule" => {
                let window = value.parse().map_err(|_| wrong())?;
                declared.schedule.windows.push(window);
            }
            "tier" => declared.tier = Some(value.parse().map_err(|_| wrong())?),
            _ => return Err(format!("nothing declared is called `{name}`")),
        }
        let declared = Some(declared.clone());
        let mut alerts = Vec::new();
        self.engine
            .handle(&Input::Inventory { identity, declared }, &mut alerts);
        Ok(alerts)
    }

    fn pass(&mut self, day: &str, time: &str) -> Result<Vec<Alert>, String> {
        self.now = self.next(day, time)?;
        let mut alerts = Vec::new();
        // What is out of order may still come for a while: the engine waits that long.
        let ts = self.now.plus(Span::MINUTE.times(2));
        self.engine.handle(&Input::Heartbeat { ts }, &mut alerts);
        Ok(alerts)
    }

    fn act(
        &mut self,
        identity: &str,
        action: &str,
        ts: Timestamp,
        fields: &[&str],
    ) -> Result<Vec<Alert>, String> {
        self.acts += 1;
        self.now = ts;
        let uid = format!("e{}", self.acts);
        let order = action.starts_with("order.");
        let mut event = Event {
            ts,
            uid: Some(&uid),
            identity,
            action,
            class: if order { Class::Order } else { Class::Read },
            ..Event::default()
        };
        let mut chain: Vec<Cow<'_, str>> = Vec::new();
        let number = self.acts.to_string();
        let fields: Vec<String> = fields.iter().map(|it| it.replace('%', &number)).collect();
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        for field in fields.chunks(2) {
            match *field {
                ["on_behalf_of", list] => chain.extend(list.split(',').map(Cow::Borrowed)),
                [name, value] => fields::set(&mut event, name, value)?,
                _ => return Err(format!("no value of `{}`", field[0])),
            }
        }
        event.on_behalf_of = &chain;
        let mut alerts = Vec::new();
        self.engine.handle(&Input::Event(event), &mut alerts);
        Ok(alerts)
    }

    fn habit(&mut self, id: &str, actions: &str, rest: &[&str]) -> Result<Vec<Alert>, String> {
        let (days, hours, every, length, fields) = match *rest {
            [days, "every", every, "for", length, ref fields @ ..] => {
                (days, "00:00..24:00", every, length, fields)
            }
            [days, hours, "every", every, "for", length, ref fields @ ..] => {
                (days, hours, every, length, fields)
            }
            _ => return Err("is not a habit".to_owned()),
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
                let session = format!("s{}", at.micros());
                let mut fields = fields.to_vec();
                if actions.contains('>') {
                    fields.extend(["session", &session]);
                }
                for (n, action) in (0..).zip(actions.split('>')) {
                    let at = at.plus(Span::from_seconds(n * 20));
                    alerts.extend(self.act(id, action, at, &fields)?);
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

/// New York, London and Tokyo as they trade on winter weekdays, four hundred days long.
fn calendars() -> Calendars {
    let venue = |mic, hours: &[(i64, i64)], around: &[(SessionClass, i64, i64)]| {
        let stretch = |day: i64, open: i64, close: i64| {
            let midnight = MONDAY.plus(Span::DAY.times(day));
            let minutes = |n| midnight.plus(Span::MINUTE.times(n));
            Session {
                open: minutes(open),
                close: minutes(close),
            }
        };
        let days = || (0..400).filter(|day| day % 7 < 5);
        let sessions = days().flat_map(|day| {
            let on = move |&(open, close): &(i64, i64)| stretch(day, open, close);
            hours.iter().map(on)
        });
        let around = days().flat_map(|day| {
            let on = move |&(class, open, close): &_| (class, stretch(day, open, close));
            around.iter().map(on)
        });
        let until = MONDAY.plus(Span::DAY.times(400));
        Calendar::new(mic, "test", "test", sessions.collect(), MONDAY, until)
            .taking_orders(around.collect())
    };
    use SessionClass::{Auction, PostMarket, PreMarket};
    Calendars::new(vec![
        venue(
            "XNYS",
            &[(870, 1260)],
            &[(PreMarket, 540, 870), (PostMarket, 1260, 1500)],
        ),
        venue(
            "XLON",
            &[(480, 990)],
            &[(Auction, 470, 480), (Auction, 990, 1000)],
        ),
        venue("XTKS", &[(0, 150), (210, 390)], &[]),
    ])
}
