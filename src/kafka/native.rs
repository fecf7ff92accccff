//! The one call into librdkafka that the Rust binding does not offer.

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};

/// Waits until everything produced is delivered.
///
/// The binding's own flush polls in slices of 100 ms, which every commit would pay. librdkafka's
/// returns at once; delivery reports are served by the producer's own thread meanwhile.
///
/// # Errors
/// `OperationTimedOut` where something is still on its way after `timeout`.
pub fn flush(
    producer: &ThreadedProducer<DefaultProducerContext>,
    timeout: Duration,
) -> Result<(), KafkaError> {
    let deadline = Instant::now() + timeout;
    while producer.in_flight_count() > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut));
        }
        let slice = left.min(Duration::from_millis(50)).as_millis() as i32;
        #[expect(
            unsafe_code,
            reason = "the binding wraps this call in a poll of 100 ms"
        )]
        // SAFETY: the handle belongs to `producer`, which outlives the call, and librdkafka allows
        // a flush from any thread.
        unsafe {
            rdkafka::bindings::rd_kafka_flush(producer.client().native_ptr(), slice);
        }
    }
    Ok(())
}
