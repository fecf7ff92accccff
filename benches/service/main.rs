//! What one shard, and the intake, make of a real Kafka, beside a consumer that only polls and parses.
//!
//! `cargo bench --bench service [-- [EVENTS [IDENTITIES…]] [shard | intake | population | delay | kill | warm | flood]]`, on the broker in
//! `NHIWATCH_TEST_BROKERS` or one that `scripts/kafka` starts and this ends again. It joins the
//! service's own consumer groups, so never give it a broker that a service works on. Every round has topics of its own with one partition,
//! filled beforehand with a simulated bank; null consumer and service read the same topic, and which
//! of the two goes first alternates. Started otherwise than by `cargo bench`, or with `--test`, it
//! only shows that it works.

mod broker;
mod delay;
mod flood;
mod killed;
mod life;
mod measure;
mod population;
mod topics;
mod warm;

use std::hint::black_box;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use chrono::{DateTime, Utc};
use nhiwatch::commands::run::service;
use nhiwatch::config::Config;
use nhiwatch::kafka::settings;
use nhiwatch::service::Service;
use nhiwatch::simulate::{Bank, Plan};
use nhiwatch::wire::with_input;
use nhiwatch_detectors::kernel::engine::Engine;
use rdkafka::consumer::{BaseConsumer, Consumer};

use broker::Broker;
use measure::{Work, null, processor, serve};
use topics::Topics;

const IDENTITIES: usize = 500;
/// How many identities there are.
const POPULATIONS: [usize; 3] = [10_000, 100_000, 1_000_000];
/// How many identities there are before a flood.
const ESTABLISHED: [usize; 1] = [100_000];
/// How many identities a flood invents.
const FLOOD: usize = 10_000_000;
/// Figures of a round.
const COLUMNS: usize = 7;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let quick = has("--test") || !has("--bench");
    let mut asked = arguments
        .iter()
        .filter_map(|argument| argument.parse().ok());
    let events = asked
        .next()
        .unwrap_or(if quick { 20_000 } else { 1_000_000 });
    let Some(broker) = Broker::find()? else {
        say("no Kafka: set NHIWATCH_TEST_BROKERS, or see what `scripts/kafka start` says");
        return Ok(());
    };
    let bench = Bench::new(&broker, quick)?;
    let all = ![
        "shard",
        "intake",
        "population",
        "delay",
        "kill",
        "warm",
        "flood",
    ]
    .into_iter()
    .any(has);
    if all || has("shard") {
        let native = bank(events, true)?;
        bench.in_memory(&native)?;
        bench.case("shard, default settings", 5, &native, Work::Watch, "")?;
        let intervals = ["50ms", "200ms", "1s"];
        for interval in if quick { &[] } else { &intervals[..] } {
            // No limit but the interval.
            let settings = format!("commit_interval: {interval}, commit_records: 1000000");
            bench.case(&settings, 3, &native, Work::Watch, &settings)?;
        }
    }
    let asked: Vec<usize> = asked.collect();
    let usual: &[usize] = if quick { &[1_000] } else { &POPULATIONS };
    let sizes = if asked.is_empty() { usual } else { &asked };
    if all || has("population") {
        population::measure(&bench, events, sizes)?;
    }
    if all || has("delay") {
        delay::measure(&bench, &sizes[..1])?;
    }
    if all || has("warm") {
        warm::measure(&bench, sizes)?;
    }
    if quick || has("flood") {
        let invented = if quick { 5_000 } else { FLOOD };
        let usual = if quick { [500] } else { ESTABLISHED };
        let sizes = if asked.is_empty() { &usual[..] } else { &asked };
        for established in sizes {
            flood::measure(&bench, *established, invented)?;
        }
    }
    if all || has("kill") {
        killed::measure(&bench, events)?;
    }
    if all || has("intake") {
        let raw = bank(events / 2, false)?;
        bench.case("intake, default settings", 3, &raw, Work::Intake, "")?;
    }
    Ok(())
}

/// The first so many events of a bank, with their identities: in our schema, or as their sources
/// write them.
fn bank(events: usize, native: bool) -> Result<Vec<(String, String)>> {
    let mut plan = Plan::new(IDENTITIES, 60, 1);
    plan.native = native;
    // A Monday that is past wherever the clock of this machine stands.
    plan.start = DateTime::<Utc>::from_timestamp(1_762_128_000, 0).context("a date")?;
    let bank = Bank::new(&plan)?;
    let events = bank.events().take(events);
    Ok(events.map(|line| (line.identity, line.json)).collect())
}

