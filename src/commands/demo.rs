//! `nhiwatch demo`: the service on an embedded broker, with a simulated bank under attack.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use nhiwatch_detectors::kernel::detector::Severity;
use nhiwatch_detectors::kernel::input::Fate;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use statrs::distribution::{DiscreteCDF as _, Poisson};

use super::say;
use crate::config::{AlertFormat, Config, Profile, Source};
use crate::failure::Failure;
use crate::kafka::{intake, settings, watch};
use crate::metrics::Intake;
use crate::service::Service;
use crate::simulate::{Attack, Bank, Plan};
use crate::{alert, http};

/// Watch a simulated bank under attack, with nothing else needed
///
/// An embedded broker in this process speaks Kafka's protocol. The bank's logs, half of them
/// CloudTrail records, go to a raw topic there, and the service reads and watches them as it would on
/// a real one. It keeps data in memory only and its transactions are
/// stubs: this shows detection, and proves nothing about exactly-once.
/// The bank has 10 to 2000 identities, and 30 to 365 days.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Identities of the bank
    #[arg(long, env = "NHIWATCH_IDENTITIES", default_value_t = 30, value_name = "N",
          value_parser = clap::value_parser!(u32).range(10..=2000))]
    identities: u32,
    /// Days to simulate
    #[arg(long, env = "NHIWATCH_DAYS", default_value_t = 42, value_name = "D",
          value_parser = clap::value_parser!(u32).range(30..=365))]
    days: u32,
    /// The same seed gives the same bank
    #[arg(long, env = "NHIWATCH_SEED", default_value_t = 1, value_name = "S")]
    seed: u64,
    /// End when all is watched, instead of keeping metrics and broker open
    #[arg(long, env = "NHIWATCH_EXIT")]
    exit: bool,
}

/// Runs the demonstration.
///
/// # Errors
/// Where the embedded broker fails or loses records, or an attack goes unseen.
pub fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let broken = |what: &'static str| {
        move |error: rdkafka::error::KafkaError| Failure::Environment(format!("{what}: {error}"))
    };
    let mut plan = Plan::new(args.identities as usize, args.days, args.seed);
    plan.attacks = Attack::list("A3,A5,A7").map_err(|error| Failure::Usage(error.to_string()))?;
    let bank = Bank::new(&plan).map_err(|error| Failure::Usage(error.to_string()))?;

    let cluster = MockCluster::new(1).map_err(broken("cannot start the embedded broker"))?;
    let config = config(cluster.bootstrap_servers());
    let topics = &config.topics;
    for (topic, partitions) in [
        (&topics.events, PARTITIONS),
        (&topics.alerts, PARTITIONS),
        (&topics.deadletter, 1),
        (&topics.inventory, 1),
        (&topics.feedback, 1),
        // One partition keeps the bank's logs in order, however fast they are written.
        (&config.sources[0].topic, 1),
    ] {
        cluster
            .create_topic(topic, partitions, 1)
            .map_err(broken("cannot create a topic"))?;
    }
    let service = super::run::service(config)?;
    let address = cluster.bootstrap_servers();
    let judged = (f64::from(args.days) - JUDGED_FROM).max(0.0);
    let years = f64::from(args.identities) * judged / 365.25;
    let allowed = |per_year: f64| at_most(years * per_year);
    let budget = &Config::default().budget;
    say(&format!(
        "A bank of {} identities, {} days, seed {}, on an embedded broker at {address}.\n\
         It keeps data in memory only, and is no proof of exactly-once.\n\
         The budget of {} incidents a year that are low and {} that are medium allows {} and {} of \
         them to be false here.\n\n",
        args.identities,
        args.days,
        args.seed,
        budget.low.get(),
        budget.medium.get(),
        allowed(budget.low.get()),
        allowed(budget.medium.get()),
    ))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::Environment(format!("cannot start: {error}")))?;
    match runtime.block_on(http::bind(service.config.http.listen)) {
        Ok(listener) => {
            say(&format!(
                "Metrics: http://{}/metrics\n\n",
                service.config.http.listen
            ))?;
            let (metrics, health) = (service.metrics.clone(), service.health.clone());
            runtime.spawn(http::serve_on(
                listener,
                metrics,
                health,
                std::future::pending(),
            ));
        }
        Err(taken) => say(&format!("No metrics: {taken}\n\n"))?,
    }

    std::thread::scope(|scope| {
        service.health.set_ready("start");
        let watch = scope.spawn(|| watch::run(&service, 0));
        let intake = scope.spawn(|| intake::run(&service));
        let shown = show(&service, &bank);
        if shown.is_ok() && !args.exit {
            say("\nThe broker and the metrics stay open; end with Ctrl-C.\n")?;
            let _ = runtime.block_on(tokio::signal::ctrl_c());
        }
        service.stop.store(true, Ordering::Release);
        let failed = |_| Err(Failure::Environment("a thread failed".to_owned()));
        let ended = [intake.join(), watch.join()].map(|ended| ended.unwrap_or_else(failed));
        let code = shown?;
        ended.into_iter().collect::<Result<(), _>>()?;
        Ok(code)
    })
}

