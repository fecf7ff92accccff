//! What goes into the raw topic: a simulated bank, and cloud events that are strange for their
//! identities, spliced into an ordinary past of the same identities.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use nhiwatch::files::Records;
use nhiwatch::simulate::{Attack, Bank, Plan};
use nhiwatch::sources::Sources;
use nhiwatch_detectors::kernel::time::{Span, Timestamp};
use serde_json::Value;

/// Events of a small bank under attack, with their identities: in our schema, or as their sources
/// write them.
pub(crate) fn events(identities: usize, seed: u64, native: bool) -> Vec<(String, String)> {
    let mut plan = Plan::new(identities, 42, seed);
    plan.native = native;
    plan.attacks = Attack::list("A3,A5,A7").unwrap();
    let bank = Bank::new(&plan).unwrap();
    bank.events()
        .map(|line| (line.identity, line.json))
        .collect()
}

/// Raw records in order of time, without keys, as shippers write them; and the identities spliced in.
pub(crate) fn spliced(identities: usize, seed: u64) -> (Vec<(String, String)>, BTreeSet<String>) {
    let sources = Sources::load(None).unwrap();
    let reader = sources.reader("auto").unwrap();
    let mut timed: Vec<(Timestamp, String)> = Vec::new();
    for (_, json) in events(identities, seed, false) {
        reader.events(json.as_bytes(), &mut |event| {
            timed.push((event.unwrap().ts, json.clone()));
        });
    }
    let mut strange: BTreeMap<String, Vec<(Timestamp, Value)>> = BTreeMap::new();
    for record in cloudtrail() {
        reader.events(record.to_string().as_bytes(), &mut |event| {
            let event = event.unwrap();
            let events = strange.entry(event.identity).or_default();
            events.push((event.ts, record.clone()));
        });
    }
    for records in strange.values_mut() {
        records.sort_by_key(|(ts, _)| *ts);
        let first = records[0].0;
        // The same time of day, on the last day but one of the bank.
        let day = ATTACK.day() - first.day();
        for (ts, record) in records.iter_mut() {
            *ts = ts.plus(DAY.times(day));
            record["eventTime"] = ts.rfc3339().into();
            timed.push((*ts, record.to_string()));
        }
        timed.extend(past(&records[0].1, records[0].0));
    }
    timed.sort_by_key(|(ts, _)| *ts);
    let records = timed
        .into_iter()
        .map(|(_, json)| (String::new(), json))
        .collect();
    (records, strange.into_keys().collect())
}

/// CloudTrail records of real attacks, or samples of our own where there are none.
fn cloudtrail() -> Vec<Value> {
    let lines = |path: &Path| {
        let records = Records::open(&[path.to_owned()]).unwrap();
        let bytes = records.map(|record| record.unwrap().bytes.unwrap());
        bytes
            .map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap())
            .collect::<Vec<_>>()
    };
    if let Some(folder) = std::env::var_os("NHIWATCH_REAL_DATA") {
        let path = Path::new(&folder).join("stratus_detonations/events.jsonl.gz");
        let events = lines(&path).into_iter();
        return events.map(|mut line| line["event"].take()).collect();
    }
    super::service::note("NHIWATCH_REAL_DATA is not set: samples stand in for real cloud events");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/cloudtrail/records.json");
    let mut document: Value =
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let records = document["Records"].as_array_mut().unwrap();
    std::mem::take(records)
}

/// Six weeks of what the identity of `like` ordinarily does: three calls an hour, always the same.
fn past(like: &Value, until: Timestamp) -> Vec<(Timestamp, String)> {
    let mut past = Vec::new();
    let start = until.minus(DAY.times(40));
    let who = like["eventID"].as_str().unwrap_or_default();
    for hour in 0..40 * 24 - 1 {
        for (step, (service, call)) in (0..).zip(ORDINARY) {
            // A few minutes to and fro, and no two identities alike.
            let jitter = (hour * 37 + who.len() as i64 * 11) % 240;
            let ts = start.plus(Span::from_seconds(hour * 3600 + step * 20 + jitter));
            let mut record = like.clone();
            record["eventTime"] = ts.rfc3339().into();
            record["eventSource"] = service.into();
            record["eventName"] = call.into();
            record["eventID"] = format!("{who}-{hour}-{step}").into();
            for key in [
                "errorCode",
                "errorMessage",
                "requestParameters",
                "resources",
            ] {
                record.as_object_mut().unwrap().remove(key);
            }
            past.push((ts, record.to_string()));
        }
    }
    past
}

const ORDINARY: [(&str, &str); 3] = [
    ("sts.amazonaws.com", "GetCallerIdentity"),
    ("s3.amazonaws.com", "ListBuckets"),
    ("s3.amazonaws.com", "GetObject"),
];
const DAY: Span = Span::HOUR.times(24);
/// Thursday 2026-11-12.
const ATTACK: Timestamp = Timestamp::from_seconds(1_794_441_600);
