//! That each attack does what `docs/simulation.md` says of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Duration, NaiveDate, Timelike};
use serde_json::Value;

use crate::simulate::stage::scored_days;
use crate::simulate::story::{Story, at, stories, stories_of, values};
use crate::simulate::tests::{in_session, plan};
use crate::simulate::{Attack, Bank, Plan};

fn banks(list: &str) -> Vec<Plan> {
    let of = |seed| {
        let mut plan = plan(40, 45, seed);
        plan.attacks = Attack::list(list).unwrap();
        plan
    };
    vec![of(21), of(22)]
}

/// The stories of `code`, twice in each of two banks.
fn told(code: &str) -> Vec<Story> {
    let banks = banks(&format!("{code}x2"));
    let stories: Vec<_> = banks.iter().flat_map(|plan| stories(plan, code)).collect();
    assert!(stories.len() >= 4, "{code}: {}", stories.len());
    stories
}

fn ok(event: &Value) -> bool {
    event["outcome"] == "ok"
}

fn by_day(events: &[Value], of: impl Fn(&Value) -> f64) -> BTreeMap<NaiveDate, f64> {
    let mut days = BTreeMap::new();
    for event in events {
        *days.entry(at(event).date_naive()).or_insert(0.0) += of(event);
    }
    days
}

fn bytes(event: &Value) -> f64 {
    event["bytes"].as_f64().unwrap_or(0.0)
}

#[test]
fn labels_span_what_is_added_and_nothing_else_is_touched() {
    for plan in banks("A1,A2,A3,A4,A5,A6,A7,A8,A9,A10,A11,A12,A14,A15,A16,A17,A18") {
        for story in stories_of(&plan, |_| true) {
            let times: Vec<_> = story.added.iter().map(at).collect();
            let label = &story.label;
            assert_eq!(times.iter().min(), Some(&label.from), "{label:?}");
            assert_eq!(times.iter().max(), Some(&label.to), "{label:?}");
            let day = label.from.date_naive();
            assert!(label.malicious && day >= scored_days(&plan)[0], "{label:?}");
            let asleep = ["A9", "A10"].contains(&label.scenario);
            assert_eq!(!story.gone.is_empty(), asleep, "{label:?}");
        }
    }
}

#[test]
fn a2_works_beside_the_first_host_with_the_same_key() {
    for story in told("A2") {
        let hosts = values(&story.added, "ip");
        assert!(hosts.len() == 1 && hosts.is_disjoint(&story.known("ip")));
        assert!(values(&story.added, "credential").is_subset(&story.known("credential")));
        assert!(story.added.len() >= 24);
        let own = story.inside().count() - story.added.len();
        assert!(own >= 3, "{:?}: {own} calls of its own", story.label);
    }
}

#[test]
fn a4_moves_a_third_more_bytes_every_day_with_hardly_more_calls() {
    for story in told("A4") {
        let first = story.label.from.date_naive();
        let weeks = first - Duration::days(14)..first;
        let before = story.before.iter();
        let before = before.filter(|event| weeks.contains(&at(event).date_naive()));
        let before: Vec<_> = before.collect();
        let usual = before.iter().map(|event| bytes(event)).sum::<f64>() / 14.0;
        let leak = by_day(&story.added, bytes);
        assert_eq!(leak.len(), 10);
        for (day, (date, sum)) in leak.iter().enumerate() {
            let wanted = 1.3_f64.powi(day as i32 + 1) - 1.0;
            let ratio = sum / usual / wanted;
            assert!(
                (0.7..1.3).contains(&ratio),
                "{:?} {date}: {ratio}",
                story.label
            );
        }
        let share = story.added.len() as f64 / 10.0 / (before.len() as f64 / 14.0);
        assert!(share < 0.12, "{:?}: {share} more calls", story.label);
    }
}