/// Feeds the bank's events and shows the alerts as they come.
fn show(service: &Service, bank: &Bank) -> Result<ExitCode, Failure> {
    let failed = |error: rdkafka::error::KafkaError| {
        Failure::Environment(format!("the embedded broker: {error}"))
    };
    let client = settings::client(&service.config.kafka)?;
    let mut settings = client.clone();
    settings
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5");
    let producer: BaseProducer = settings.create().map_err(failed)?;
    let alerts: BaseConsumer = settings::reader(&client, "read_uncommitted")
        .create()
        .map_err(failed)?;
    let mut from = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        from.add_partition_offset(&service.config.topics.alerts, partition, Offset::Beginning)
            .map_err(failed)?;
    }
    alerts.assign(&from).map_err(failed)?;

    let bar = progress();
    let mut seen = Seen::default();
    let (mut sent, started) = (0_u64, Instant::now());
    let wait = |sent: u64, seen: &mut Seen| {
        let (mut done, mut since) = (watched(service), Instant::now());
        while done < sent {
            seen.take(&alerts, &bar)?;
            producer.poll(Duration::from_millis(2));
            let now_done = watched(service);
            if now_done > done {
                (done, since) = (now_done, Instant::now());
            } else if since.elapsed() > STALL || service.stopping() {
                let obstacle = service.health.obstacle().unwrap_or_default();
                return Err(Failure::Environment(format!(
                    "{} of {sent} records did not come back: {obstacle}",
                    sent - done
                )));
            }
        }
        Ok(())
    };
    // The bank keeps an inventory: without time zones a clock change looks like strange hours.
    for entry in bank.inventory() {
        let (identity, zone) = (entry.identity, entry.timezone);
        let entry = serde_json::json!({"identity": identity, "timezone": zone}).to_string();
        let record = BaseRecord::to(&service.config.topics.inventory)
            .key(identity)
            .payload(&entry);
        producer.send(record).map_err(|(error, _)| failed(error))?;
        sent += 1;
    }
    wait(sent, &mut seen)?;
    for line in bank.events() {
        // Log shippers write without a key.
        let mut record: BaseRecord<'_, (), _> =
            BaseRecord::to(&service.config.sources[0].topic).payload(&line.json);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(5));
        }
        sent += 1;
        if sent.is_multiple_of(500) {
            producer.poll(Duration::ZERO);
            bar.set_position(sent);
            // The broker silently drops what exceeds 5 MiB a partition: wait for the watch.
            wait(sent.saturating_sub(AHEAD), &mut seen)?;
        }
    }
    producer.flush(Duration::from_secs(10)).map_err(failed)?;
    wait(sent, &mut seen)?;
    std::thread::sleep(Duration::from_millis(500));
    seen.take(&alerts, &bar)?;
    bar.finish_and_clear();
    summary(service, bank, &seen, started.elapsed())
}

/// Says what was attacked, what was seen, and what to try next.
fn summary(
    service: &Service,
    bank: &Bank,
    seen: &Seen,
    time: Duration,
) -> Result<ExitCode, Failure> {
    let raw = |outcome| service.metrics.intake_count(outcome);
    say(&format!(
        "\n{} log records and {} inventory entries watched in {:.0} s; {} could not be read.\n\n",
        raw(Intake::Mapped),
        raw(Intake::Control),
        time.as_secs_f64(),
        raw(Intake::Deadletter),
    ))?;
    let (mut unseen, mut attacked) = (0, BTreeSet::new());
    for label in bank.labels() {
        for detector in label.detectors {
            let found = seen
                .opened
                .contains(&(label.identity.clone(), (*detector).to_owned()));
            unseen += u32::from(!found);
            let verdict = if found { "seen by" } else { "NOT seen by" };
            say(&format!(
                "{} on {}: {verdict} {detector}\n",
                label.scenario, label.identity
            ))?;
        }
        attacked.insert(label.identity);
    }
    let false_alarms = |severe: bool| {
        let severe = |severity: Severity| (severity >= Severity::Medium) == severe;
        let incidents = seen.incidents.values();
        incidents
            .filter(|(who, severity)| severe(*severity) && !attacked.contains(who))
            .count()
    };
    say(&format!(
        "{} incidents; on identities that were not attacked: {} low or less, {} medium or more.\n\n\
         Next: nhiwatch detectors off-hours; nhiwatch backtest --source auto YOUR-LOGS\n",
        seen.incidents.len(),
        false_alarms(false),
        false_alarms(true),
    ))?;
    Ok(ExitCode::from(u8::from(unseen > 0)))
}

