use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveTime, Timelike};
use serde_json::Value;

use super::*;
use crate::digest;
use sha2::{Digest as _, Sha256};

pub(super) fn plan(identities: usize, days: u32, seed: u64) -> Plan {
    Plan::new(identities, days, seed)
}

fn attacks(list: &str) -> Vec<Attack> {
    Attack::list(list).unwrap()
}

/// A short run in which everything happens.
fn eventful(seed: u64) -> Plan {
    let mut plan = plan(100, 14, seed);
    plan = plan.until(NaiveDate::from_ymd_opt(2026, 11, 27).unwrap());
    plan.attacks = attacks("all");
    plan.nuisances = Nuisance::list("all", &plan).unwrap();
    assert!(plan.nuisances.len() >= 16);
    plan
}

fn lines(plan: &Plan) -> Vec<Line> {
    Bank::new(plan).unwrap().events().collect()
}

pub(super) fn parsed(line: &Line) -> Value {
    serde_json::from_str(&line.json).unwrap_or_else(|error| panic!("{error}: {}", line.json))
}

fn texts(plan: &Plan) -> Vec<String> {
    lines(plan).into_iter().map(|line| line.json).collect()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let one = eventful(7);
    let bytes = texts(&one);
    assert_eq!(bytes, texts(&one));
    let other = Plan {
        seed: 8,
        ..one.clone()
    };
    assert_ne!(bytes, texts(&other));
    let labels = |plan: &Plan| Bank::new(plan).unwrap().labels();
    assert_eq!(labels(&one), labels(&one));
}

#[test]
fn events_come_in_the_order_of_time_and_within_the_run() {
    let plan = eventful(7);
    let lines = lines(&plan);
    assert!(lines.is_sorted_by_key(|line| line.ts_micros));
    let end = (plan.start + Duration::days(i64::from(plan.days))).timestamp_micros();
    let run = plan.start.timestamp_micros()..end;
    assert!(lines.iter().all(|line| run.contains(&line.ts_micros)));
}

#[test]
fn what_befalls_some_leaves_the_bytes_of_all_others() {
    let war = eventful(9);
    let bank = Bank::new(&war).unwrap();
    let labels = bank.labels();
    let victims: BTreeSet<_> = labels.iter().map(|label| &label.identity).collect();
    let peace = Plan {
        attacks: Vec::new(),
        nuisances: Vec::new(),
        ..war.clone()
    };
    let others = |plan: &Plan| -> Vec<String> {
        let others = lines(plan).into_iter();
        let others = others.filter(|line| !victims.contains(&line.identity));
        others.map(|line| line.json).collect()
    };
    let peaceful = others(&peace);
    assert!(peaceful.len() > 10_000, "{}", peaceful.len());
    assert_eq!(others(&war), peaceful);
}

#[test]
fn an_attack_only_adds_events_and_only_of_its_victim() {
    let peace = plan(40, 8, 3);
    let mut war = peace.clone();
    war.attacks = attacks("A1,A2,A3,A4,A5,A6,A7,A8,A11,A12,A14,A16,A17");
    let bank = Bank::new(&war).unwrap();
    let victims: BTreeSet<_> = bank
        .labels()
        .into_iter()
        .map(|label| label.identity)
        .collect();
    assert_eq!(victims.len(), war.attacks.len(), "victims are distinct");
    let before: BTreeSet<_> = texts(&peace).into_iter().collect();
    let mut kept = 0;
    for line in bank.events() {
        if before.contains(&line.json) {
            kept += 1;
        } else {
            assert!(victims.contains(&line.identity), "{}", line.json);
        }
    }
    assert_eq!(kept, before.len(), "no ordinary event is lost");
}

/// Regular hours of the venues in their own local time, said here a second time on purpose.
pub(super) fn in_session(mic: &str, ts: i64) -> bool {
    let at = DateTime::from_timestamp_micros(ts).unwrap();
    let (zone, open, close) = match mic {
        "XLON" => (chrono_tz::Europe::London, (8, 0), (16, 30)),
        "XNYS" | "XNAS" => (chrono_tz::America::New_York, (9, 30), (16, 0)),
        other => panic!("unexpected venue {other}"),
    };
    let local = at.with_timezone(&zone);
    let time = |(hour, minute)| NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
    let weekday = !market::is_weekend(local.date_naive());
    weekday && local.time() > time(open) && local.time().with_nanosecond(0).unwrap() < time(close)
}

#[test]
fn a_run_beyond_the_years_of_which_holidays_are_known_says_so() {
    let until = |year, month, day| {
        let last = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        Plan::new(20, 31, 1).until(last).has_unknown_holidays()
    };
    assert!(!until(2025, 1, 31) && !until(2026, 12, 31));
    assert!(until(2025, 1, 30) && until(2027, 1, 1));
}

