//! How often it finds something where nothing is wrong, by simulation.

use super::*;
use crate::dice::Dice;
use crate::kernel::tails::Expected;
use crate::kernel::tally::Tally;

/// What an identity is like: its calls expected in an hour of the day, and the bytes it moves in it.
struct Identity {
    calls: fn(i64) -> f64,
    bytes: fn(i64, &mut Dice) -> f64,
}

fn office(hour: i64) -> f64 {
    if (8..18).contains(&(hour % 24)) {
        60.0
    } else {
        2.0
    }
}

/// Bytes go with calls.
const TIDAL: Identity = Identity {
    calls: office,
    bytes: |hour, dice| office(hour) * 1e6 * libm::exp(0.5 * dice.normal()),
};
/// Bytes have nothing to do with calls.
const LEVEL: Identity = Identity {
    calls: office,
    bytes: |_, dice| 5e8 * libm::exp(1.0 * dice.normal()),
};
/// Most by night, when it calls least.
const BACKUP: Identity = Identity {
    calls: office,
    bytes: |hour, dice| {
        let size = if hour % 24 == 2 { 1e11 } else { 1e8 };
        size * libm::exp(0.3 * dice.normal())
    },
};
/// Jobs of very different sizes, a Pareto law of index 1.2.
const BATCH: Identity = Identity {
    calls: |_| 5.0,
    bytes: |_, dice| 1e8 * libm::pow(dice.uniform(), -1.0 / 1.2),
};
/// Moves something in one hour of ten, whenever.
const RARE: Identity = Identity {
    calls: |_| 1.0,
    bytes: |_, dice| {
        if dice.uniform() < 0.1 {
            1e9 * libm::exp(0.7 * dice.normal())
        } else {
            0.0
        }
    },
};

fn hour(start: i64, calls: f64, bytes: f64) -> Hour {
    Hour {
        start,
        tally: Tally {
            calls: calls as u64,
            bytes,
            ..Tally::default()
        },
        suspect: false,
        expected: Expected {
            mean: calls,
            fano: 1.0,
            spread: 0.1,
            evidence: 1e6,
        },
        gate: 1,
        day: start.div_euclid(24),
        day_gate: 1,
        minutes: Vec::new(),
        minute_gate: 0,
    }
}

fn day(number: i64, bytes: f64) -> Day {
    Day {
        number,
        bytes,
        ..Day::default()
    }
}

/// A detector for which sums of so many `times` the usual are of interest: with 1 the law is measured,
/// with 3 what it comes to.
fn detector(times: f64) -> EgressVolume {
    let config = Config {
        at_least_times: Ratio::new(times),
        at_least_bytes: Quantity::new(0.0),
        ..Config::default()
    };
    EgressVolume::new(config, &Calendars::default())
}

/// Hours and days that are found, against what is nominal; after 8 of 60 weeks of learning.
fn found(identity: &Identity, times: f64, seed: u64, identities: i64) -> [f64; 2] {
    let detector = detector(times);
    let all = |_: &Kind| f64::INFINITY;
    let mut dice = Dice(seed);
    let mut found = [0_u32; 2];
    for _ in 0..identities {
        let (mut moved, mut sum) = (Moved::default(), 0.0);
        for start in 0..WEEKS * 168 {
            let over = hour(
                start,
                (identity.calls)(start),
                (identity.bytes)(start, &mut dice),
            );
            let judged = start >= 8 * 168;
            found[0] += u32::from(judged && detector.hour(&over, &moved, all).is_some());
            sum += over.tally.bytes;
            detector.learn(&Closed::Hour(over), &Baseline::default(), &mut moved);
            if start % 24 == 23 {
                let over = day(start / 24, std::mem::take(&mut sum));
                found[1] += u32::from(judged && detector.day(&over, &moved, all).is_some());
                detector.learn(&Closed::Day(over), &Baseline::default(), &mut moved);
            }
        }
    }
    let days = (identities * (WEEKS - 8) * 7) as f64;
    found.map(|found| f64::from(found) / days / begins(1.0))
}

const WEEKS: i64 = 60;

#[test]
fn what_is_usual_is_found_at_most_three_times_as_often_as_nominal() {
    let identities = [
        ("tidal", TIDAL),
        ("level", LEVEL),
        ("backup", BACKUP),
        ("batch", BATCH),
        ("rare", RARE),
    ];
    for (seed, (name, identity)) in (301..).zip(identities) {
        for times in [1.0, 3.0] {
            let [hours, days] = found(&identity, times, seed, 20);
            assert!(hours < 3.0 && days < 3.0, "{name} {times}: {hours} {days}");
        }
    }
}

#[test]
fn thirty_percent_more_every_day_is_found_within_a_week() {
    let detector = EgressVolume::new(Config::default(), &Calendars::default());
    let all = |_: &Kind| f64::INFINITY;
    let mut dice = Dice(17);
    let mut delays = Vec::new();
    for _ in 0..200 {
        let mut moved = Moved::default();
        let mut usual = || 1e9 * libm::exp(0.25 * dice.normal());
        for number in 0..56 {
            detector.learn(
                &Closed::Day(day(number, usual())),
                &Baseline::default(),
                &mut moved,
            );
        }
        let first = (1..=10).find(|more| {
            let over = day(56 + more, usual() * libm::pow(1.3, *more as f64));
            let found = detector.day(&over, &moved, all).is_some();
            if !found {
                detector.learn(&Closed::Day(over), &Baseline::default(), &mut moved);
            }
            found
        });
        delays.push(first.unwrap_or(99));
    }
    delays.sort_unstable();
    assert!(delays[180] <= 7, "{delays:?}");
}

#[test]
fn ten_times_as_much_in_an_hour_is_found() {
    let detector = EgressVolume::new(Config::default(), &Calendars::default());
    let mut dice = Dice(23);
    let mut moved = Moved::default();
    for start in 0..56 * 24 {
        let bytes = (TIDAL.bytes)(start, &mut dice);
        detector.learn(
            &Closed::Hour(hour(start, office(start), bytes)),
            &Baseline::default(),
            &mut moved,
        );
    }
    for (start, bytes) in [(10, 600e6), (3, 20e6)] {
        let over = hour(start, office(start), bytes);
        let found = detector.hour(&over, &moved, |_| f64::INFINITY);
        assert!(found.is_some(), "{start}");
    }
}

#[test]
fn what_is_remembered_stays_small() {
    assert!(size_of::<Moved>() <= 360);
}