/// The alerts shown so far.
#[derive(Default)]
struct Seen {
    /// Identity and detector of every incident.
    opened: BTreeSet<(String, String)>,
    /// Identity of every incident, and how severe it became.
    incidents: BTreeMap<String, (String, Severity)>,
}

impl Seen {
    /// Shows the alerts that have come: new ones, and those that have become more severe.
    fn take(&mut self, alerts: &BaseConsumer, bar: &ProgressBar) -> Result<(), Failure> {
        while let Some(message) = alerts.poll(Duration::ZERO) {
            let Ok(message) = message else { continue };
            let Ok(alert) = serde_json::from_slice::<Value>(message.payload().unwrap_or_default())
            else {
                continue;
            };
            let text = |key: &str| alert::escape(alert[key].as_str().unwrap_or_default());
            let severity = Severity::from_word(&text("severity")).unwrap_or(Severity::Info);
            let incident = (text("identity"), severity);
            let before = self.incidents.insert(text("id"), incident);
            if before.is_some_and(|(_, before)| severity <= before) {
                continue;
            }
            self.opened.insert((text("identity"), text("detector")));
            let p = &alert["p_value"];
            let sure = if p.is_null() {
                "a rule".to_owned()
            } else {
                format!("p = {p}")
            };
            let shown = format!(
                "{} {} on {} at {}\n  {}\n  expected  {}\n  observed  {}\n  how sure  {sure}\n",
                text("severity").to_uppercase(),
                text("detector"),
                text("identity"),
                text("ts"),
                text("summary"),
                text("expected"),
                text("observed"),
            );
            bar.suspend(|| say(&format!("{shown}\n")))?;
        }
        Ok(())
    }
}

/// Records of the bank that were dealt with, whatever became of them. Each of its log records is one
/// event; a heartbeat is none of them.
fn watched(service: &Service) -> u64 {
    let metrics = &service.metrics;
    let fates = Fate::ALL.iter().map(|fate| metrics.record_count(*fate));
    let events = fates.sum::<u64>().saturating_sub(metrics.heartbeat_count());
    let lost = [Intake::Skipped, Intake::Deadletter].map(|outcome| metrics.intake_count(outcome));
    events + lost.iter().sum::<u64>()
}

fn config(brokers: String) -> Config {
    let mut config = Config {
        profile: Profile::Demo,
        ..Config::default()
    };
    config.kafka.brokers = brokers;
    config.kafka.instance = "demo".to_owned();
    config.kafka.commit_interval = Duration::from_millis(50);
    config.alerts.format = AlertFormat::Native;
    config.sources = vec![Source {
        topic: "bank.raw".to_owned(),
        mapping: "auto".to_owned(),
    }];
    config
}

fn progress() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let _ = std::io::stderr().flush();
    let style = ProgressStyle::with_template("{spinner} {pos} events, {per_sec}");
    ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// How many there are at most, in 95 of 100 runs, where `expected` are expected.
fn at_most(expected: f64) -> u64 {
    Poisson::new(expected).map_or(0, |law| law.inverse_cdf(0.95))
}

/// Days before the first detector judges.
const JUDGED_FROM: f64 = 14.0;
/// Partitions of the embedded broker's topics.
const PARTITIONS: i32 = 4;
/// Records the producer may be ahead of the watch: at 1.3 kB each, less than 5 MiB.
const AHEAD: u64 = 3_000;
/// How long the demo waits while nothing at all comes back.
const STALL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_allowed_as_the_poisson_law_says() {
        // Of a mean of 3, six or less have a probability of 0.966, five or less of 0.916.
        assert_eq!(at_most(3.0), 6);
        assert_eq!(at_most(0.0), 0);
    }
}