#[test]
fn a6_trades_elsewhere_while_it_is_open() {
    for story in told("A6") {
        let (new, known) = (values(&story.added, "venue"), story.known("venue"));
        assert!(new.len() == 1 && known.len() == 1 && new.is_disjoint(&known));
        assert!(story.added.len() >= 15, "{}", story.added.len());
        for order in &story.added {
            let now = at(order).timestamp_micros();
            for venue in new.union(&known) {
                assert!(in_session(venue, now), "{order}");
            }
        }
    }
}

#[test]
fn a9_sleeps_for_a_month_and_lists_what_it_never_listed() {
    for story in told("A9") {
        let last = story
            .after
            .iter()
            .map(at)
            .filter(|&ts| ts < story.label.from);
        let slept = story.label.from - last.max().unwrap();
        assert!(slept > Duration::days(30), "{:?}: {slept}", story.label);
        assert_eq!(story.added.len(), 40);
        let listed = values(&story.added, "action");
        assert!(listed.len() >= 4 && listed.is_disjoint(&story.known("action")));
        assert_eq!(story.after.iter().map(at).max(), Some(story.label.to));
    }
}

#[test]
fn a10_is_retired_in_the_inventory_before_it_is_used() {
    for plan in banks("A10x2") {
        let bank = Bank::new(&plan).unwrap();
        let retired: Vec<_> = bank.inventory().filter(|entry| entry.retired).collect();
        let stories = stories(&plan, "A10");
        assert_eq!((retired.len(), stories.len()), (2, 2));
        for story in stories {
            let entry = retired
                .iter()
                .find(|entry| entry.identity == story.label.identity);
            let gone = entry.unwrap().decommissioned.unwrap();
            for event in &story.after {
                let day = at(event).date_naive();
                assert!(day < gone || at(event) >= story.label.from, "{event}");
            }
            assert!(gone < story.label.from.date_naive());
            assert_eq!(story.added.len(), 12);
            assert!(values(&story.added, "action").is_subset(&story.known("action")));
        }
    }
}

#[test]
fn a11_administers_with_success_and_for_the_first_time() {
    for story in told("A11") {
        assert_eq!(story.added.len(), 5);
        assert!(
            story
                .added
                .iter()
                .all(|event| ok(event) && event["class"] == "admin")
        );
        assert!(!story.known("class").contains("admin"));
    }
}

#[test]
fn a12_is_denied_three_times_of_ten() {
    for story in told("A12") {
        let denied = story.inside().filter(|event| event["outcome"] == "denied");
        let denied = denied.count() as f64;
        let share = denied / story.inside().count() as f64;
        assert!((0.2..0.4).contains(&share), "{:?}: {share}", story.label);
        assert!(
            (36.0..42.0).contains(&denied),
            "{:?}: {denied}",
            story.label
        );
        let hours = (story.label.to - story.label.from).num_minutes() as f64 / 60.0;
        assert!((1.0..3.5).contains(&hours), "{:?}", story.label);
    }
}

#[test]
fn a13_stops_or_moves_the_job_for_good() {
    let mut moved = 0;
    for story in told("A13") {
        let due = story.label.from;
        assert!(
            story.gone.iter().all(|event| at(event) >= due),
            "{:?}",
            story.label
        );
        assert!(
            values(&story.gone, "session").len() >= 3,
            "{:?}",
            story.label
        );
        assert!(
            story
                .before
                .iter()
                .filter(|&event| at(event) >= due)
                .count()
                == story.gone.len()
        );
        if story.added.is_empty() {
            assert!(story.after.iter().all(|event| at(event) < due));
            continue;
        }
        moved += 1;
        let minutes = |event: &Value| i64::from(at(event).time().num_seconds_from_midnight() / 60);
        let then = i64::from(due.time().num_seconds_from_midnight() / 60);
        for event in story
            .added
            .iter()
            .filter(|event| event["action"] == "job.start")
        {
            // Clocks may change in between.
            let later = (minutes(event) - then).rem_euclid(1440);
            assert!(
                (230..=610).contains(&later),
                "{:?}: {later} min",
                story.label
            );
        }
    }
    assert_eq!(moved, 2);
}