#[test]
fn ordinary_orders_are_inside_the_session_through_both_clock_changes_and_holidays() {
    // Mid-March to mid-April and October to January hold every clock change and many holidays.
    for (month, days) in [(3, 45), (10, 90)] {
        let mut plan = plan(20, days, 11);
        let start = NaiveDate::from_ymd_opt(2026, month, 1).unwrap();
        plan.start = start.and_time(NaiveTime::MIN).and_utc();
        let mut orders = 0;
        for line in lines(&plan) {
            if !line.json.contains("\"class\":\"order\"") {
                continue;
            }
            let event = parsed(&line);
            let venue = event["venue"].as_str().unwrap();
            assert!(in_session(venue, line.ts_micros), "{}", line.json);
            let closed = ["2026-04-03", "2026-12-25"];
            assert!(
                !closed.contains(&&event["ts"].as_str().unwrap()[..10]),
                "{}",
                line.json
            );
            let thanksgiving = event["ts"].as_str().unwrap().starts_with("2026-11-26");
            assert!(!(thanksgiving && venue != "XLON"), "{}", line.json);
            orders += 1;
        }
        assert!(orders > 4_000, "{orders} orders");
    }
}

#[test]
fn every_line_is_a_record_of_its_form() {
    let mut mixed = plan(20, 6, 5);
    mixed.attacks = attacks("A1,A3,A5,A7,A8");
    let mut forms = BTreeMap::new();
    let mut uids = BTreeSet::new();
    for line in lines(&mixed) {
        let event = parsed(&line);
        *forms.entry(format!("{:?}", line.form)).or_insert(0) += 1;
        let (who, time, uid) = match line.form {
            Form::Native => {
                for field in [
                    "kind",
                    "action",
                    "class",
                    "resource",
                    "ip",
                    "outcome",
                    "credential",
                ] {
                    assert!(event[field].is_string(), "{field} in {}", line.json);
                }
                (&event["identity"], &event["ts"], &event["uid"])
            }
            Form::CloudTrail => (
                &event["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"],
                &event["eventTime"],
                &event["eventID"],
            ),
        };
        assert_eq!(who.as_str(), Some(line.identity.as_str()));
        let time = DateTime::parse_from_rfc3339(time.as_str().unwrap()).unwrap();
        assert_eq!(time.timestamp_micros(), line.ts_micros);
        assert!(
            uids.insert(uid.as_str().unwrap().to_owned()),
            "uid twice: {uid}"
        );
    }
    assert!(
        forms.len() == 2 && forms.values().all(|&count| count > 500),
        "{forms:?}"
    );
}

#[test]
fn the_native_form_says_the_same_of_cloud_roles() {
    let mixed = plan(10, 3, 5);
    let native = Plan {
        native: true,
        ..mixed.clone()
    };
    for (one, other) in lines(&mixed).iter().zip(lines(&native)) {
        assert_eq!(
            (one.ts_micros, &one.identity),
            (other.ts_micros, &other.identity)
        );
        assert_eq!(other.form, Form::Native);
        if one.form == Form::CloudTrail {
            let (raw, event) = (parsed(one), parsed(&other));
            let service = raw["eventSource"]
                .as_str()
                .unwrap()
                .replace(".amazonaws.com", "");
            let action = format!("{service}:{}", raw["eventName"].as_str().unwrap());
            assert_eq!(event["action"], action.as_str());
            assert_eq!(event["uid"], raw["eventID"]);
            assert_eq!(event["credential"], raw["userIdentity"]["accessKeyId"]);
            assert_eq!(event["ip"], raw["sourceIPAddress"]);
        }
    }
}

#[test]
fn the_bank_makes_a_moderate_number_of_events() {
    for seed in [1, 2] {
        let count = lines(&plan(40, 42, seed)).len();
        assert!((150_000..=250_000).contains(&count), "seed {seed}: {count}");
    }
}

/// The bytes of banks that other tests and published figures rest on.
///
/// Elsewhere the last digit of a logarithm may differ, and with it a byte.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn banks_of_before_keep_their_bytes() {
    for (identities, days, seed, list, events, labels) in [
        (
            20,
            35,
            7,
            "A1,A3,A5x2,A7x2,A8",
            "24a45668e8cc4a3f1e3b15a724fdda71883f387e8aaa2949d878876647eb3929",
            "364e8d80ee204463b561ec593ff5c41ec34aa03901032dc27da87cc49272c6e7",
        ),
        (
            40,
            42,
            3,
            "A1x2,A3x3,A5x3,A7x2,A8x2",
            "8b9847fb4f23bb24318b6f3f43648ec3cf40a03700d715527c51c905ae674b33",
            "d9f67dc2e3e0cbac0b7e3f432dbf0a151c10745ad2edb837461ed2ebb090b1f1",
        ),
    ] {
        let mut plan = plan(identities, days, seed);
        plan.attacks = attacks(list);
        let bank = Bank::new(&plan).unwrap();
        let hash = |lines: &mut dyn Iterator<Item = String>| {
            let mut hash = Sha256::new();
            lines.for_each(|line| hash.update(line + "\n"));
            digest::hex(hash)
        };
        assert_eq!(hash(&mut bank.events().map(|line| line.json)), events);
        let rows = bank.labels();
        assert_eq!(hash(&mut rows.iter().map(Label::json)), labels);
    }
}

