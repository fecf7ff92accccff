//! Starting a thread's work again, from what is committed, whenever it had to be given up.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaErrorCode;

use super::{Service, Teardown};
use crate::config::Profile;
use crate::failure::Failure;

/// Runs sessions of `part` until the service stops. Whatever goes wrong, the next one starts from
/// what is committed; on the embedded broker, which cannot restore, it ends.
///
/// # Errors
/// Where a session failed on the embedded broker.
pub fn supervise(
    service: &Service,
    part: &str,
    mut session: impl FnMut() -> Result<(), Teardown>,
) -> Result<(), Failure> {
    let mut pause = SHORTEST;
    while !service.stopping() {
        let started = Instant::now();
        match session() {
            Ok(()) => break,
            Err(error) => {
                service.metrics.teardown(error.word());
                service.health.set_unready(part, error.to_string());
                if service.config.profile == Profile::Demo {
                    service.stop.store(true, Ordering::Release);
                    return Err(Failure::Environment(format!("{part}: {error}")));
                }
                tracing::warn!(part, %error, "torn down, starting again");
            }
        }
        if started.elapsed() > Duration::from_secs(60) {
            pause = SHORTEST;
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !service.stopping() {
            std::thread::sleep(Duration::from_millis(20));
        }
        pause = (pause * 2).min(Duration::from_secs(15));
    }
    Ok(())
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

const SHORTEST: Duration = Duration::from_millis(250);
