//! Orders of a real shop, and what of them is off hours.
//!
//! Online Retail (Chen 2015, UCI Machine Learning Repository): a year of orders of a British
//! wholesaler, in London's local time. It closes at night, on Saturdays, on bank holidays and over
//! Christmas, and no calendar says so: all of it has to be learned.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::{Datelike as _, Days, NaiveDateTime, NaiveTime, TimeZone as _, Weekday};
use chrono_tz::Tz;
use nhiwatch_detectors::kernel::alert::Alert;
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Class, Event, Kind};
use nhiwatch_detectors::kernel::input::Input;
use nhiwatch_detectors::kernel::inventory::Declared;
use nhiwatch_detectors::kernel::time::Timestamp;
use serde::Deserialize;

use super::lines;

/// Days that are learned from before anything is counted.
const LEARNED: u64 = 90;
/// Every so manieth later order is moved, each in a run of its own.
const EVERY: usize = 50;

/// One order: its id, and when it was placed on the shop's clock.
#[derive(Clone, Deserialize)]
struct Order {
    #[serde(rename = "order")]
    id: String,
    #[serde(rename = "ts")]
    at: NaiveDateTime,
}

/// Runs the orders in `folder` and reports what was found of them; `quick`ly only a few are moved.
///
/// # Errors
///
/// Where the orders are missing or not as they are published.
pub(crate) fn measure(folder: &Path, quick: bool) -> io::Result<String> {
    let mut orders: Vec<Order> = lines::read(&folder.join("dev.jsonl.gz"))?;
    orders.sort_by_key(|order| order.at);
    let first = orders.first().ok_or_else(|| io::Error::other("no order"))?;
    let from = first.at + Days::new(LEARNED);
    let later = orders.iter().filter(|order| order.at >= from).count();
    let real = off_hours(&orders, None);
    let begin = instant(from);
    let own = real.iter().filter(|alert| alert.detector == "off-hours");
    let first = own.filter(|alert| alert.revision == 1 && alert.opened >= begin);
    let counted = first.count();

    let step = if quick { EVERY * 20 } else { EVERY };
    let (mut to_saturday, mut to_night) = (Moved::default(), Moved::default());
    for order in orders.iter().filter(|order| order.at >= from).step_by(step) {
        to_saturday.note(&orders, order, saturday(order.at));
        to_night.note(&orders, order, night(order.at));
    }
    Ok(report(later, counted, &to_saturday, &to_night))
}

/// How many orders were moved, each in a run of its own, and how many of these were told of.
#[derive(Default)]
struct Moved {
    runs: u32,
    told: u32,
    medium: u32,
}

impl Moved {
    fn note(&mut self, orders: &[Order], order: &Order, to: NaiveDateTime) {
        let mut there: Vec<Order> = orders
            .iter()
            .filter(|other| other.id != order.id)
            .cloned()
            .collect();
        let at = there.partition_point(|other| other.at <= to);
        let id = order.id.clone();
        there.insert(at, Order { id, at: to });
        let alerts = off_hours(&there, Some(instant(to)));
        self.runs += 1;
        self.told += u32::from(!alerts.is_empty());
        let medium = alerts
            .iter()
            .any(|alert| alert.severity >= Severity::Medium);
        self.medium += u32::from(medium);
    }
}

/// What `off-hours` tells of these orders, or only of what happened at `of`.
fn off_hours(orders: &[Order], of: Option<Timestamp>) -> Vec<Alert> {
    let mut engine = Engine::new(0, Arc::default());
    let mut alerts = Vec::new();
    let declared = Declared {
        timezone: Some(Tz::Europe__London),
        ..Declared::default()
    };
    let entry = Input::Inventory {
        identity: "shop",
        declared: Some(declared),
    };
    engine.handle(&entry, &mut alerts);
    for order in orders {
        let event = Event {
            ts: instant(order.at),
            identity: "shop",
            kind: Kind::ServiceAccount,
            uid: Some(&order.id),
            action: "order.create",
            class: Class::Order,
            ..Event::default()
        };
        engine.handle(&Input::Event(event), &mut alerts);
    }
    // It tells by itself, or goes on with the case of another detector that is open.
    alerts.retain(|alert| {
        let evidence = alert.finding.evidence.iter();
        let joins = |(name, fact): &(_, String)| name == "joined_by" && fact.contains("off-hours");
        let tells = alert.detector == "off-hours" || evidence.clone().any(joins);
        tells && of.is_none_or(|at| alert.ts == at)
    });
    alerts
}

fn saturday(at: NaiveDateTime) -> NaiveDateTime {
    let ahead = (7 + Weekday::Sat.num_days_from_monday() - at.weekday().num_days_from_monday()) % 7;
    at + Days::new(u64::from(ahead))
}

fn night(at: NaiveDateTime) -> NaiveDateTime {
    at.date().and_time(NaiveTime::MIN) + chrono::Duration::hours(2)
}

fn instant(at: NaiveDateTime) -> Timestamp {
    let local = Tz::Europe__London.from_local_datetime(&at);
    let utc = local.earliest().map_or(0, |at| at.timestamp());
    Timestamp::from_seconds(utc)
}

fn report(later: usize, counted: usize, to_saturday: &Moved, to_night: &Moved) -> String {
    let mut text = String::new();
    let [saturday, night] = [to_saturday, to_night].map(|Moved { runs, told, medium }| {
        format!("{told} of {runs}, {medium} of them as `medium` or more")
    });
    let rate = counted as f64 * 200.0 / later as f64;
    let _ = write!(
        text,
        "\n## Orders of a shop\n\n\
         A year of orders of one British wholesaler (Online Retail, Chen 2015, UCI Machine Learning Repository), \
         as one identity of class `order` whose time zone is declared and no calendar. It is closed at night, on \
         Saturdays, on bank holidays and over Christmas, and changes its clocks twice: all that is learned. \
         Counted from the {LEARNED}th day on.\n\n\
         | what | `off-hours` |\n|---|---|\n\
         | incidents of {later} real orders | {counted}: {rate:.2} for 200 orders |\n\
         | one order moved to the next Saturday, at its hour | {saturday} |\n\
         | one order moved to 02:00 of its day | {night} |\n\n\
         Each moved order is in a run of its own, with all others where they were. The shop's calendar was not told; \
         what it orders for, and who asks, the set does not say.\n"
    );
    text
}
