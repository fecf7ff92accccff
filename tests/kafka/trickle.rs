//! Records that come slowly while a service is being disturbed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::broker::Broker;
use super::traces::produce;

pub(crate) struct Trickle {
    hurry: Arc<AtomicBool>,
    producer: JoinHandle<()>,
}

impl Trickle {
    /// Begins to write `records` to `topic`, for about so long.
    pub(crate) fn start(
        broker: &Broker,
        topic: String,
        records: Vec<(String, String)>,
        time: Duration,
    ) -> Self {
        let hurry = Arc::new(AtomicBool::new(false));
        let (brokers, slow) = (broker.address.clone(), Arc::clone(&hurry));
        let produce = move || produce(&brokers, &topic, &records, Some((&slow, time / 2000)));
        let producer = std::thread::spawn(produce);
        Self { hurry, producer }
    }

    /// Writes the rest at once.
    pub(crate) fn finish(self) {
        self.hurry.store(true, Ordering::Release);
        self.producer.join().unwrap();
    }
}
