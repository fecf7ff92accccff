//! The event schema at the edge: what is read, what is refused, and why.

mod poison;

use std::borrow::Cow;
use std::collections::BTreeSet;

use nhiwatch::wire::event::field_names;
use nhiwatch::wire::{RawEvent, Reason, control, encode, with_input};
use nhiwatch_detectors::kernel::event::{Class, Count, Event, Kind, Outcome};
use nhiwatch_detectors::kernel::time::Timestamp;
use poison::{GOOD, poisons, with};
use proptest::prelude::*;

fn reason(bytes: &[u8]) -> Option<Reason> {
    RawEvent::parse(bytes)
        .and_then(|raw| raw.event(None).map(drop))
        .err()
        .map(|e| e.reason)
}

#[test]
fn every_poison_is_refused_for_its_own_reason_and_its_neighbours_are_read() {
    for (name, poison, expected) in poisons() {
        assert_eq!(reason(&poison), Some(expected), "{name}");
        assert_eq!(reason(GOOD.as_bytes()), None, "after {name}");
    }
    let tombstone = with_input(None, Some(b"svc"), None, None, |input, _| input.map(drop));
    assert_eq!(tombstone.map_err(|e| e.reason), Err(Reason::Empty));
    let bomb = "x".repeat(1 << 20);
    let headers = with_input(Some(&bomb), Some(b"svc"), Some(b"{}"), None, |input, _| {
        input.map(drop)
    });
    assert!(headers.is_err_and(|e| e.reason == Reason::Control && e.detail.len() < 1000));
}

