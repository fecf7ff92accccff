//! What an ordinary event allocates: nothing. A known identity does what it always does, in an hour and
//! a session that are open already. And what an identity takes that does nothing.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(clippy::print_stdout, reason = "what was measured is worth telling")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use nhiwatch::wire::with_input;
use nhiwatch_detectors::kernel::engine::Engine;
use nhiwatch_detectors::kernel::event::{Count, Event};
use nhiwatch_detectors::kernel::input::{Fate, Input};
use nhiwatch_detectors::kernel::time::{Span, Timestamp};

const IDENTITIES: usize = 250;
const ROUNDS: usize = 10;
const START: Timestamp = Timestamp::from_seconds(1_767_571_200);

/// The system's allocator, counting for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    /// Bytes that are held.
    static HELD: Cell<i64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "only an allocator sees every allocation")]
// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        HELD.set(HELD.get() + layout.size().cast_signed() as i64);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size().cast_signed() as i64);
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        HELD.set(HELD.get() + (size.cast_signed() - layout.size().cast_signed()) as i64);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// One event of each identity, in a round of its own.
fn event<'a>(identity: &'a str, ts: Timestamp, round: usize, calls: u64) -> Event<'a> {
    Event {
        ts,
        identity,
        action: ["s3:GetObject", "s3:PutObject"][round % 2],
        resource_class: Some("internal_api"),
        credential: Some("AKIA1"),
        ip: Some("10.0.0.1"),
        count: Count::new(calls).unwrap(),
        ..Event::default()
    }
}

fn names() -> Vec<String> {
    (0..IDENTITIES).map(|n| format!("svc-{n}")).collect()
}

/// An engine in which every identity has acted every hour for three weeks, and a little in the hour
/// that begins at the time given; what was to be stored is stored.
fn warm(names: &[String]) -> (Engine, Timestamp) {
    let (mut engine, mut alerts) = (Engine::new(0, Arc::default()), Vec::new());
    let mut hour = START;
    for n in 0..=29 * 24 {
        hour = START.plus(Span::HOUR.times(n));
        // A session goes on for longer than it is remembered as a whole: that it goes on is no news.
        let rounds = if n < 29 * 24 { 20 } else { 4 };
        for round in 0..rounds {
            let ts = hour.plus(Span::from_seconds(round));
            for name in names {
                let event = event(name, ts, round as usize, 1);
                engine.handle(&Input::Event(event), &mut alerts);
            }
        }
    }
    engine.flush(|_, _| {});
    // The list of what must be stored has its size again.
    for name in names {
        let event = event(name, hour.plus(Span::from_seconds(4)), 4, 1);
        engine.handle(&Input::Event(event), &mut alerts);
    }
    assert!(alerts.is_empty());
    (engine, hour)
}

#[test]
fn an_ordinary_event_that_every_detector_judges_allocates_nothing() {
    let names = names();
    let (mut engine, hour) = warm(&names);
    let learning = |engine: &Engine| {
        let stats = engine.stats();
        stats
            .detectors
            .iter()
            .map(|stats| stats.learning)
            .sum::<u64>()
    };
    let (before, mut alerts) = (learning(&engine), Vec::new());
    let allocated = allocations(|| {
        for round in 1..=ROUNDS {
            let ts = hour.plus(Span::MINUTE.times(round as i64));
            for name in &names {
                let input = Input::Event(event(name, ts, round, 1));
                assert_eq!(engine.handle(&input, &mut alerts), Fate::Judged);
            }
        }
    });
    assert_eq!(allocated, 0);
    assert!(alerts.is_empty());
    assert_eq!(learning(&engine), before);
}

#[test]
fn who_has_nothing_to_do_takes_less_than_half_of_the_memory() {
    let names = names().split_off(IDENTITIES - 100);
    let held = HELD.get();
    let (mut engine, hour) = warm(&names);
    let each = |bytes: i64| bytes / names.len() as i64;
    let awake = each(HELD.get() - held);
    let ts = hour.plus(Span::HOUR.times(3));
    engine.handle(&Input::Heartbeat { ts }, &mut Vec::new());
    let ts = ts.plus(Span::from_seconds(1));
    engine.handle(&Input::Heartbeat { ts }, &mut Vec::new());
    let digest = engine.digest();
    for _ in 0..100 {
        engine.flush(|_, _| {});
    }
    let asleep = each(HELD.get() - held);
    println!("bytes of an identity: {awake}, of one that has nothing to do {asleep}");
    assert!(2 * asleep < awake, "{asleep} of {awake}");
    assert_eq!(engine.digest(), digest);
}

#[test]
fn an_ordinary_record_is_read_and_judged_without_an_allocation() {
    let names = names();
    let (mut engine, hour) = warm(&names);
    let mut records = Vec::new();
    for round in 1..=ROUNDS {
        let ts = hour.plus(Span::MINUTE.times(round as i64)).rfc3339();
        let action = ["s3:GetObject", "s3:PutObject"][round % 2];
        for name in &names {
            let json = format!(
                r#"{{"ts":"{ts}","identity":"{name}","action":"{action}","class":"read",
                "resource":"arn:aws:s3:::bank-reports/eod","resource_class":"internal_api",
                "credential":"AKIA1","ip":"10.0.0.1","outcome":"ok","amount":12.5,"more":[1,"x"]}}"#
            );
            records.push((name.as_bytes(), json));
        }
    }
    let mut alerts = Vec::new();
    let allocated = allocations(|| {
        for (key, json) in &records {
            let fate = with_input(None, Some(key), Some(json.as_bytes()), None, |input, _| {
                engine.handle(&input.unwrap(), &mut alerts)
            });
            assert_eq!(fate, Fate::Judged);
        }
    });
    assert_eq!(allocated, 0);
    assert!(alerts.is_empty());
}

#[test]
fn ids_of_events_cost_only_the_growth_of_the_set_they_are_kept_in() {
    let names = names();
    let (mut engine, hour) = warm(&names);
    let ids: Vec<String> = (0..IDENTITIES * ROUNDS).map(|n| n.to_string()).collect();
    let mut alerts = Vec::new();
    let allocated = allocations(|| {
        for (n, uid) in ids.iter().enumerate() {
            let (round, name) = (1 + n / IDENTITIES, &names[n % IDENTITIES]);
            let ts = hour.plus(Span::MINUTE.times(round as i64));
            let mut event = event(name, ts, round, 1);
            event.uid = Some(uid);
            assert_eq!(
                engine.handle(&Input::Event(event), &mut alerts),
                Fate::Judged
            );
        }
    });
    // The set of each ten minutes, of which there are two here, and the list of what must be stored
    // of it double as they grow.
    let doublings = u64::from((IDENTITIES * ROUNDS).ilog2());
    println!("allocations of {} events: {allocated}", ids.len());
    assert!(allocated <= 2 * 2 * doublings, "{allocated}");
}
