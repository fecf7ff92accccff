//! The calls into librdkafka that the Rust binding does not offer as we need them.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};

/// Waits until everything produced is delivered.
///
/// The binding's own flush polls in slices of 100 ms, which every commit would pay. librdkafka's
/// returns at once; delivery reports are served by the producer's own thread meanwhile.
///
/// # Errors
/// `OperationTimedOut` where something is still on its way after `timeout`.
pub fn flush<C: ProducerContext + 'static>(
    producer: &ThreadedProducer<C>,
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

/// The end of a partition as the consumer last heard of it; asks nobody.
#[must_use]
pub fn known_end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    #[expect(
        unsafe_code,
        reason = "the binding's own call asks the broker and waits for it"
    )]
    // SAFETY: the handle belongs to `consumer`, the text ends in zero, and both numbers outlive the
    // call, which writes them and keeps nothing.
    let error = unsafe {
        rdkafka::bindings::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    let known = error == rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0;
    known.then_some(high)
}
