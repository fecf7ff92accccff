//! The broker that the suite runs on.

use std::process::Command;
use std::sync::OnceLock;

/// A real Kafka.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) address: String,
}

impl Broker {
    /// The broker in `NHIWATCH_TEST_BROKERS`, or one of our own, which outlives the test and is
    /// ended by `scripts/kafka stop`; nothing, said aloud, where there can be none.
    pub(crate) fn find() -> Option<Self> {
        static FOUND: OnceLock<Option<String>> = OnceLock::new();
        let address = FOUND.get_or_init(|| {
            std::env::var("NHIWATCH_TEST_BROKERS")
                .ok()
                .filter(|a| !a.is_empty())
                .or_else(start)
        });
        match address {
            Some(address) => Some(Self {
                address: address.clone(),
            }),
            None if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
                panic!("no Kafka to test on: scripts/kafka start failed");
            }
            None => {
                super::service::note(
                    "skipped: no Kafka (set NHIWATCH_TEST_BROKERS, or see scripts/kafka)",
                );
                None
            }
        }
    }
}

fn start() -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
    let output = Command::new(script).arg("start").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("NHIWATCH_TEST_BROKERS="));
    if line.is_none() {
        super::service::note(&String::from_utf8_lossy(&output.stderr));
    }
    line.map(str::to_owned)
}