#[test]
fn a_refusal_names_the_field() {
    let reject = RawEvent::parse(br#"{"identity":"a","asn":"x"}"#).expect_err("not refused");
    assert!(reject.detail.starts_with("asn: "), "{reject}");
}

#[test]
fn null_and_empty_mean_absent() {
    let bytes = with(r#""ip":"","asn":null,"on_behalf_of":null,"kind":null,"app":null"#);
    let raw = RawEvent::parse(&bytes).expect("refused");
    let event = raw.event(None).expect("refused");
    assert_eq!(
        (event.ip, event.asn, event.app, event.kind),
        (None, None, None, Kind::Unknown)
    );
}

#[test]
fn strings_without_escapes_are_borrowed_from_the_record() {
    let bytes = with(r#""resource":"arn:aws:s3:::pos","on_behalf_of":["alice"]"#);
    let raw = RawEvent::parse(&bytes).expect("refused");
    let event = raw.event(None).expect("refused");
    let inside = bytes.as_ptr_range();
    for text in [
        event.identity,
        event.action,
        event.resource.expect("absent"),
        &event.on_behalf_of[0],
    ] {
        assert!(inside.contains(&text.as_ptr()), "{text} was copied");
    }
}

#[test]
fn the_published_schema_has_exactly_the_fields_that_are_read() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../config/schema/event.schema.json")).expect("not JSON");
    let published: BTreeSet<&str> = schema["properties"]
        .as_object()
        .expect("no properties")
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(published, field_names().collect());
    let words = |field: &str| -> Vec<String> {
        let words = schema["properties"][field]["enum"]
            .as_array()
            .expect("no enum");
        words
            .iter()
            .filter_map(|w| w.as_str())
            .filter(|w| !w.is_empty())
            .map(String::from)
            .collect()
    };
    assert_eq!(
        words("kind"),
        Kind::ALL.iter().map(|w| w.word()).collect::<Vec<_>>()
    );
    assert_eq!(
        words("class"),
        Class::ALL.iter().map(|w| w.word()).collect::<Vec<_>>()
    );
    assert_eq!(
        words("outcome"),
        Outcome::ALL.iter().map(|w| w.word()).collect::<Vec<_>>()
    );
}

#[test]
fn the_published_schema_of_rulings_says_what_is_read() {
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../config/schema/feedback.schema.json")).expect("JSON");
    let ruling = |change: (&str, serde_json::Value)| {
        let mut value = serde_json::json!({
            "identity": "svc", "incident": "0A0b".repeat(8), "ruling": "benign", "note": "a job",
        });
        value[change.0] = change.1;
        let value = value.to_string();
        control::read("feedback", Some(b"svc"), Some(value.as_bytes())).is_ok()
    };
    let properties = schema["properties"].as_object().expect("properties");
    let fields: Vec<&String> = properties.keys().collect();
    assert_eq!(fields, ["identity", "incident", "ruling"]);
    assert_eq!(properties["incident"]["pattern"], "^[0-9A-Fa-f]{32}$");
    let words = serde_json::json!(["benign", "malicious"]);
    assert_eq!(properties["ruling"]["enum"], words);
    for (field, says) in properties {
        assert!(!ruling((field, 7.into())), "{field} is not read");
        let required = schema["required"].as_array().expect("a list");
        let required = required.iter().any(|it| it == field);
        assert_eq!(
            ruling((field, serde_json::Value::Null)),
            !required,
            "{field}"
        );
        for word in says["enum"].as_array().into_iter().flatten() {
            assert!(ruling((field, word.clone())), "{word}");
        }
    }
    assert!(ruling(("note", 7.into())), "an unknown field counts");
    assert!(!ruling(("ruling", "suspicious".into())));
    for wrong in ["0a0b".repeat(7), "0a0g".repeat(8)] {
        assert!(!ruling(("incident", wrong.into())));
    }
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("[^\u{0}]{1,12}")
}

fn number() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of((0..1_000_000_000_u32).prop_map(|cents| f64::from(cents) / 100.0))
}

proptest! {
    #[test]
    fn an_event_reads_back_as_it_was_written(
        micros in Timestamp::MIN.micros()..=Timestamp::MAX.micros(),
        names in ("[^\u{0}]{1,20}", "[^\u{0}]{1,20}"),
        chain in proptest::collection::vec("[^\u{0}]{0,8}", 0..3),
        texts in proptest::collection::vec(text(), 21),
        numbers in (number(), number(), number(), proptest::option::of(any::<u32>())),
        words in (0..Kind::ALL.len(), 0..Class::ALL.len(), 0..Outcome::ALL.len()),
        count in 1..=Count::MAX,
    ) {
        let chain: Vec<Cow<'_, str>> = chain.into_iter().map(Cow::Owned).collect();
        let mut next = texts.iter().map(Option::as_deref);
        let mut text = || next.next().flatten();
        let event = Event {
            ts: Timestamp::from_micros(micros), received: None,
            uid: text(), identity: &names.0, kind: Kind::ALL[words.0], on_behalf_of: &chain,
            credential: text(), credential_kind: text(), action: &names.1, class: Class::ALL[words.1],
            resource: text(), resource_type: text(), resource_class: text(), ip: text(),
            asn: numbers.3, country: text(), user_agent: text(), outcome: Outcome::ALL[words.2],
            code: text(), session: text(), trace: text(), venue: text(), symbol: text(), side: text(),
            quantity: numbers.0, amount: numbers.1, currency: text(), bytes: numbers.2,
            count: Count::new(count.into()).expect("in range"),
            env: text(), app: text(), app_version: text(), tenant: text(), approval_id: text(),
        };
        let json = encode::event(&event);
        let raw = RawEvent::parse(json.as_bytes()).expect("refused");
        prop_assert_eq!(format!("{:?}", raw.event(None).expect("refused")), format!("{event:?}"));
        prop_assert_eq!(raw.unknown, 0);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = reason(&bytes);
    }

    #[test]
    fn no_damage_to_an_event_makes_it_panic(
        at in 0..200_usize, byte in any::<u8>(), cut in 0..200_usize,
    ) {
        let mut bytes = with(r#""on_behalf_of":["a","b"],"asn":7,"amount":1.5,"app":"\u00e9","x":{"y":[1]}"#);
        let end = bytes.len();
        bytes[at % end] = byte;
        bytes.truncate(end - cut % end);
        let _ = reason(&bytes);
    }
}
