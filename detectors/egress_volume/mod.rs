#![doc = include_str!("README.md")]

#[cfg(test)]
mod null;
mod quantity;

use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

use self::quantity::Kind;
use crate::kernel::baseline::{Baseline, Closed, Day, Profile};
use crate::kernel::budget::begins;
use crate::kernel::calendar::Calendars;
use crate::kernel::detector::{
    Card, Detector, Family, Finding, PValue, Scope, Severity, Verdict, evidence,
};
use crate::kernel::event::Event;
use crate::kernel::growth::worth_a_look;
use crate::kernel::hot::Hour;
use crate::kernel::level::{Level, Weighed};
use crate::kernel::options::{Days, Quantity, Ratio};
use crate::kernel::patience::Patience;
use crate::kernel::time::{HOURS_PER_DAY, Span};

/// Far more bytes, or money, moved in an hour or a day than this identity moves.
pub struct EgressVolume {
    config: Config,
}

/// The settings of `egress-volume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many times the usual sum an hour or a day must reach: what is smaller is of no interest.
    pub at_least_times: Ratio,
    /// How many bytes above the usual sum it must reach.
    pub at_least_bytes: Quantity,
    /// How much money above the usual sum it must reach, whatever the currency.
    pub at_least_amount: Quantity,
    /// How long an identity is watched before it is judged.
    pub learning: Days,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            at_least_times: Ratio::new(3.0),
            at_least_bytes: Quantity::new(1_000_000.0),
            at_least_amount: Quantity::new(1_000.0),
            learning: Days::new(14.0),
        }
    }
}

/// What an identity usually moves, learned from hours and days that are over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    bytes: Scales,
    amount: Scales,
    patience: Patience,
}

/// What is usual of one quantity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Scales {
    hour: Level,
    day: Level,
    /// The last days, with their season, which are not learned yet: what grows slowly must not teach
    /// the baseline that it is held against.
    late: ArrayVec<(f32, f32), DAYS_LATE>,
}

impl Detector for EgressVolume {
    const CARD: Card = Card {
        name: "egress-volume",
        summary: "Far more bytes or money moved in an hour or a day than this identity moves",
        severity: Severity::Medium,
        family: Family::Statistical,
        scope: Scope::Identity,
        controls: &["T1567", "T1530", "T1048", "NHI7:2025"],
        page: include_str!("README.md"),
    };
    type Config = Config;
    type State = Moved;

    fn new(config: Config, _calendars: &Calendars) -> Self {
        Self { config }
    }

    fn learning(config: &Config) -> Span {
        config.learning.span()
    }

    /// The sum of an open hour or day only grows, so that comparing it with the law of the whole as
    /// it grows costs nothing: the first crossing has exactly the level of the closed one.
    fn judge(&self, event: &Event<'_>, profile: &Profile<'_>, moved: &Moved) -> Verdict {
        let Some(hour) = profile.hour() else {
            return Verdict::Normal;
        };
        if profile.age(event) < self.config.learning.span() {
            return Verdict::Learning;
        }
        if Kind::ALL.iter().all(|kind| kind.of_event(event) <= 0.0) {
            return Verdict::Normal;
        }
        let new = |kind: &Kind| kind.of_event(event);
        let found = self
            .hour(hour, moved, new)
            .or_else(|| self.day(&profile.day(hour.day), moved, new));
        verdict(found.map(|found| Finding {
            sink: found.sink || event.is_sink(),
            ..found
        }))
    }

    /// What was moved between two looks is seen here.
    fn review(&self, over: &Closed, profile: &Profile<'_>, moved: &Moved) -> Verdict {
        if profile.closed.age(profile.hot.last) < self.config.learning.span() {
            return Verdict::Normal;
        }
        let all = |_: &Kind| f64::INFINITY;
        verdict(match over {
            Closed::Hour(hour) => self.hour(hour, moved, all),
            Closed::Day(day) => self.day(day, moved, all),
            Closed::Session(_) => None,
        })
    }

    fn learn(&self, closed: &Closed, _baseline: &Baseline, moved: &mut Moved) {
        match closed {
            Closed::Hour(hour) if !moved.patience.holds_back(hour.suspect) => {
                moved.learn_hour(hour, &self.config);
            }
            Closed::Day(day) => {
                moved.fade_day();
                if !moved.patience.holds_back(day.suspect) {
                    moved.learn_day(day, &self.config);
                }
                moved.patience.note_day(day.suspect);
            }
            _ => {}
        }
    }
}

impl EgressVolume {
    /// What is found in an hour to which `new` has just been added.
    fn hour(&self, hour: &Hour, moved: &Moved, new: impl Fn(&Kind) -> f64) -> Option<Finding> {
        let season = hour.season();
        self.heaviest(|kind| Window {
            kind,
            name: "hour",
            sum: kind.of_hour(&hour.tally),
            new: new(kind),
            level: &moved.of(kind).hour,
            season,
            begins: begins(HOURS_PER_DAY),
        })
    }

