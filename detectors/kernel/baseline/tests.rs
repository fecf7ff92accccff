//! When an hour is over and what is learned of it.

use super::*;
use crate::kernel::event::Event;
use crate::kernel::hot::{Hot, Hour, Now};
use crate::kernel::names::Symbol;

fn world() -> (Hot, Baseline) {
    (Hot::default(), Baseline::new(Timestamp::from_hour(500_000)))
}

fn count(hot: &mut Hot, baseline: &mut Baseline, hour: i64) -> Now {
    let event = Event {
        ts: Timestamp::from_hour(hour),
        action: "a",
        ..Event::default()
    };
    hot.count(&event, Symbol::of(&event), baseline, |_| {})
}

/// Closes what is over when nothing before `hour` is expected any more.
fn close(hot: &mut Hot, baseline: &mut Baseline, hour: i64) -> Vec<Day> {
    let mut days = Vec::new();
    while let Some(over) = hot.take_over(Hour::over(hour - 1)) {
        baseline.catch_up(over.start, |day, _| days.push(day));
        baseline.close(&over, 0.0);
    }
    days
}

#[test]
fn an_hour_closes_when_nothing_of_it_is_expected_any_more() {
    let (mut hot, mut baseline) = world();
    count(&mut hot, &mut baseline, 500_000);
    assert!(hot.take_over(Timestamp::from_hour(500_001)).is_none());
    close(&mut hot, &mut baseline, 500_001);
    assert_eq!(baseline.next, 500_001);
    assert!(hot.hours.is_empty());
}

#[test]
fn an_hour_opened_from_the_future_gives_way() {
    let (mut hot, mut baseline) = world();
    count(&mut hot, &mut baseline, 700_000);
    let now = count(&mut hot, &mut baseline, 500_001);
    assert!(now.first);
    let starts: Vec<i64> = hot.open_hours().collect();
    assert_eq!(starts, [500_001]);
}

#[test]
fn a_straggler_of_a_closed_hour_counts_into_the_next() {
    let (mut hot, mut baseline) = world();
    count(&mut hot, &mut baseline, 500_001);
    close(&mut hot, &mut baseline, 500_002);
    count(&mut hot, &mut baseline, 500_001);
    assert_eq!(hot.open_hours().next(), Some(500_002));
}

#[test]
fn days_end_with_the_hours_after_them_also_those_without_a_call() {
    let (mut hot, mut baseline) = world();
    let first = baseline.today.number;
    let mut days = Vec::new();
    for hour in [500_000, 500_001, 500_060, 500_090] {
        count(&mut hot, &mut baseline, hour);
        days.extend(close(&mut hot, &mut baseline, hour + 1));
    }
    let brought: Vec<(i64, u64)> = days.iter().map(|d| (d.number - first, d.calls)).collect();
    assert_eq!(brought, [(0, 2), (1, 0), (2, 1), (3, 0)]);
    assert_eq!(
        days[0].weekday(),
        4,
        "500000 hours after the epoch is a Friday"
    );
    days.clear();
    baseline.catch_up(500_090 + 168 * 20, |day, _| days.push(day));
    assert!(days.len() < 40 && days[0].calls == 1, "{days:?}");
}

#[test]
fn who_is_active_in_every_hour_is_behind_at_midnight_and_when_an_hour_held_back_is_due() {
    let (mut hot, mut baseline) = world();
    let midnight = 500_016;
    for hour in 500_000..500_300 {
        assert_eq!(
            baseline.is_behind(hour),
            hour != 500_000 && hour % 24 == midnight % 24 || hour == 500_008 + 168,
            "{hour}"
        );
        baseline.catch_up(hour, |_, _| {});
        let now = count(&mut hot, &mut baseline, hour);
        if hour == 500_008 {
            hot.suspect(&now);
        }
        close(&mut hot, &mut baseline, hour + 1);
    }
}

#[test]
fn a_suspect_hour_is_not_learned_before_its_time() {
    let (mut hot, mut baseline) = world();
    for hour in 0..600 {
        count(&mut hot, &mut baseline, 500_000 + hour);
        close(&mut hot, &mut baseline, 500_001 + hour);
    }
    let before = baseline.expected(500_600).mean;
    let now = count(&mut hot, &mut baseline, 500_600);
    hot.suspect(&now);
    close(&mut hot, &mut baseline, 500_601);
    assert!((baseline.expected(500_600).mean - before).abs() < 1e-9);
}
