//! The two that are compared: a consumer that polls and parses, and the service's own thread.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use nhiwatch::kafka::{intake, settings, watch};
use nhiwatch::metrics::Intake;
use nhiwatch::service::Service;
use nhiwatch::wire::{control, with_input};
use nhiwatch_detectors::kernel::input::Fate;
use nhiwatch_detectors::kernel::time::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;

/// What is measured.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    /// One shard on the event topic.
    Watch,
    /// The intake on a raw topic.
    Intake,
}

/// Writes `records` to `topic`, compressed as the intake writes events, but in no transaction.
pub(crate) fn fill(client: &ClientConfig, topic: &str, records: &[(String, String)]) -> Result<()> {
    send(&producer(client)?, topic, records)
}

/// Who writes like that.
pub(crate) fn producer(client: &ClientConfig) -> Result<BaseProducer> {
    let mut settings = settings::producer(client, "");
    settings.remove("transactional.id");
    settings.remove("transaction.timeout.ms");
    Ok(settings.create()?)
}

/// Writes `records` to `topic`, and waits until they are there.
pub(crate) fn send(
    producer: &BaseProducer,
    topic: &str,
    records: &[(String, String)],
) -> Result<()> {
    for (key, json) in records {
        let mut record = BaseRecord::to(topic).key(key).payload(json);
        while let Err((error, back)) = producer.send(record) {
            ensure!(error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull));
            record = back;
            producer.poll(Duration::from_millis(10));
        }
        producer.poll(Duration::ZERO);
    }
    Ok(producer.flush(Duration::from_secs(60))?)
}

/// Writes `records` to `topic`, so many a `second`, until it is done or there is no more; gives when each was about to be
/// written.
pub(crate) fn offer(
    client: &ClientConfig,
    topic: &str,
    (records, second): (&[(String, String)], usize),
    done: &AtomicBool,
) -> Result<Vec<Instant>> {
    let (producer, begun) = (producer(client)?, Instant::now());
    let mut written = Vec::with_capacity(records.len());
    for (tick, records) in (0..).zip(records.chunks(second.div_ceil(TICKS))) {
        let due = begun + Duration::from_secs(1) * tick / TICKS as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if done.load(Ordering::Acquire) {
            break;
        }
        written.extend(records.iter().map(|_| Instant::now()));
        send(&producer, topic, records)?;
    }
    Ok(written)
}

/// How many records the watch has dealt with, and committed.
pub(crate) fn judged(service: &Service) -> u64 {
    let counts = Fate::ALL.iter();
    counts.map(|&fate| service.metrics.record_count(fate)).sum()
}

/// A consumer with the service's settings that polls, parses and does no more.
pub(crate) fn null(
    client: &ClientConfig,
    topic: &str,
    count: usize,
    service: &Service,
    work: Work,
) -> Result<Measured> {
    let group = format!("{topic}-null");
    let session = service.config.kafka.session_timeout;
    let consumer: BaseConsumer =
        settings::consumer(client, &group, "null", &[topic], session).create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, Offset::Offset(0))?;
    consumer.assign(&start)?;
    let reader = service.sources.reader("auto")?;
    let parse = |message: &BorrowedMessage<'_>| match work {
        Work::Watch => parse(message),
        Work::Intake => reader.events(message.payload().unwrap_or_default(), &mut |event| {
            black_box(event).ok();
        }),
    };
    let (mut read, mut started) = (0, (Instant::now(), processor()));
    let deadline = started.0 + PATIENCE;
    while read < count {
        ensure!(
            Instant::now() < deadline,
            "the null consumer read {read} of {count}"
        );
        // As long as the service waits while a transaction is open.
        match consumer.poll(Duration::from_millis(5)) {
            None | Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                if read == 0 {
                    started = (Instant::now(), processor());
                }
                parse(&message);
                read += 1;
            }
        }
    }
    let used = processor() - started.1;
    Ok(Measured {
        rate: count as f64 / started.0.elapsed().as_secs_f64(),
        processor: used * 1e6 / count as f64,
        commits: f64::NAN,
    })
}

/// What a shard does with a record before its engine gets it.
fn parse(message: &BorrowedMessage<'_>) {
    let kind = message.headers().and_then(|headers| {
        let found = headers.iter().find(|header| header.key == control::HEADER);
        found.and_then(|header| header.value)
    });
    let kind = kind.and_then(|kind| std::str::from_utf8(kind).ok());
    let received = message.timestamp().to_millis();
    let received = received.map(|ms| Timestamp::from_micros(ms.saturating_mul(1000)));
    with_input(
        kind,
        message.key(),
        message.payload(),
        received,
        |input, _| {
            black_box(input).ok();
        },
    );
}

