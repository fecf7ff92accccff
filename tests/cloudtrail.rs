//! CloudTrail through the built-in mapping: samples with their expected events, and real events.

#![expect(clippy::expect_used, reason = "a test stops where it is surprised")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use nhiwatch::files::Records;
use nhiwatch::sources::{MappedEvent, Reader, Sources};
use nhiwatch::wire::Reject;
use proptest::prelude::*;
use serde_json::Value;

fn map(reader: &Reader<'_>, bytes: &[u8]) -> Vec<Result<MappedEvent, Reject>> {
    let mut events = Vec::new();
    reader.events(bytes, &mut |event| events.push(event));
    events
}

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/samples/cloudtrail")
        .join(name)
}

/// The lines that the sample file `input` maps to are those of the file `expected`.
fn check(input: &str, source: &str, expected: &str) {
    let sources = Sources::load(None).expect("refused");
    let reader = sources.reader(source).expect("absent");
    let mut lines = String::new();
    for record in Records::open(&[sample(input)]).expect("not opened") {
        let bytes = record.expect("failed").bytes.expect("refused");
        for event in map(&reader, &bytes) {
            lines += &event.expect("refused").json;
            lines.push('\n');
        }
    }
    let wanted = std::fs::read_to_string(sample(expected)).expect("not read");
    assert_eq!(lines, wanted, "{input} as {source}");
}

#[test]
fn every_type_of_identity_maps_to_its_expected_event() {
    check("records.json", "aws-cloudtrail", "records.expected.ndjson");
    check("records.json", "auto", "records.expected.ndjson");
    check("envelopes.json", "auto", "envelopes.expected.ndjson");
}

#[test]
fn what_was_mapped_maps_to_itself() {
    check(
        "records.expected.ndjson",
        "native",
        "records.expected.ndjson",
    );
    check("records.expected.ndjson", "auto", "records.expected.ndjson");
}

#[test]
fn a_bad_neighbour_in_the_same_record_harms_nobody() {
    let sources = Sources::load(None).expect("refused");
    let reader = sources.reader("aws-cloudtrail").expect("absent");
    let text = std::fs::read_to_string(sample("records.json")).expect("not read");
    let mut document: Value = serde_json::from_str(&text).expect("not JSON");
    let list = document["Records"].as_array_mut().expect("no list");
    list[3]["eventTime"] = "noon".into();
    let mut notification = list[0].clone();
    notification["eventSource"] = "aws:s3".into();
    list.insert(0, notification);
    let mapped = map(&reader, document.to_string().as_bytes());
    let refused: Vec<usize> = mapped
        .iter()
        .enumerate()
        .filter(|(_, event)| event.is_err())
        .map(|(at, _)| at)
        .collect();
    assert_eq!((mapped.len(), refused), (11, vec![0, 4]));
}

#[test]
fn every_real_event_maps_with_its_identity_action_time_and_id() {
    let Some(folder) = std::env::var_os("NHIWATCH_REAL_DATA") else {
        // What a test that passes prints is not shown, what it writes is.
        let _ = writeln!(
            std::io::stderr(),
            "NHIWATCH_REAL_DATA is not set: real events are not checked"
        );
        return;
    };
    let sources = Sources::load(None).expect("refused");
    let readers = ["aws-cloudtrail", "auto"].map(|name| sources.reader(name).expect("absent"));
    let file = Path::new(&folder).join("stratus_detonations/events.jsonl.gz");
    let mut count = 0;
    for record in Records::open(&[file]).expect("not opened") {
        let bytes = record.expect("failed").bytes.expect("refused");
        let line: Value = serde_json::from_slice(&bytes).expect("not JSON");
        let raw = &line["event"];
        let [by_name, by_keys] = readers.map(|reader| {
            let mut mapped = map(&reader, raw.to_string().as_bytes());
            assert_eq!(mapped.len(), 1, "{raw}");
            mapped.remove(0).expect("refused")
        });
        assert_eq!(by_name, by_keys);
        let event: Value = serde_json::from_str(&by_name.json).expect("not JSON");
        let who = &raw["userIdentity"];
        let identity = match who["type"].as_str() {
            Some("IAMUser") => &who["arn"],
            _ => &who["sessionContext"]["sessionIssuer"]["arn"],
        };
        assert_eq!(&event["identity"], identity);
        assert_eq!(
            by_name.identity.as_str(),
            identity.as_str().expect("no identity")
        );
        let service = raw["eventSource"]
            .as_str()
            .expect("no source")
            .replace(".amazonaws.com", "");
        let action = format!("{service}:{}", raw["eventName"].as_str().expect("no name"));
        assert_eq!(event["action"], action.as_str());
        assert_eq!(event["ts"], raw["eventTime"]);
        assert_eq!(event["uid"], raw["eventID"]);
        assert_eq!(
            event["outcome"] == "ok",
            raw["errorCode"].is_null(),
            "{raw}"
        );
        assert!(
            !by_name.identity.contains(":assumed-role/"),
            "a session became an identity"
        );
        count += 1;
    }
    assert_eq!(count, 310);
}

proptest! {
    #[test]
    fn no_damage_to_a_record_makes_mapping_panic(
        at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in 0..40_usize,
    ) {
        let sources = Sources::load(None).expect("refused");
        let mut bytes = std::fs::read(sample("records.json")).expect("not read");
        let end = bytes.len();
        bytes[at.index(end)] = byte;
        bytes.truncate(end - cut);
        for name in ["aws-cloudtrail", "auto", "native"] {
            map(&sources.reader(name).expect("absent"), &bytes);
        }
    }
}
