//! Starting a thread's work again, from what is committed, whenever it had to be given up.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use super::assignment::Assignments;
use super::rights;
use crate::config::Profile;
use crate::failure::Failure;
use crate::metrics::Role;
use crate::service::Service;
use crate::shard::Teardown;

/// Runs sessions of `part`, which has this role, until the service stops. Whatever goes wrong, the next one starts from
/// what is committed; on the embedded broker, which cannot restore, it ends. It ends too where another process has taken its
/// place twice: coming back once more would take it from that one, and so on.
///
/// # Errors
/// Where a session failed on the embedded broker, or another process has its name.
pub fn supervise(
    service: &Service,
    (role, part): (Role, &str),
    mut session: impl FnMut() -> Result<(), Teardown>,
) -> Result<(), Failure> {
    let _end = End(service);
    let (mut pause, mut fenced) = (SHORTEST, None::<Instant>);
    while !service.stopping() {
        let started = Instant::now();
        match session() {
            Ok(()) => break,
            Err(error) => {
                service.metrics.teardown(error.word());
                let right = rights::missing(&error, role, &service.config);
                let obstacle = match &right {
                    Some(right) => format!("{error}; {right}"),
                    None => error.to_string(),
                };
                service.health.set_unready(part, obstacle);
                if service.config.profile == Profile::Demo {
                    return Err(Failure::Environment(format!("{part}: {error}")));
                }
                // Once it also happens where a coordinator dies that has not yet written down who we are.
                if error.is_fenced()
                    && fenced
                        .replace(Instant::now())
                        .is_some_and(|before| before.elapsed() < NAMESAKE)
                {
                    let instance = &service.config.kafka.instance;
                    return Err(Failure::Environment(format!(
                        "{part}: another process has taken the place of instance {instance}, twice; give each process a \
                         `kafka.instance` of its own"
                    )));
                }
                let next = match service.stopping() {
                    true => "torn down, and not started again: the service ends",
                    false => "torn down, starting again",
                };
                tracing::warn!(part, %error, right, "{next}");
            }
        }
        if started.elapsed() > LONGEST {
            pause = SHORTEST;
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !service.stopping() {
            std::thread::sleep(Duration::from_millis(20));
        }
        pause = (pause * 2).min(LONGEST);
    }
    Ok(())
}

/// A thread that ends for good, by a panic too, ends the process: half a service is worse than a
/// restarted one.
struct End<'s>(&'s Service);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
    }
}

/// Whether Kafka was in trouble when last heard of, and the part of the service that waits for it.
pub(super) struct Trouble<'s> {
    service: &'s Service,
    part: &'s str,
    asked: Option<Instant>,
}

impl<'s> Trouble<'s> {
    /// None so far.
    pub(super) const fn none(service: &'s Service, part: &'s str) -> Self {
        Self {
            service,
            part,
            asked: None,
        }
    }

    /// Notes an error that passes by itself.
    pub(super) fn note(&mut self, error: &KafkaError) {
        self.asked = Some(Instant::now());
        let obstacle = format!("Kafka: {error}");
        self.service.health.set_unready(self.part, obstacle);
        tracing::warn!(part = self.part, %error, "waiting for Kafka");
    }

    /// After an error, asks every few seconds whether `topic` can be reached again: an idle consumer
    /// does not notice by itself. Tells whether it is over.
    pub(super) fn look(&mut self, consumer: &BaseConsumer<Assignments>, topic: &str) -> bool {
        if self.asked.is_none_or(|asked| asked.elapsed() < ASK_EVERY) {
            return false;
        }
        self.asked = Some(Instant::now());
        let answer = consumer.fetch_metadata(Some(topic), Duration::from_secs(1));
        let there = |topic: &rdkafka::metadata::MetadataTopic| {
            topic.error().is_none() && !topic.partitions().is_empty()
        };
        let over = answer.is_ok_and(|answer| answer.topics().iter().any(there));
        if over {
            self.asked = None;
            tracing::info!(part = self.part, "Kafka answers again");
        }
        over
    }
}

/// Errors that librdkafka deals with by itself: a broker that is away, a topic not there yet.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::OperationTimedOut
            | Code::Resolve
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::NotCoordinator
            | Code::RebalanceInProgress
    )
}

/// Who is thrown out by a namesake twice within so long ends.
const NAMESAKE: Duration = Duration::from_secs(120);
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest pause; a session that was longer than that is followed by the shortest again.
const LONGEST: Duration = Duration::from_secs(15);
const ASK_EVERY: Duration = Duration::from_secs(3);
