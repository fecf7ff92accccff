//! That each nuisance does what `docs/simulation.md` says of it.

use std::collections::BTreeSet;

use chrono::{Datelike, Duration, NaiveDate, Timelike};

use crate::simulate::stage::is_month_end;
use crate::simulate::story::{Story, at, stories, values};
use crate::simulate::tests::{in_session, plan};
use crate::simulate::{Bank, Nuisance, Plan};

/// A run that holds clock changes, a holiday, a half day and month's ends.
fn bank(seed: u64, list: &str) -> Plan {
    let mut plan = plan(80, 70, seed).until(NaiveDate::from_ymd_opt(2026, 12, 4).unwrap());
    plan.nuisances = Nuisance::list(list, &plan).unwrap();
    plan
}

/// The stories of `code`, twice in each of two banks.
fn told(code: &str) -> Vec<Story> {
    let list = format!("{code}x2");
    let banks = [bank(41, &list), bank(42, &list)];
    let stories: Vec<_> = banks.iter().flat_map(|plan| stories(plan, code)).collect();
    assert!(stories.len() >= 3, "{code}: {}", stories.len());
    stories
}

/// Nothing was added, and nothing taken away.
fn same_events(story: &Story) {
    assert!(story.added.is_empty() && story.gone.is_empty());
    assert_eq!(story.before.len(), story.after.len());
}

#[test]
fn all_are_labelled_as_harmless_and_after_the_baseline() {
    let plan = bank(43, "all");
    let labels = Bank::new(&plan).unwrap().labels();
    let codes: BTreeSet<_> = labels.iter().map(|label| label.scenario).collect();
    assert_eq!(codes.len(), Nuisance::ALL.len());
    for label in labels {
        assert!(!label.malicious && label.from <= label.to, "{label:?}");
        assert!(label.from >= plan.start + Duration::days(28), "{label:?}");
        assert!(label.to < plan.start + Duration::days(70), "{label:?}");
    }
}

#[test]
fn releases_call_something_new_every_day() {
    let group = stories(&bank(41, "N3"), "N3");
    let days: BTreeSet<_> = group
        .iter()
        .map(|story| story.label.from.date_naive())
        .collect();
    assert!(group.len() >= 2 && days.len() == 1, "{days:?}");
    for story in told("N1").into_iter().chain(group) {
        let new = values(&story.added, "action");
        assert!(new.len() == 1 && new.is_disjoint(&story.known("action")));
        assert!(story.gone.is_empty() && story.added.len() >= 6);
        assert!(story.label.to - story.label.from <= Duration::days(7));
    }
}

#[test]
fn new_hosts_and_new_keys_replace_the_old_ones() {
    for (code, changes, stays) in [("N4", "ip", "credential"), ("N5", "credential", "ip")] {
        for story in told(code) {
            same_events(&story);
            let later = story
                .after
                .iter()
                .filter(|event| at(event) >= story.label.from);
            let later: Vec<_> = later.collect();
            assert!(values(later.iter().copied(), changes).is_disjoint(&story.known(changes)));
            assert!(values(later.iter().copied(), stays).is_subset(&story.known(stays)));
        }
    }
    for story in told("N17") {
        same_events(&story);
        assert!(values(story.inside(), "ip").len() > 50);
    }
}

#[test]
fn the_calendar_alone_changes_nothing() {
    for story in told("N6") {
        assert_eq!(story.before, story.after);
        assert!(
            ["2026-10-25", "2026-11-01"].contains(&&*story.label.from.date_naive().to_string())
        );
    }
    for story in told("N7") {
        assert_eq!(story.before, story.after);
        assert_eq!(story.label.from.date_naive().to_string(), "2026-11-26");
        assert_eq!(story.inside().count(), 0);
        assert!(story.before.len() > 1000);
    }
}

#[test]
fn a_half_day_is_traded_until_its_early_close() {
    for story in told("N8") {
        assert!(story.added.len() >= 5);
        for order in &story.added {
            let local = at(order).with_timezone(&chrono_tz::America::New_York);
            assert_eq!(local.date_naive().to_string(), "2026-11-27");
            assert!(local.hour() < 13 && in_session("XNYS", at(order).timestamp_micros()));
        }
    }
}

#[test]
fn a_busy_market_is_several_times_as_busy_for_everybody() {
    let desk = stories(&bank(44, "N9"), "N9");
    assert!(desk.len() >= 3);
    let sum = |events: fn(&Story) -> usize| desk.iter().map(events).sum::<usize>() as f64;
    let times = sum(|story| story.inside().count())
        / sum(|story| story.inside().count() - story.added.len());
    assert!((2.5..10.0).contains(&times), "{times}");
    for story in &desk {
        for order in &story.added {
            let venue = order["venue"].as_str().unwrap();
            assert!(in_session(venue, at(order).timestamp_micros()), "{order}");
        }
    }
}

