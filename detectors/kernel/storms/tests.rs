//! When many incidents are one storm, and what never becomes part of one.

use super::*;
use crate::dice::Dice;
use crate::kernel::detector::{BaselineState, Mode};
use crate::kernel::event::Kind;
use crate::kernel::inventory::Declared;
use crate::kernel::time::Timestamp;
use crate::kernel::triage::tests::finding;

/// A new incident of `identity` about calls per hour, on day `day`.
fn alert(identity: &str, day: i64) -> Alert {
    let opened = Timestamp::from_hour(500_016 + day * 24 + 9);
    Alert {
        id: IncidentId::of([identity.as_bytes(), &day.to_le_bytes()]),
        revision: 1,
        ts: opened,
        opened,
        identity: identity.into(),
        kind: Kind::ServiceAccount,
        declared: None,
        detector: "api-volume",
        severity: Severity::Low,
        finding: finding("calls per hour", 1e-6),
        findings: 1,
        events: vec![format!("event of {identity}")],
        action: "s3:GetObject".into(),
        ip: None,
        baseline: BaselineState::Mature,
        mode: Mode::Alert,
        decision: "d".into(),
        risk: None,
        members: None,
    }
}

/// The same, where its finding says what is new.
fn new(identity: &str, news: &str, day: i64) -> Alert {
    let mut alert = alert(identity, day);
    alert.finding.evidence.push(("new".into(), news.to_owned()));
    alert
}

fn watched_for(days: i64) -> (Storms, i64) {
    let mut storms = Storms::default();
    storms.begin(alert("a", 0).opened.day());
    (storms, days)
}

/// How many of `alerts` go out alone, and what is told of storms.
fn told(storms: &mut Storms, alerts: impl IntoIterator<Item = Alert>) -> (usize, Vec<Alert>) {
    let (mut alone, mut storm) = (0, Vec::new());
    for alert in alerts {
        match storms.opened(&alert, 0) {
            Told::Alone => alone += 1,
            Told::Folded(_, told) => storm.extend(told.map(|told| *told)),
        }
    }
    (alone, storm)
}

fn names(n: usize) -> impl Iterator<Item = String> {
    (0..n).map(|n| format!("bot-{n:03}"))
}

fn fact<'a>(alert: &'a Alert, name: &str) -> Option<&'a str> {
    let mut facts = alert.finding.evidence.iter();
    facts
        .find(|(fact, _)| fact == name)
        .map(|(_, value)| value.as_str())
}

#[test]
fn of_forty_identities_on_one_day_three_are_told_alone_and_all_in_one_storm() {
    let (mut storms, day) = watched_for(60);
    let (alone, storm) = told(&mut storms, names(40).map(|name| alert(&name, day)));
    assert_eq!(alone, 3);
    // It is told when it begins, and each time it has doubled.
    let sizes: Vec<u32> = storm.iter().map(|storm| storm.findings).collect();
    assert_eq!(sizes, [4, 8, 16, 32]);
    let revisions: Vec<u32> = storm.iter().map(|storm| storm.revision).collect();
    assert_eq!(revisions, [1, 2, 3, 4]);
    let last = storm.last().unwrap();
    assert!(storm.iter().all(|storm| storm.id == last.id));
    assert_eq!(last.finding.subject, "api-volume: calls per hour");
    let members = &last.members.as_ref().unwrap().identities;
    assert_eq!(members, &names(32).collect::<Vec<_>>());
    // The next day is another.
    let (alone, storm) = told(&mut storms, names(4).map(|name| alert(&name, day + 1)));
    assert_eq!((alone, storm.len()), (3, 1));
    assert_ne!(storm[0].id, last.id);
}

#[test]
fn partitions_give_the_same_storm_one_key_and_ids_of_their_own() {
    let storm = |partition| {
        let (mut storms, day) = watched_for(60);
        let all = names(4).map(|name| storms.opened(&alert(&name, day), partition));
        match all.last() {
            Some(Told::Folded(_, Some(storm))) => storm,
            other => panic!("no storm: {other:?}"),
        }
    };
    let (one, other) = (storm(0), storm(1));
    assert_ne!(one.id, other.id);
    assert_eq!(one.members, other.members);
}

#[test]
fn what_days_bring_is_no_storm() {
    let (mut storms, days) = watched_for(60);
    for day in 0..days {
        told(&mut storms, names(5).map(|name| alert(&name, day)));
    }
    let (alone, storm) = told(&mut storms, names(12).map(|name| alert(&name, days)));
    assert_eq!((alone, storm.len()), (12, 0));
    let (alone, storm) = told(&mut storms, names(40).map(|name| alert(&name, days + 1)));
    assert!(
        (12..20).contains(&alone) && !storm.is_empty(),
        "{alone} alone"
    );
}

#[test]
fn nothing_is_folded_while_nobody_knows_what_is_usual() {
    let (mut storms, _) = watched_for(0);
    let (alone, storm) = told(&mut storms, names(40).map(|name| alert(&name, 0)));
    assert_eq!((alone, storm.len()), (40, 0));
}

#[test]
fn what_is_grave_or_moves_money_always_goes_out_alone() {
    let (mut storms, day) = watched_for(60);
    told(&mut storms, names(40).map(|name| alert(&name, day)));
    for severity in [Severity::High, Severity::Critical] {
        let mut grave = alert("grave", day);
        grave.severity = severity;
        assert_eq!(storms.opened(&grave, 0), Told::Alone);
    }
    let mut sink = alert("sink", day);
    sink.finding.sink = true;
    assert_eq!(storms.opened(&sink, 0), Told::Alone);
    // What is more severe than the storm was so far makes it so, and is news.
    let mut more = alert("more", day);
    more.severity = Severity::Medium;
    let Told::Folded(_, Some(storm)) = storms.opened(&more, 0) else {
        panic!("not folded, or no news");
    };
    assert_eq!(storm.severity, Severity::Medium);
}