/// One measure.
pub(crate) struct Measured {
    /// Records per second.
    pub(crate) rate: f64,
    /// Microseconds of processor per record, over all threads of this process.
    pub(crate) processor: f64,
    /// Share of the time spent committing; not a number where nobody measures it.
    pub(crate) commits: f64,
}

/// Lets the service's own thread work until `count` records are committed.
///
/// Timed is from the assignment, when nothing has been fetched yet, to the last commit but one:
/// joining the group and restoring come before, and the last transaction waits for records that
/// never come. The first `warm` records are not timed.
pub(crate) fn serve(service: &Service, work: Work, warm: usize, count: usize) -> Result<Measured> {
    let metrics = &service.metrics;
    let done = || -> u64 {
        match work {
            Work::Watch => judged(service),
            Work::Intake => Intake::ALL
                .iter()
                .map(|&kind| metrics.intake_count(kind))
                .sum(),
        }
    };
    let part = match work {
        Work::Watch => watch::part(0),
        Work::Intake => intake::PART.to_owned(),
    };
    service.health.set_unready(&part, "starting");
    // The assignment, then each commit: when, how many records, and what was used by then.
    let mut steps: Vec<(Instant, u64, f64, f64)> = Vec::new();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| match work {
            Work::Watch => watch::run(service, 0),
            Work::Intake => intake::run(service),
        });
        let deadline = Instant::now() + PATIENCE;
        let mut last = 0;
        while last < count as u64 && !thread.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
            let now = done();
            if now > last || (steps.is_empty() && service.health.obstacle().is_none()) {
                last = now;
                steps.push((Instant::now(), now, processor(), committing(service)));
            }
        }
        service.stop.store(true, Ordering::Release);
        let outcome = thread.join().map_err(|_| anyhow!("the thread panicked"))?;
        outcome?;
        ensure!(
            last >= count as u64,
            "the service committed {last} of {count}"
        );
        Ok(())
    })?;
    steps.retain(|step| step.1 >= warm as u64);
    let [begin, .., end, _] = steps[..] else {
        bail!(
            "{} commits are too few to measure; ask for more events",
            steps.len().saturating_sub(1)
        );
    };
    let records = (end.1 - begin.1) as f64;
    let seconds = (end.0 - begin.0).as_secs_f64();
    Ok(Measured {
        rate: records / seconds,
        processor: (end.2 - begin.2) * 1e6 / records,
        commits: match work {
            Work::Watch => (end.3 - begin.3) / seconds,
            Work::Intake => f64::NAN,
        },
    })
}

/// Starts a shard that has state to restore: seconds until it has judged what is new.
pub(crate) fn restart(service: &Service) -> Result<f64> {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| watch::run(service, 0));
        while judged(service) == 0 && !thread.is_finished() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let seconds = begun.elapsed().as_secs_f64();
        service.stop.store(true, Ordering::Release);
        thread
            .join()
            .map_err(|_| anyhow!("the thread panicked"))??;
        ensure!(judged(service) > 0, "nothing was judged after the restart");
        Ok(seconds)
    })
}

/// Bytes of the committed records of partition 0 of `topic`, keys and values, and how many there are.
pub(crate) fn weigh(client: &ClientConfig, topic: &str) -> Result<(usize, usize)> {
    let consumer: BaseConsumer = settings::reader(client, "read_committed").create()?;
    let mut start = TopicPartitionList::new();
    start.add_partition_offset(topic, 0, Offset::Offset(0))?;
    consumer.assign(&start)?;
    let (mut bytes, mut records) = (0, 0);
    loop {
        match consumer.poll(Duration::from_secs(3)) {
            Some(Ok(message)) => {
                bytes += message.key_len() + message.payload_len();
                records += 1;
            }
            Some(Err(error)) => return Err(error.into()),
            // Its end, as nobody writes to it any more.
            None => return Ok((bytes, records)),
        }
    }
}

/// Seconds of processor that this process has used, in hundredths; not a number where the system
/// does not say.
pub(crate) fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name before may hold anything but ends with the last parenthesis.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: Option<u64> = ticks.map(|field| field.parse::<u64>().ok()).sum();
    ticks
        .filter(|_| !stat.is_empty())
        .map_or(f64::NAN, |ticks| ticks as f64 / 100.0)
}

/// Seconds spent in commits so far.
fn committing(service: &Service) -> f64 {
    let text = service.metrics.render().unwrap_or_default();
    let mut lines = text.lines();
    let sum =
        lines.find_map(|line| line.strip_prefix("nhiwatch_commit_seconds_sum{role=\"watch\"} "));
    sum.and_then(|sum| sum.parse().ok()).unwrap_or_default()
}

/// How often a second something is offered.
const TICKS: usize = 20;
/// How long one measure may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