#[test]
fn a_payday_is_busier_and_the_day_is_one() {
    for story in told("N2") {
        let day = story.label.from.date_naive();
        assert!([13, 15, 30].contains(&day.day()), "{day}");
        let own = story
            .before
            .iter()
            .filter(|event| at(event).date_naive() == day);
        let times = (story.added.len() as f64 / own.count().max(1) as f64) + 1.0;
        assert!(times > 1.3, "{:?}: {times}", story.label);
    }
}

#[test]
fn an_outage_fails_and_is_caught_up() {
    for story in told("N10") {
        let inside: Vec<_> = story.inside().collect();
        let end = story.label.from + Duration::minutes(40);
        let failed = inside
            .iter()
            .filter(|event| event["outcome"] == "fail")
            .count();
        let met = failed
            - story
                .added
                .iter()
                .filter(|event| event["outcome"] == "fail")
                .count();
        let done = story
            .added
            .iter()
            .filter(|event| event["outcome"] == "ok")
            .count();
        assert!(
            met >= 3 && failed > met,
            "{:?}: {failed} of {met}",
            story.label
        );
        assert!(
            (met..=met + 2).contains(&done) || done.abs_diff(met) <= 2,
            "{done} of {met}"
        );
        let early = inside
            .iter()
            .take_while(|event| event["outcome"] == "fail")
            .count();
        assert!(
            early >= 3 && at(inside[early - 1]) <= end,
            "{:?}",
            story.label
        );
    }
}

#[test]
fn a_skewed_clock_runs_one_to_two_minutes_ahead() {
    for story in told("N11") {
        same_events(&story);
        let mut skewed = 0;
        for event in &story.before {
            let twin = story
                .after
                .iter()
                .find(|other| other["uid"] == event["uid"])
                .unwrap();
            let by = (at(twin) - at(event)).num_seconds();
            assert!(by == 0 || (60..120).contains(&by), "{by}");
            skewed += usize::from(by > 0);
        }
        assert_eq!(skewed, story.inside().count());
    }
}

#[test]
fn a_new_identity_and_a_monthly_job_are_silent_otherwise() {
    for story in told("N12") {
        assert!(story.added.is_empty() && !story.gone.is_empty());
        assert_eq!(story.after.iter().map(at).min(), Some(story.label.from));
    }
    for story in told("N14") {
        assert!(story.added.is_empty() && !story.after.is_empty());
        assert!(
            story
                .after
                .iter()
                .all(|event| is_month_end(at(event).date_naive()))
        );
        assert!(story.inside().count() >= 20);
    }
}

#[test]
fn a_moved_job_runs_one_or_two_hours_later() {
    for story in told("N13") {
        same_events(&story);
        let steps: BTreeSet<_> = story
            .before
            .iter()
            .filter_map(|event| {
                let twin = story
                    .after
                    .iter()
                    .find(|other| other["uid"] == event["uid"])
                    .unwrap();
                let by = (at(twin) - at(event)).num_minutes();
                (by > 0).then_some(by)
            })
            .collect();
        assert!(
            steps.len() == 1 && steps.iter().all(|by| [60, 90, 120].contains(by)),
            "{steps:?}"
        );
    }
}

#[test]
fn tests_are_announced() {
    for story in told("N15") {
        let approved = |event: &&serde_json::Value| event["approval_id"].is_string();
        assert!(story.added.len() >= 20 && story.added.iter().all(|event| approved(&event)));
        assert_eq!(
            story.after.iter().filter(approved).count(),
            story.added.len()
        );
    }
    for story in told("N16") {
        let denied = story
            .added
            .iter()
            .filter(|event| event["outcome"] == "denied")
            .count();
        assert!(
            (18..=42).contains(&denied),
            "{denied} of {}",
            story.added.len()
        );
        assert!(
            story
                .label
                .json()
                .contains("\"detectors\":[],\"malicious\":false")
        );
    }
}

#[test]
fn a_new_model_uses_known_tools_in_other_orders() {
    for story in told("N18") {
        assert!(values(&story.added, "action").is_subset(&story.known("action")));
        assert!(values(&story.added, "session").len() >= 2);
    }
}

#[test]
fn what_has_no_day_is_left_out_of_all_and_refused_by_name() {
    // No holiday and no half day in these weeks.
    let quiet = plan(80, 42, 1);
    let all = Nuisance::list("all", &quiet).unwrap();
    assert!(!all.contains(&Nuisance::Holiday) && !all.contains(&Nuisance::EarlyClose));
    assert!(all.contains(&Nuisance::ClockChange));
    let mut asked = quiet.clone();
    asked.nuisances = Nuisance::list("N7", &quiet).unwrap();
    let error = Bank::new(&asked).unwrap_err().to_string();
    assert!(error.contains("N7") && error.contains("--until"), "{error}");
}