struct Bench {
    brokers: String,
    /// What makes this run's topics and members its own.
    name: String,
    quick: bool,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new(broker: &Broker, quick: bool) -> Result<Self> {
        Ok(Self {
            brokers: broker.address.clone(),
            name: format!("bench-{}", Utc::now().timestamp_millis()),
            quick,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// What the parts cost without any Kafka.
    fn in_memory(&self, records: &[(String, String)]) -> Result<()> {
        let service = self.service("memory", Work::Watch, "")?;
        let every = service.config.kafka.commit_records;
        let cost = |engine: Option<&mut Engine>, flush: bool| {
            let (mut engine, mut alerts, mut bytes) = (engine, Vec::new(), 0);
            let started = processor();
            for batch in records.chunks(every) {
                for (key, json) in batch {
                    let (key, json) = (Some(key.as_bytes()), Some(json.as_bytes()));
                    with_input(None, key, json, None, |input, _| {
                        if let (Some(engine), Ok(input)) = (&mut engine, black_box(&input)) {
                            engine.handle(input, &mut alerts);
                        }
                    });
                }
                if let (Some(engine), true) = (&mut engine, flush) {
                    engine.flush(|_: &[u8], payload: Option<&[u8]>| {
                        bytes += payload.map_or(0, <[u8]>::len);
                    });
                }
            }
            let count = records.len() as f64;
            ((processor() - started) * 1e9 / count, bytes as f64 / count)
        };
        let fresh = || Engine::new(0, Arc::clone(&service.decision));
        let (parse, _) = cost(None, false);
        let (judge, _) = cost(Some(&mut fresh()), false);
        let (flush, bytes) = cost(Some(&mut fresh()), true);
        say(&format!(
            "{} events of {IDENTITIES} identities in memory, ns of processor per event: parse {parse:.0}; parse \
             and judge {judge:.0}; the same with the state encoded every {every} events {flush:.0}, \
             {bytes:.0} bytes of state per event",
            records.len()
        ));
        Ok(())
    }

    /// Measures `rounds` rounds and prints them.
    fn case(
        &self,
        title: &str,
        rounds: usize,
        records: &[(String, String)],
        work: Work,
        settings: &str,
    ) -> Result<()> {
        say(&format!(
            "\n{title}; {} records\n\n| round | null, records/s | service, records/s | ratio | null, \
             µs of processor per record | service, the same | share of time in commits | state \
             records per event |\n|---|---|---|---|---|---|---|---|",
            records.len()
        ));
        let mut all = [const { Vec::new() }; COLUMNS];
        for round in 0..if self.quick { 1 } else { rounds } {
            let figures = self.round(round, records, work, settings)?;
            say(&row(&(round + 1).to_string(), &figures));
            for (all, figure) in all.iter_mut().zip(figures) {
                all.push(figure);
            }
        }
        for all in &mut all {
            all.sort_by(f64::total_cmp);
        }
        let at = |pick: fn(usize) -> usize| all.each_ref().map(|all| all[pick(all.len())]);
        say(&row("median", &at(|count| count / 2)));
        say(&row("least", &at(|_| 0)));
        say(&row("most", &at(|count| count - 1)));
        Ok(())
    }

    /// One round on fresh topics: the figures of a row.
    fn round(
        &self,
        round: usize,
        records: &[(String, String)],
        work: Work,
        settings: &str,
    ) -> Result<[f64; COLUMNS]> {
        let topics = self.topics(records, work, settings)?;
        let Topics {
            service, client, ..
        } = &topics;
        let input = topics.input();
        let count = records.len();
        let null = || {
            // The service finds a broker at rest, having waited to join its group; so shall this.
            std::thread::sleep(service.config.kafka.session_timeout);
            null(client, input, count, service, work)
        };
        let (null, measured) = if round.is_multiple_of(2) {
            (null()?, serve(service, work, 0, count)?)
        } else {
            let measured = serve(service, work, 0, count)?;
            (null()?, measured)
        };
        let reader: BaseConsumer = settings::reader(client, "read_uncommitted").create()?;
        let (_, states) =
            reader.fetch_watermarks(&service.config.topics.state, 0, Duration::from_secs(10))?;
        topics.delete()?;
        Ok([
            null.rate,
            measured.rate,
            measured.rate / null.rate,
            null.processor,
            measured.processor,
            measured.commits,
            states as f64 / count as f64,
        ])
    }

    /// A configuration with topics called after `name`.
    fn config(&self, name: &str, work: Work, settings: &str) -> String {
        let quick = if self.quick {
            "commit_records: 4000"
        } else {
            ""
        };
        let roles = match work {
            Work::Watch => "roles: [watch]".to_owned(),
            Work::Intake => {
                format!("roles: [intake]\nsources: [{{topic: {name}.raw, mapping: auto}}]")
            }
        };
        let own: Vec<&str> = [settings, quick]
            .into_iter()
            .filter(|text| !text.is_empty())
            .collect();
        let own: String = own.iter().map(|text| format!(", {text}")).collect();
        format!(
            "{roles}\nkafka: {{brokers: \"{}\", instance: {name}, session_timeout: 6s{own}}}\n\
             topics: {{partitions: 1, events: {name}.events, alerts: {name}.alerts, \
             state: {name}.state, deadletter: {name}.deadletter, inventory: {name}.inventory, \
             feedback: {name}.feedback}}\n",
            self.brokers
        )
    }

    /// The service as `nhiwatch run` makes it of that.
    fn service(&self, name: &str, work: Work, settings: &str) -> Result<Service> {
        let text = self.config(name, work, settings);
        let config = Config::parse(&text, None).map_err(|problems| anyhow!("{problems:?}"))?;
        Ok(service(config)?)
    }
}

fn row(name: &str, figures: &[f64; COLUMNS]) -> String {
    let [null, rate, ratio, null_cost, cost, commits, states] = figures;
    let rest = match commits.is_nan() {
        true => "- | -".to_owned(),
        false => format!("{:.0} % | {states:.3}", commits * 100.0),
    };
    format!("| {name} | {null:.0} | {rate:.0} | {ratio:.2} | {null_cost:.1} | {cost:.1} | {rest} |")
}

/// One line of the report.
fn say(text: &str) {
    // Where nobody listens any more there is nobody to tell.
    writeln!(io::stdout().lock(), "{text}").ok();
}