    /// The same of a day. One that something was published about has no more news: an hour's burst is
    /// the day's as well.
    fn day(&self, day: &Day, moved: &Moved, new: impl Fn(&Kind) -> f64) -> Option<Finding> {
        if day.suspect {
            return None;
        }
        let season = season_of_day(day);
        self.heaviest(|kind| Window {
            kind,
            name: "day",
            sum: kind.of_day(day),
            new: new(kind),
            level: &moved.of(kind).day,
            season,
            begins: begins(1.0),
        })
    }

    fn heaviest<'a>(&self, window: impl Fn(&'a Kind) -> Window<'a>) -> Option<Finding> {
        let mut heaviest: Option<(f64, Finding)> = None;
        for kind in &Kind::ALL {
            let found = window(kind).find(&self.config);
            if let Some(found) = found.and_then(|found| Some((found.weight()?, found)))
                && heaviest.as_ref().is_none_or(|(bits, _)| found.0 > *bits)
            {
                heaviest = Some(found);
            }
        }
        heaviest.map(|(_, finding)| finding)
    }
}

/// A sum, and what it is held against.
struct Window<'a> {
    kind: &'a Kind,
    /// Hour or day.
    name: &'static str,
    sum: f64,
    /// How much of it is new since the last look.
    new: f64,
    level: &'a Level,
    season: f64,
    begins: f64,
}

impl Window<'_> {
    fn find(&self, config: &Config) -> Option<Finding> {
        if self.sum <= 0.0 || self.new <= 0.0 {
            return None;
        }
        let usual = self.level.usual(self.season)?;
        let gate = self.kind.gate(usual, config);
        if self.sum < gate || !worth_a_look(self.sum - self.new, self.sum, gate) {
            return None;
        }
        let weighed = self.level.weigh(self.sum, self.season)?;
        (weighed.ln_p <= libm::log(self.begins)).then(|| self.finding(&weighed, gate))
    }

    fn finding(&self, weighed: &Weighed, gate: f64) -> Finding {
        let Self { kind, name, .. } = self;
        let (sum, usual) = (kind.text(self.sum), kind.text(weighed.usual));
        let times = self.sum / weighed.usual.max(1.0);
        let article = if *name == "hour" { "an" } else { "a" };
        Finding {
            subject: format!("{} per {name}", kind.word()),
            p_value: Some(PValue::from_ln(weighed.ln_p)),
            begins: self.begins,
            summary: format!("{sum} moved within the {name}, where it moves about {usual}"),
            expected: format!(
                "about {usual} in such {} (up to {:.1} times as much or as little)",
                format_args!("{article} {name}"),
                weighed.factor
            ),
            observed: format!("{sum} in the {name} so far"),
            evidence: evidence([
                ("sum", format!("{:.0}", self.sum)),
                ("usual", format!("{:.0}", weighed.usual)),
                ("times_usual", format!("{times:.1}")),
                ("windows_seen", format!("{:.0}", weighed.windows)),
                ("ln_p_of_model", format!("{:.1}", weighed.ln_model)),
            ]),
            clears: format!(
                "{article} {name} below {}, or a week in which it stays so",
                kind.text(gate)
            ),
            severity: None,
            sink: kind.is_money(),
            floor: 0.0,
        }
    }
}

impl Moved {
    const fn of(&self, kind: &Kind) -> &Scales {
        match kind {
            Kind::Bytes => &self.bytes,
            Kind::Amount => &self.amount,
        }
    }

    fn each(&mut self) -> [(Kind, &mut Scales); 2] {
        [
            (Kind::Bytes, &mut self.bytes),
            (Kind::Amount, &mut self.amount),
        ]
    }

    fn learn_hour(&mut self, hour: &Hour, config: &Config) {
        let season = hour.season();
        for (kind, scales) in self.each() {
            let sum = kind.of_hour(&hour.tally);
            if sum > 0.0 {
                let gate = |usual| kind.gate(usual, config);
                scales.hour.learn(sum, season, HOURS_PER_DAY, gate);
            }
        }
    }

    fn learn_day(&mut self, day: &Day, config: &Config) {
        let season = season_of_day(day);
        for (kind, scales) in self.each() {
            let sum = kind.of_day(day);
            if sum > 0.0 {
                let (sum, season) = (sum as f32, season as f32);
                let due = scales.late.is_full().then(|| scales.late.remove(0));
                scales.late.push((sum, season));
                if let Some((sum, season)) = due {
                    let gate = |usual| kind.gate(usual, config);
                    let (sum, season) = (f64::from(sum), f64::from(season));
                    scales.day.learn(sum, season, 1.0, gate);
                }
            }
        }
    }

    fn fade_day(&mut self) {
        for (_, scales) in self.each() {
            scales.hour.fade_day();
            scales.day.fade_day();
        }
    }
}

/// The season of a day: whether it is one of the weekend.
fn season_of_day(day: &Day) -> f64 {
    f64::from(u8::from(day.weekday() >= 5))
}

fn verdict(found: Option<Finding>) -> Verdict {
    found.map_or(Verdict::Normal, Verdict::found)
}

/// Days after which a day with anything in it is learned.
const DAYS_LATE: usize = 7;
