//! A panic is logged without its message. Alone in its process, for the hook is the process's.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::Write;
use std::sync::{Arc, Mutex};

use nhiwatch::panics;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_logged_by_its_place_and_never_by_its_message() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    panics::withhold_messages();
    let outcome = tracing::subscriber::with_default(subscriber, || {
        std::panic::catch_unwind(|| {
            let event = "svc-payroll paid 1,000,000";
            // Its message quotes the text.
            std::hint::black_box(event).split_at(1000)
        })
    });
    // Failures of this test itself are to be seen.
    drop(std::panic::take_hook());
    assert!(outcome.is_err());
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(said.contains("tests/panics.rs:"), "{said}");
    assert!(!said.contains("payroll"), "{said}");
}