#[test]
fn labels_match_events_in_the_scored_part_of_the_run() {
    let mut plan = plan(40, 42, 9);
    plan.attacks = Attack::list("A1x2,A3x3,A5x3,A7x2,A8x2").unwrap();
    plan.nuisances = vec![Nuisance::Deployment, Nuisance::MonthEnd];
    let bank = Bank::new(&plan).unwrap();
    let labels = bank.labels();
    let victims: BTreeSet<_> = labels.iter().map(|label| &label.identity).collect();
    assert_eq!((labels.len(), victims.len()), (14, 14), "one victim each");
    assert_eq!(labels.iter().filter(|label| !label.malicious).count(), 2);
    let lines: Vec<_> = bank.events().collect();
    let baseline = (plan.start + Duration::days(28)).timestamp_micros();
    for label in &labels {
        let (from, to) = (label.from.timestamp_micros(), label.to.timestamp_micros());
        assert!(from >= baseline, "{label:?}");
        let own: Vec<_> = lines
            .iter()
            .filter(|line| line.identity == label.identity)
            .collect();
        for edge in [from, to] {
            assert!(own.iter().any(|line| line.ts_micros == edge), "{label:?}");
        }
        let inside: Vec<_> = own
            .iter()
            .filter(|line| (from..=to).contains(&line.ts_micros))
            .collect();
        let has = |text: &str| inside.iter().any(|line| line.json.contains(text));
        match label.scenario {
            "A1" => assert!(has("\"192.0.2."), "{label:?}"),
            "A3" => {
                let before = own.iter().filter(|line| line.ts_micros < baseline).count();
                let hourly = before as f64 / (28.0 * 24.0);
                assert!(hourly >= 20.0, "{label:?}: {hourly} calls per hour");
                assert!(
                    inside.len() as f64 >= 40.0 * hourly,
                    "{label:?}: {}",
                    inside.len()
                );
            }
            "A5" => {
                assert!(inside.len() >= 10, "{label:?}");
                for line in inside {
                    let venue = parsed(line)["venue"].as_str().unwrap().to_owned();
                    assert!(!in_session(&venue, line.ts_micros), "{label:?}");
                }
            }
            "A7" => assert!(has("read_secret") && has("http_post") || has("drop-zone-outside")),
            "A8" => assert!(has("read_customer") && has("send_mail"), "{label:?}"),
            "N1" => assert!(has("GetObjectTagging"), "{label:?}"),
            "N2" => {}
            other => panic!("unexpected scenario {other}"),
        }
        let json: Value = serde_json::from_str(&label.json()).unwrap();
        assert_eq!(json["scenario"], label.scenario);
        assert_eq!(json["malicious"], label.malicious);
        assert!(
            json["detectors"]
                .as_array()
                .is_some_and(|names| !names.is_empty())
        );
    }
}

#[test]
fn attack_lists_are_read_and_mistakes_named() {
    assert_eq!(Attack::list("none").unwrap(), []);
    let two = [
        Attack::BulkRead,
        Attack::OffHoursOrders,
        Attack::OffHoursOrders,
    ];
    assert_eq!(Attack::list("A3, A5x2").unwrap(), two);
    for wrong in ["A99", "A3,", "A5x0", "A5xx", "burst"] {
        let error = Attack::list(wrong).unwrap_err().to_string();
        assert!(error.contains("A1 to A20"), "{error}");
    }
}

#[test]
fn plans_that_cannot_be_carried_out_are_refused() {
    let refused = |plan: &Plan| Bank::new(plan).unwrap_err().to_string();
    assert!(refused(&plan(0, 5, 1)).contains("1 to 600 days"));
    assert!(refused(&plan(5, 601, 1)).contains("1 to 600 days"));
    for last in [
        (1970, 12, 31),
        (1971, 1, 4),
        (2100, 1, 1),
        (262_142, 12, 31),
        (-262_143, 1, 1),
    ] {
        let last = NaiveDate::from_ymd_opt(last.0, last.1, last.2).unwrap();
        assert!(
            refused(&plan(5, 5, 1).until(last)).contains("1971 to 2099"),
            "{last}"
        );
    }
    let crowded = Plan {
        attacks: vec![Attack::OffHoursOrders; 9],
        ..plan(10, 5, 1)
    };
    assert!(refused(&crowded).contains("A5"));
    assert!(
        refused(&Plan {
            strength: 0.0,
            ..plan(5, 5, 1)
        })
        .contains("strength")
    );
}
