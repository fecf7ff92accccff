//! The brokers that the suite runs on.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::time::Duration;

use super::proxy::Proxy;

/// A real Kafka, for one test at a time: the consumer group's name is fixed, and a member that one
/// test kills would hold up the other's.
pub(crate) struct Broker {
    /// `host:port`.
    pub(crate) address: String,
    /// Who listens on the second of these ports and passes on to the first stands between the broker
    /// and who connects there.
    proxy: Option<(u16, u16)>,
    /// Where `scripts/kafka` keeps what belongs to it; nothing of one that is not ours.
    folder: Option<&'static str>,
    _lanes: Vec<MutexGuard<'static, ()>>,
}

/// One of the brokers on which tests run side by side.
struct Lane {
    folder: &'static str,
    taken: Mutex<()>,
    found: OnceLock<Option<Found>>,
}

/// Where a broker is, and where one may stand between it and its clients.
type Found = (String, Option<(u16, u16)>);

static LANES: [Lane; 2] = [
    Lane::of(concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka/run")),
    Lane::of(concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka/second")),
];

impl Lane {
    const fn of(folder: &'static str) -> Self {
        Self {
            folder,
            taken: Mutex::new(()),
            found: OnceLock::new(),
        }
    }

    /// Its broker, which is started if need be, outlives the test and is ended by `scripts/kafka stop`.
    fn broker(&self, lanes: Vec<MutexGuard<'static, ()>>) -> Option<Broker> {
        static STARTING: Mutex<()> = Mutex::new(());
        let found = self.found.get_or_init(|| {
            let _one = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
            named().or_else(|| start("start", self.folder))
        });
        let Some((address, proxy)) = found else {
            let demanded = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!demanded, "no Kafka to test on: scripts/kafka start failed");
            let hint = "skipped: no Kafka (set NHIWATCH_TEST_BROKERS, or see scripts/kafka)";
            super::service::note(hint);
            return None;
        };
        Some(Broker {
            address: address.clone(),
            proxy: *proxy,
            folder: named().is_none().then_some(self.folder),
            _lanes: lanes,
        })
    }
}

impl Broker {
    /// The broker in `NHIWATCH_TEST_BROKERS`, or one of our own that no other test works with; nothing, said aloud, where
    /// there can be none.
    pub(crate) fn find() -> Option<Self> {
        let (lane, guard) = free_lane();
        lane.broker(vec![guard])
    }

    /// The same while no other test works at all, for who measures time.
    pub(crate) fn alone() -> Option<Self> {
        let lock = |lane: &'static Lane| lane.taken.lock().unwrap_or_else(PoisonError::into_inner);
        LANES[0].broker(LANES.iter().map(lock).collect())
    }

    /// The first of two brokers of one cluster, which no other test works with; nothing, said aloud, where brokers are not
    /// ours to start.
    pub(crate) fn pair() -> Option<Self> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/target/kafka/pair");
        let (_, guard) = free_lane();
        let started = named().is_none().then(|| start("pair", folder)).flatten();
        let Some((address, proxy)) = started else {
            super::service::note("skipped: scripts/kafka starts no pair of brokers");
            return None;
        };
        Some(Self {
            address,
            proxy,
            folder: Some(folder),
            _lanes: vec![guard],
        })
    }

    /// Kills the broker and starts it again; false, said aloud, where it is not ours to kill.
    pub(crate) fn bounce(&self) -> bool {
        let folder = self.folder.unwrap_or_default();
        let done = self.script(&["bounce", folder]);
        if !done {
            super::service::note("skipped: the broker is not one of scripts/kafka");
        }
        done
    }

    /// Whether `scripts/kafka` did what it was asked to do to this broker; false where that is not ours.
    pub(crate) fn script(&self, arguments: &[&str]) -> bool {
        script(self.folder, arguments)
    }

    /// What [`script`] needs to be told of this broker later on.
    pub(crate) const fn folder(&self) -> Option<&'static str> {
        self.folder
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

/// A lane in which no test works, once there is one.
fn free_lane() -> (&'static Lane, MutexGuard<'static, ()>) {
    let lanes = if named().is_some() {
        &LANES[..1]
    } else {
        &LANES
    };
    loop {
        for lane in lanes {
            match lane.taken.try_lock() {
                Ok(guard) => return (lane, guard),
                Err(TryLockError::Poisoned(guard)) => return (lane, guard.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether `scripts/kafka` did what it was asked to do to the broker of `folder`; under `CI=true` it must.
pub(crate) fn script(folder: Option<&str>, arguments: &[&str]) -> bool {
    let script = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
        let mut command = Command::new(script);
        let output = command.args(arguments).env("NHIWATCH_TEST_RUN", folder?);
        Some(output.output().is_ok_and(|output| output.status.success()))
    };
    let done = script().unwrap_or_default();
    let demanded = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(done || !demanded, "scripts/kafka {arguments:?} failed");
    done
}

fn named() -> Option<Found> {
    let address = std::env::var("NHIWATCH_TEST_BROKERS").ok();
    let proxy = std::env::var("NHIWATCH_TEST_PROXY").ok();
    let address = address.filter(|address| !address.is_empty())?;
    Some((address, proxy.as_deref().and_then(ports)))
}

fn start(how: &str, folder: &str) -> Option<Found> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka");
    let output = Command::new(script).args([how, folder]).output().ok()?;
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
