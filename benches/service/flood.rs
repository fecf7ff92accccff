//! Who invents millions of identities: what becomes of those that were there before, and how much memory that takes.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, Utc};
use nhiwatch::kafka::settings;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::life::{Life, wait_for};
use super::measure::{Work, fill};
use super::topics::Topics;
use super::{Bench, say};

/// Measures so many `established` identities, some of which are attacked: alone, and among `invented` ones.
pub(crate) fn measure(bench: &Bench, established: usize, invented: usize) -> Result<()> {
    say(&format!(
        "\n{established} identities known for {DAYS} days, then two hours in which {ATTACKED} of them are attacked\n\n\
         | invented identities | attacked ones of which an alert tells | told of the flood | most memory, MiB | \
         established ones forgotten |\n|---|---|---|---|---|"
    ));
    for invented in [0, invented] {
        let settings = format!("checkpoint_identities: {}", established / 10);
        let topics = bench.topics(&[], Work::Watch, &settings)?;
        let folder = tempfile::tempdir()?;
        let limits = format!(
            "limits: {{identities: {}, newcomers: {}}}\nalerts: {{format: native}}\n",
            established + established / 5,
            established / 10
        );
        let path = bench.file(folder.path(), &topics.name, &settings)?;
        let config = std::fs::read_to_string(&path)?;
        std::fs::write(&path, config + &limits)?;
        let life = Life::start(&path)?;
        let mut count = 0;
        let mut write = |events: &mut Vec<Act>| -> Result<()> {
            events.sort_unstable_by(|a, b| (a.at, &a.who).cmp(&(b.at, &b.who)));
            let records: Vec<_> = events.drain(..).map(Act::record).collect();
            count += records.len();
            fill(&topics.client, topics.input(), &records)
        };
        for day in 0..DAYS {
            write(&mut ordinary(established, day, 0..24))?;
        }
        for minute in 0..120 {
            write(&mut last(established, invented, minute))?;
        }
        wait_for(&topics, count)?;
        let peak = life.peak()?;
        let known = known(&topics, established)?;
        drop(life);
        let (attacked, flood) = told(&topics)?;
        say(&format!(
            "| {invented} | {attacked} | {flood} | {peak:.0} | {} |",
            established - known
        ));
        topics.delete()?;
    }
    Ok(())
}

/// What one identity does, in seconds since the beginning.
struct Act {
    at: usize,
    who: String,
    action: &'static str,
    class: &'static str,
}

impl Act {
    /// Its key and its value.
    fn record(self) -> (String, String) {
        let Self {
            at,
            who,
            action,
            class,
        } = self;
        let ts = DateTime::<Utc>::from_timestamp(START + at as i64, 0).unwrap_or_default();
        let ts = ts.to_rfc3339_opts(SecondsFormat::Secs, true);
        let json = format!(
            r#"{{"ts":"{ts}","identity":"{who}","action":"{action}","class":"{class}","kind":"service_account"}}"#
        );
        (who, json)
    }
}

/// What those who are established do in some of the hours of a day: each its two calls, at a time of its own.
fn ordinary(established: usize, day: usize, hours: std::ops::Range<usize>) -> Vec<Act> {
    let mut acts = Vec::new();
    for n in 0..established {
        let at = n * 7919 % 86_400;
        if hours.contains(&(at / 3600)) {
            for (nth, action) in ["s3:GetObject", "s3:PutObject"].into_iter().enumerate() {
                acts.push(Act {
                    at: day * 86_400 + at + 20 * nth,
                    who: name(n),
                    action,
                    class: "read",
                });
            }
        }
    }
    acts
}

/// What happens in one minute of the last two hours, flood and attacks included.
fn last(established: usize, invented: usize, minute: usize) -> Vec<Act> {
    let begin = DAYS * 86_400 + minute * 60;
    let mut acts = ordinary(established, DAYS, 0..2);
    acts.retain(|act| (begin..begin + 60).contains(&act.at));
    for n in minute * invented / 120..(minute + 1) * invented / 120 {
        acts.push(Act {
            at: begin + n % 60,
            who: format!("mint/{n}"),
            action: "sts:AssumeRole",
            class: "auth",
        });
    }
    for nth in (0..ATTACKED).filter(|nth| nth % 60 == minute % 60 && minute >= 60) {
        acts.push(Act {
            at: begin + 30,
            who: name(nth * established / ATTACKED),
            action: "iam:CreateUser",
            class: "admin",
        });
    }
    acts
}

fn name(n: usize) -> String {
    format!("arn:aws:iam::111122223333:role/svc-{n}")
}

/// How many of those that were attacked an alert tells of, and how often it is told that there is a flood.
fn told(topics: &Topics<'_>) -> Result<(usize, usize)> {
    let consumer: BaseConsumer = settings::reader(&topics.client, "read_committed").create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(&topics.service.config.topics.alerts, 0, Offset::Beginning)?;
    consumer.assign(&start)?;
    let (mut who, mut flood) = (BTreeSet::new(), 0);
    while let Some(message) = consumer.poll(Duration::from_secs(3)) {
        let message = message?;
        let alert: serde_json::Value =
            serde_json::from_slice(message.payload().unwrap_or_default())?;
        if alert["detector"] == "identity-flood" {
            flood += 1;
        } else if alert["action"] == "iam:CreateUser" {
            who.insert(alert["identity"].to_string());
        }
    }
    Ok((who.len(), flood))
}

/// How many of those who are established the state still knows.
fn known(topics: &Topics<'_>, established: usize) -> Result<usize> {
    let consumer: BaseConsumer = settings::reader(&topics.client, "read_committed").create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(&topics.service.config.topics.state, 0, Offset::Offset(0))?;
    consumer.assign(&start)?;
    let names: BTreeSet<String> = (0..established).map(name).collect();
    let mut known = BTreeSet::new();
    while let Some(message) = consumer.poll(Duration::from_secs(3)) {
        let message = message?;
        let key = String::from_utf8_lossy(message.key().unwrap_or_default());
        let Some(name) = key.get(1..).and_then(|name| names.get(name)) else {
            continue;
        };
        match message.payload() {
            Some(_) => known.insert(name),
            None => known.remove(name),
        };
    }
    Ok(known.len())
}

/// Monday, 2025-11-03T00:00:00Z: past wherever the clock of this machine stands.
const START: i64 = 1_762_128_000;
/// Days of ordinary work before the attack.
const DAYS: usize = 29;
/// How many are attacked.
const ATTACKED: usize = 240;
