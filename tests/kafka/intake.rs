//! The intake: raw logs, inventory and rulings become one log of events.

use std::collections::BTreeMap;
use std::time::Duration;

use nhiwatch::partition;
use nhiwatch::wire::LogLine;

use super::bank::events;
use super::broker::Broker;
use super::service::Service;
use super::traces::produce;

fn text(bytes: Option<&Vec<u8>>) -> &str {
    str::from_utf8(bytes.unwrap()).unwrap()
}

#[test]
fn a_backlog_in_several_partitions_is_merged_in_order_and_complete() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "merge", 4, 3);
    let raw: Vec<_> = events(12, 5, false)
        .into_iter()
        .map(|(_, json)| (String::new(), json))
        .collect();
    produce(&broker.address, &service.topic("raw"), &raw, None);
    service.start();
    service.wait_for_the_end(raw.len() as i64);
    service.drain();
    let metrics = service.last_metrics();
    for line in ["late", "duplicate", "filtered", "quarantined"] {
        let none = format!("nhiwatch_records_total{{fate=\"{line}\"}} 0\n");
        assert!(metrics.contains(&none), "{metrics}");
    }
    let mut log = service.export("events");
    log.retain(|line| line.kind.is_none());
    assert_eq!(log.len(), raw.len());
    for line in &log {
        let key = line.key.as_deref().unwrap();
        assert_eq!(partition::of(key, 4), line.partition);
    }
    assert_eq!(service.alerts(), service.reference().0);
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_with_its_place_and_the_neighbours_go_on() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "rawpoison", 1, 1);
    let event = |name: &str| format!(r#"{{"ts":1790000000,"identity":"{name}","action":"x"}}"#);
    let raw = [
        event("a"),
        "{broken".to_owned(),
        format!("[{},{{\"odd\":1}},{}]", event("b"), event("c")),
        r#"{"who":"nobody"}"#.to_owned(),
        event("d"),
    ];
    let records = raw.clone().map(|json| (String::new(), json));
    produce(&broker.address, &service.topic("raw"), &records, None);
    service.start();
    service.wait_for_the_end(5);
    service.drain();
    let mut keys: Vec<_> = service
        .export("events")
        .iter()
        .filter(|line| line.kind.is_none())
        .map(|line| text(line.key.as_ref()).to_owned())
        .collect();
    keys.sort();
    assert_eq!(keys, ["a", "b", "c", "d"]);
    let told = ["json", "mapping"].map(|reason| (format!("{}: {reason}", service.topic("raw")), 1));
    assert_eq!(service.unreadable(), BTreeMap::from(told));
    assert_eq!(service.alerts(), service.reference().0);
    let place = |offset: u32| format!("{}/0/{offset}", service.topic("raw"));
    let letter = |reason: &str, offset: usize| {
        [reason.to_owned(), place(offset as u32), raw[offset].clone()]
    };
    let mut letters = service.dead_letters();
    letters.sort();
    assert_eq!(
        letters,
        [
            letter("json", 1),
            letter("mapping", 2),
            letter("mapping", 3)
        ]
    );
    let metrics = service.last_metrics();
    for (outcome, count) in [("mapped", 2), ("deadletter", 3), ("skipped", 0)] {
        let line = format!("nhiwatch_intake_records_total{{outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[test]
fn a_record_as_large_as_a_topic_takes_holds_nothing_up() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "large", 1, 1);
    let event =
        |pad: &str| format!(r#"{{"ts":1790000000,"identity":"a","action":"x","pad":"{pad}"}}"#);
    // The client's own bound is a million bytes, a topic's by default a little more.
    let large = "x".repeat(1_040_000);
    let raw = [
        large.clone(),
        event(&large),
        format!("[{}", event(&large)),
        event(""),
    ];
    let records = raw.map(|json| (String::new(), json));
    produce(&broker.address, &service.topic("raw"), &records, None);
    service.start();
    service.wait_for_the_end(4);
    // Before the intake's first offset it would take this for its own.
    produce(
        &broker.address,
        &service.topic("events"),
        &[("a".to_owned(), large)],
        None,
    );
    service.wait_for_the_end(4);
    service.drain();
    let letters = service.dead_letters();
    assert_eq!(
        letters.len(),
        3,
        "{:?}",
        letters.iter().map(|l| &l[0]).collect::<Vec<_>>()
    );
    assert!(letters.iter().all(|letter| letter[2].len() == 512 << 10));
    let keys: Vec<_> = service
        .export("events")
        .into_iter()
        .filter(|line| line.kind.is_none())
        .map(|line| line.key.unwrap())
        .collect();
    assert_eq!(keys, [b"a", b"a", b"a"]);
}

#[test]
fn a_stamp_from_the_future_moves_no_partition() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "future", 2, 1);
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let event = |ts: u64| format!(r#"{{"ts":{ts},"identity":"svc","action":"x"}}"#);
    let both = format!("[{},{}]", event(now), event(4_070_908_800));
    let records = [both].map(|json| (String::new(), json));
    produce(&broker.address, &service.topic("raw"), &records, None);
    service.start();
    service.wait_for_the_end(1);
    std::thread::sleep(Duration::from_secs(12));
    service.drain();
    let log = service.export("events");
    let beats: Vec<_> = log.iter().filter(|line| line.kind.is_some()).collect();
    assert!(!beats.is_empty());
    for beat in beats {
        assert!(
            text(beat.value.as_ref()).starts_with(r#"{"ts":"202"#),
            "{beat:?}"
        );
    }
}

#[test]
fn inventory_goes_before_the_events_and_silent_partitions_are_told_the_time() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "news", 2, 1);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let event = |name: &str| {
        format!(
            r#"{{"ts":{},"identity":"{name}","action":"x"}}"#,
            now.as_secs()
        )
    };
    let quiet = 1 - partition::of(b"svc", 2);
    produce(
        &broker.address,
        &service.topic("raw"),
        &[(String::new(), event("svc"))],
        None,
    );
    let entry = r#"{"identity":"svc","timezone":"Europe/Zurich"}"#;
    let entries = [
        ("svc".to_owned(), entry.to_owned()),
        ("bad".to_owned(), r#"{"timezone":"Moon/Base"}"#.to_owned()),
    ];
    produce(&broker.address, &service.topic("inventory"), &entries, None);
    service.start();
    service.wait_for_the_end(1);
    std::thread::sleep(Duration::from_secs(13));
    service.drain();
    // What tells of the bad entry lies in either partition, as the topic is called.
    let (told, log): (Vec<_>, Vec<_>) = service
        .export("events")
        .into_iter()
        .partition(|line| line.kind.as_deref() == Some("unreadable"));
    assert_eq!(told.len(), 1, "{told:?}");
    let mut by_partition: BTreeMap<i32, Vec<LogLine>> = BTreeMap::new();
    for line in log {
        by_partition.entry(line.partition).or_default().push(line);
    }
    let busy = &by_partition[&(1 - quiet)];
    assert_eq!(text(busy[0].value.as_ref()), entry);
    assert!(text(busy[1].value.as_ref()).contains(r#""identity":"svc""#));
    let beats = &by_partition[&quiet];
    assert!(
        !beats.is_empty()
            && beats
                .iter()
                .all(|beat| beat.kind.as_deref() == Some("heartbeat"))
    );
    assert!(service.last_metrics().contains("{fate=\"control\"}"));
    let letters = service.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0][0], "control");
}

#[test]
fn what_the_file_declares_goes_first_and_the_names_of_file_and_topic_are_known() {
    let Some(broker) = Broker::find() else { return };
    let mut service = Service::prepare_with_raw(&broker, "declared", 2, 1);
    service.add_inventory(
        "identities:\n  - {identity: svc, aliases: [svc-old], timezone: Europe/Zurich}\n  \
         - {identity: other, schedule: [daily 08:00-09:00]}\n",
    );
    let event = |name: &str| {
        let event = format!(
            r#"{{"ts":1790000000,"identity":"{name}","action":"x","class":"write","uid":"{name}"}}"#
        );
        (String::new(), event)
    };
    let entry = |aliases: &str| {
        let entry = format!(r#"{{"identity":"third","aliases":[{aliases}]}}"#);
        ("third".to_owned(), entry)
    };
    let (raw, inventory) = (service.topic("raw"), service.topic("inventory"));
    let entries = [
        entry(r#""third-old""#),
        (
            "odd".to_owned(),
            r#"{"identity":"odd","aliasses":[]}"#.to_owned(),
        ),
    ];
    produce(&broker.address, &inventory, &entries, None);
    let events = ["svc", "svc-old", "third-old", "other"].map(event);
    produce(&broker.address, &raw, &events, None);
    service.start();
    service.wait_for_the_end(4);
    // A name that is declared while the service runs is known a moment later.
    produce(&broker.address, &inventory, &[entry(r#""newer""#)], None);
    std::thread::sleep(Duration::from_secs(2));
    produce(&broker.address, &raw, &[event("newer")], None);
    service.wait_for_the_end(5);
    service.drain();

    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut log = service.export("events");
    log.retain(|line| !matches!(line.kind.as_deref(), Some("heartbeat" | "unreadable")));
    for line in log {
        let key = text(line.key.as_ref());
        assert_eq!(partition::of(key.as_bytes(), 2), line.partition);
        let value = text(line.value.as_ref());
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        assert_eq!(value["identity"], key);
        let uid = value["uid"].as_str();
        let what = uid.or(line.kind.as_deref()).unwrap().to_owned();
        seen.entry(key.to_owned()).or_default().push(what);
    }
    for (identity, records) in [
        ("svc", &["inventory", "svc", "svc-old"][..]),
        ("other", &["inventory", "other"]),
        ("third", &["inventory", "third-old", "inventory", "newer"]),
    ] {
        assert_eq!(seen.remove(identity).unwrap(), records, "{identity}");
    }
    assert!(seen.is_empty(), "{seen:?}");
    let letters = service.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0][0], "control");
    // The schedule of the file raised one alert, the entry that could not be read the other.
    assert_eq!(service.alerts(), service.reference().0);
    assert_eq!(service.alerts().len(), 2);
    let told = (format!("{inventory}: control"), 1);
    assert_eq!(service.unreadable(), BTreeMap::from([told]));

    // Each next start writes the file again, and changes nothing. The first of them may still read what
    // the service had not read when it was drained, such as the time of a silent partition.
    let [before, after] = [(); 2].map(|()| {
        service.start();
        service
            .wait_for("inventory file written", Duration::from_secs(20))
            .unwrap();
        std::thread::sleep(Duration::from_secs(2));
        service.drain()
    });
    let log = service.export("events");
    let entries = log
        .iter()
        .filter(|line| line.kind.as_deref() == Some("inventory"));
    assert_eq!(entries.count(), 8);
    assert_eq!(after, before);
}