#[test]
fn where_all_are_grave_the_storm_is() {
    let (mut storms, day) = watched_for(60);
    let grave = |name: String| {
        let mut alert = alert(&name, day);
        alert.severity = Severity::High;
        alert
    };
    let (alone, storm) = told(&mut storms, names(40).map(grave));
    assert_eq!((alone, storm[0].severity), (3, Severity::High));
}

#[test]
fn one_identity_again_and_again_is_no_storm() {
    let (mut storms, day) = watched_for(60);
    let (alone, storm) = told(&mut storms, (0..6).map(|_| alert("flapping", day)));
    assert_eq!((alone, storm.len()), (6, 0));
}

#[test]
fn who_differs_from_the_rest_goes_out_alone_and_is_named() {
    let (mut storms, day) = watched_for(60);
    let deploy = |name: String| new(&name, "ledger:Rebuild", day);
    let (alone, _) = told(&mut storms, names(10).map(deploy));
    assert_eq!(alone, 3);
    // Another call than the rest, and the same call by one of another group.
    assert_eq!(
        storms.opened(&new("thief", "vault:Export", day), 0),
        Told::Alone
    );
    let mut stranger = new("stranger", "ledger:Rebuild", day);
    stranger.declared = Some(Declared {
        group: Some("treasury".into()),
        ..Declared::default()
    });
    assert_eq!(storms.opened(&stranger, 0), Told::Alone);
    // A second of the same kind is none: it may be that two releases go out.
    assert!(matches!(
        storms.opened(&new("twin", "vault:Export", day), 0),
        Told::Folded(..)
    ));
    let rest = (10..40).map(|n| deploy(format!("bot-{n:03}")));
    let (alone, storm) = told(&mut storms, rest);
    assert_eq!(alone, 0);
    let last = storm.last().unwrap();
    assert_eq!(
        fact(last, "odd_ones_out"),
        Some("thief (vault:Export), stranger (treasury)")
    );
    assert_eq!(fact(last, "shared_news"), Some("ledger:Rebuild (30 of 32)"));
    assert_eq!(
        fact(last, "shared_group"),
        Some("service_account (31 of 32)")
    );
}

#[test]
fn without_room_a_subject_counts_as_no_rarer_than_it_is() {
    let (mut storms, day) = watched_for(60);
    let about = |subject: String, name: &str, day| {
        let mut alert = alert(name, day);
        alert.finding.subject = subject;
        alert
    };
    for day in 0..day {
        for subject in 0..SUBJECTS_MAX {
            storms.opened(&about(format!("hour {subject}"), "bot", day), 0);
        }
    }
    // All that is kept was told of 60 times, and what takes the place of one inherits that.
    let (alone, _) = told(
        &mut storms,
        names(5).map(|name| about("new".into(), &name, day)),
    );
    assert_eq!(alone, 5);
    assert_eq!(storms.subjects.len(), SUBJECTS_MAX);
}

#[test]
fn storms_of_one_day_are_bounded() {
    let (mut storms, day) = watched_for(60);
    for subject in 0..=STORMS_MAX {
        let (alone, _) = told(
            &mut storms,
            names(10).map(|name| {
                let mut alert = alert(&name, day);
                alert.finding.subject = format!("hour {subject}");
                alert
            }),
        );
        assert_eq!(
            alone,
            if subject < STORMS_MAX { 3 } else { 10 },
            "{subject}"
        );
    }
}

#[test]
fn what_was_counted_half_a_year_ago_fades() {
    let (mut storms, _) = watched_for(0);
    for day in 0..=REMEMBERED {
        told(&mut storms, names(5).map(|name| alert(&name, day)));
    }
    let before = storms.subjects[0].count;
    told(&mut storms, [alert("bot", REMEMBERED + 1)]);
    assert!(storms.subjects[0].count <= before / 2 + 5);
    assert_eq!(
        storms.since,
        Some(alert("bot", 0).opened.day() + REMEMBERED / 2 + 1)
    );
}

/// Null: numbers of incidents on a day are Poisson with a rate that does not change.
#[test]
fn a_day_is_taken_for_a_storms_by_chance_about_as_seldom_as_stated() {
    let mut dice = Dice(7);
    let mut poisson = |rate: f64| {
        let mut left = 1.0;
        let come = std::iter::repeat_with(|| dice.exponential(1.0 / rate));
        come.take_while(|wait| {
            left -= wait;
            left > 0.0
        })
        .count()
    };
    for rate in [0.2, 2.0, 10.0] {
        let (runs, days) = (100, 150);
        let mut stormy = 0;
        for _ in 0..runs {
            let (mut storms, _) = watched_for(0);
            for day in 0..days {
                let so_many = poisson(rate);
                let (alone, _) = told(&mut storms, names(so_many).map(|name| alert(&name, day)));
                stormy += u32::from(alone < so_many);
            }
        }
        // 15,000 days a rate, of which 1.5 are expected by chance at 1e-4; so many as 8 come once in 5,000 times.
        assert!(stormy <= 8, "{stormy} storms at {rate} a day");
    }
}
