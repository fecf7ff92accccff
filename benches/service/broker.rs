//! The broker that is measured on.

use std::process::Command;

use anyhow::Result;

use super::say;

/// The broker in `NHIWATCH_TEST_BROKERS`, or one of our own, which ends with this.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) address: String,
    ours: bool,
}

impl Broker {
    /// Finds it; nothing where there is none.
    pub(crate) fn find() -> Result<Option<Self>> {
        let named = std::env::var("NHIWATCH_TEST_BROKERS").unwrap_or_default();
        if !named.is_empty() {
            return Ok(Some(Self {
                address: named,
                ours: false,
            }));
        }
        let output = Command::new(SCRIPT).args(["start", FOLDER]).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines();
        let address = lines.find_map(|line| line.strip_prefix("NHIWATCH_TEST_BROKERS="));
        Ok(address.map(|address| Self {
            address: address.to_owned(),
            ours: true,
        }))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if self.ours {
            let stopped = Command::new(SCRIPT).args(["stop", FOLDER]).status();
            if !stopped.is_ok_and(|status| status.success()) {
                say(&format!(
                    "the broker may still run: scripts/kafka stop {FOLDER}"
                ));
            }
        }
    }
}

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
/// Where our own broker keeps its things, apart from that of the tests.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka/bench");