fn sessions(events: &[Value]) -> Vec<Vec<&str>> {
    let mut sessions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in events {
        let session = sessions.entry(event["session"].as_str().unwrap());
        session.or_default().push(event["action"].as_str().unwrap());
    }
    sessions.into_values().collect()
}

#[test]
fn a14_knows_every_step_and_not_the_order() {
    for story in told("A14") {
        let known = sessions(&story.before);
        let runs = |length: usize| -> BTreeSet<&[&str]> {
            known
                .iter()
                .flat_map(|session| session.windows(length))
                .collect()
        };
        let walks = sessions(&story.added);
        assert_eq!(walks.len(), 6);
        for walk in &walks {
            assert!(
                walk.windows(2).all(|pair| runs(2).contains(pair)),
                "{walk:?}"
            );
            assert!(
                walk.windows(3).any(|three| !runs(3).contains(three)),
                "{walk:?}"
            );
        }
    }
}

#[test]
fn a19_knows_every_pair_and_carries_what_never_left() {
    for story in told("A19") {
        let (habit, leaks): (Vec<_>, Vec<_>) = story
            .added
            .iter()
            .cloned()
            .partition(|event| !(story.label.from..=story.label.to).contains(&at(event)));
        let (habit, leaks) = (sessions(&habit), sessions(&leaks));
        let known = sessions(&story.before);
        let pairs: BTreeSet<&[&str]> = known
            .iter()
            .chain(&habit)
            .flat_map(|session| session.windows(2))
            .collect();
        let private = |step: &&str| matches!(*step, "tool:read_customer" | "tool:read_document");
        assert!(habit.len() >= 60, "{}", habit.len());
        for session in &habit {
            assert!(session.contains(&"tool:translate") && !session.iter().any(private));
        }
        assert_eq!(leaks.len(), 3);
        for leak in &leaks {
            assert!(leak.windows(2).all(|pair| pairs.contains(pair)), "{leak:?}");
            assert!(leak.iter().any(private) && leak.last() == Some(&"tool:translate"));
        }
    }
}

#[test]
fn a20_goes_from_the_first_step_to_the_last_at_once() {
    for story in told("A20") {
        let known = sessions(&story.before);
        let pairs: BTreeSet<&[&str]> = known.iter().flat_map(|it| it.windows(2)).collect();
        let taken = sessions(&story.added);
        assert_eq!(taken.len(), 3);
        for ends in &taken {
            assert_eq!(ends.len(), 2);
            assert!(!pairs.contains(&ends[..]), "{ends:?}");
            let known = known
                .iter()
                .any(|it| it[0] == ends[0] && it.last() == ends.last());
            assert!(known, "{ends:?}");
        }
    }
}

#[test]
fn a15_doubles_every_order_of_a_session_from_another_host() {
    for story in told("A15") {
        let day = story.label.from.date_naive();
        let own: Vec<_> = story
            .before
            .iter()
            .filter(|event| at(event).date_naive() == day)
            .collect();
        assert_eq!(story.added.len(), own.len());
        assert!(values(&story.added, "ip").is_disjoint(&story.known("ip")));
        let same = [
            "action",
            "resource",
            "symbol",
            "side",
            "quantity",
            "amount",
            "credential",
        ];
        for copy in &story.added {
            let twin = own.iter().any(|order| {
                let late = at(copy) - at(order);
                same.iter().all(|field| order[field] == copy[field])
                    && late >= Duration::zero()
                    && late < Duration::seconds(5)
            });
            assert!(twin, "{copy}");
        }
    }
}

