//! The broker that the suite runs on.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::proxy::Proxy;

/// A real Kafka, for one test at a time: the consumer group's name is fixed, and a member that one
/// test kills would hold up the other's.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) address: String,
    /// Who listens on the second of these ports and passes on to the first stands between the broker
    /// and who connects there.
    proxy: Option<(u16, u16)>,
    _alone: MutexGuard<'static, ()>,
}

impl Broker {
    /// The broker in `NHIWATCH_TEST_BROKERS`, or one of our own, which outlives the test and is
    /// ended by `scripts/kafka stop`; nothing, said aloud, where there can be none.
    pub(crate) fn find() -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        static FOUND: OnceLock<Option<Found>> = OnceLock::new();
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        match FOUND.get_or_init(|| named().or_else(start)) {
            Some((address, proxy)) => Some(Self {
                address: address.clone(),
                proxy: *proxy,
                _alone: alone,
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

    /// A proxy before the broker, where the broker knows that there may be one.
    pub(crate) fn proxy(&self) -> Option<Proxy> {
        let Some((there, here)) = self.proxy else {
            assert!(
                !std::env::var("CI").is_ok_and(|ci| ci == "true"),
                "scripts/kafka names no port for a proxy"
            );
            super::service::note("skipped: the broker has no listener for a proxy");
            return None;
        };
        Some(Proxy::start(there, here))
    }
}

/// Where a broker is, and where one may stand between it and its clients.
type Found = (String, Option<(u16, u16)>);

fn named() -> Option<Found> {
    let address = std::env::var("NHIWATCH_TEST_BROKERS").ok();
    let proxy = std::env::var("NHIWATCH_TEST_PROXY").ok();
    let address = address.filter(|address| !address.is_empty())?;
    Some((address, proxy.as_deref().and_then(ports)))
}

fn start() -> Option<Found> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
    let output = Command::new(script).arg("start").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let Some(address) = of("NHIWATCH_TEST_BROKERS=") else {
        super::service::note(&String::from_utf8_lossy(&output.stderr));
        return None;
    };
    Some((
        address.to_owned(),
        of("NHIWATCH_TEST_PROXY=").and_then(ports),
    ))
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (there, here) = text.split_once(',')?;
    Some((there.parse().ok()?, here.parse().ok()?))
}