#[test]
fn a16_takes_rights_before_it_takes_data() {
    for story in told("A16") {
        let first = |test: &dyn Fn(&Value) -> bool| {
            let found = story.added.iter().find(|event| test(event));
            at(found.unwrap())
        };
        let rights = first(&|event| event["class"] == "admin");
        let taken = first(&|event| bytes(event) > 1e6);
        let posted = first(&|event| event["resource_class"] == "external");
        assert!(rights < taken && taken < posted && posted < rights + Duration::hours(2));
        let sum = story.added.iter().map(bytes).sum::<f64>();
        assert!((0.8e9..2.2e9).contains(&sum), "{sum} bytes");
    }
}

#[test]
fn a17_warms_the_water_for_two_weeks_and_boils_it_in_an_hour() {
    for story in told("A17") {
        let calls = by_day(&story.added, |_| 1.0);
        assert_eq!(calls.len(), 15, "{:?}", story.label);
        let first = story.label.from.date_naive();
        let before = story.before.iter();
        let before = before
            .filter(|event| at(event).date_naive() < first)
            .count();
        let usual = before as f64 / (first - at(&story.before[0]).date_naive()).num_days() as f64;
        let counts: Vec<_> = calls.values().map(|calls| calls / usual).collect();
        for (days, wanted) in [(0..5, 0.158), (5..10, 0.477), (10..14, 0.843)] {
            let mean = counts[days.clone()].iter().sum::<f64>() / days.len() as f64;
            assert!(
                (0.7..1.3).contains(&(mean / wanted)),
                "{:?}: {counts:?}",
                story.label
            );
        }
        let burst = counts[14] * 24.0;
        assert!((22.0..40.0).contains(&burst), "{:?}: {burst}", story.label);
    }
}

#[test]
fn a18_befalls_twenty_peers_within_hours() {
    let mut plan = plan(200, 42, 23);
    plan.attacks = Attack::list("A18").unwrap();
    let labels = Bank::new(&plan).unwrap().labels();
    assert_eq!(labels.len(), 20);
    let names: BTreeSet<_> = labels.iter().map(|label| &label.identity).collect();
    assert_eq!(names.len(), 20);
    assert!(labels[19].to - labels[0].from < Duration::minutes(185));
    assert!(
        labels
            .iter()
            .all(|label| label.identity.starts_with("agent-"))
    );
}

#[test]
fn strength_multiplies_what_is_documented() {
    for (code, usual, twice) in [("A9", 40, 80), ("A10", 12, 24), ("A11", 5, 10)] {
        for (strength, wanted) in [(1.0, usual), (2.0, twice)] {
            let mut plan = plan(40, 45, 24);
            (plan.attacks, plan.strength) = (Attack::list(code).unwrap(), strength);
            assert_eq!(
                stories(&plan, code)[0].added.len(),
                wanted,
                "{code} x{strength}"
            );
        }
    }
    let (mut one, mut half) = (plan(40, 45, 24), plan(40, 45, 24));
    (one.attacks, half.attacks) = (vec![Attack::DoubledBot], vec![Attack::DoubledBot]);
    half.strength = 0.5;
    let count = |plan| stories(plan, "A15")[0].added.len() as f64;
    let share = count(&half) / count(&one);
    assert!((0.3..0.7).contains(&share), "{share}");
}

#[test]
fn a_standard_run_finds_a_victim_for_everything() {
    for seed in 31..34 {
        let mut plan = plan(200, 70, seed).until(NaiveDate::from_ymd_opt(2026, 12, 4).unwrap());
        plan.attacks = Attack::standard(200);
        plan.nuisances = crate::simulate::Nuisance::list("standard", &plan).unwrap();
        let labels = Bank::new(&plan).unwrap().labels();
        let victims: BTreeSet<_> = labels.iter().map(|label| &label.identity).collect();
        assert_eq!(victims.len(), labels.len(), "one scenario each");
        let mut count = BTreeMap::new();
        for label in &labels {
            *count.entry(label.scenario).or_insert(0) += 1;
        }
        assert_eq!(count.len(), 36, "{count:?}");
        assert!(count.values().all(|&count| count >= 4), "{count:?}");
    }
}
