//! Stands between the service and the broker, and lets through what a test allows.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A proxy on the loopback; dropping it closes everything.
pub(crate) struct Proxy {
    /// `host:port` of the broker as its clients see it through the proxy.
    pub(crate) address: String,
    faults: Arc<Faults>,
}

/// What goes wrong at the moment.
#[derive(Default)]
struct Faults {
    ended: AtomicBool,
    /// Connections are closed, and new ones too.
    gone: AtomicBool,
    /// What the broker answers goes nowhere, while connections stay open.
    deaf: AtomicBool,
    /// How long each answer takes in addition, in milliseconds.
    slow: AtomicU64,
    /// So many answers to EndTxn are still to be lost, with the connection.
    lose: AtomicU32,
    /// So many EndTxn are still to be held back, for this many milliseconds.
    hold: AtomicU32,
    hold_for: AtomicU64,
    /// Whether everything is closed as soon as offsets are to be added to a transaction.
    snaps: AtomicBool,
    /// How many bytes a second may be produced on a connection; none is no limit.
    thin: AtomicU64,
    /// For how long records waited for that, in milliseconds.
    waited: AtomicU64,
}

impl Proxy {
    pub(crate) fn start(there: u16, here: u16) -> Self {
        // A port that was just closed may be waited for.
        let deadline = Instant::now() + Duration::from_secs(10);
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", here)) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "port {here}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        listener.set_nonblocking(true).unwrap();
        let faults = Arc::new(Faults::default());
        let shared = Arc::clone(&faults);
        std::thread::spawn(move || {
            while !shared.ended.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((client, _)) if !shared.gone.load(Ordering::Acquire) => {
                        if let Ok(server) = TcpStream::connect(("127.0.0.1", there)) {
                            join(client, server, &shared);
                        }
                    }
                    Ok(_) => {}
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        });
        Self {
            address: format!("127.0.0.1:{here}"),
            faults,
        }
    }

    /// Whether the broker is gone: every connection is closed at once.
    pub(crate) fn gone(&self, gone: bool) {
        self.faults.gone.store(gone, Ordering::Release);
    }

    /// Whether what the broker answers is lost, while nobody closes a connection.
    pub(crate) fn deaf(&self, deaf: bool) {
        self.faults.deaf.store(deaf, Ordering::Release);
    }

    /// Lets each answer take so much longer.
    pub(crate) fn slow(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap();
        self.faults.slow.store(millis, Ordering::Release);
    }

    /// Lets through only so many bytes a second of what is produced; none is no limit.
    pub(crate) fn thin(&self, bytes: u64) {
        self.faults.thin.store(bytes, Ordering::Release);
    }

    /// For how long records have waited for a thin line.
    pub(crate) fn waited(&self) -> Duration {
        Duration::from_millis(self.faults.waited.load(Ordering::Acquire))
    }

    /// Loses the answer to the next end of a transaction.
    pub(crate) fn lose_an_end(&self) {
        self.faults.lose.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets the next end of a transaction reach the broker only after `time`.
    pub(crate) fn hold_an_end(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.faults.hold_for.store(millis, Ordering::Release);
        self.faults.hold.fetch_add(1, Ordering::AcqRel);
    }

    /// The broker is gone as soon as the next transaction is about to ask the group's coordinator to take its offsets.
    pub(crate) fn gone_before_offsets(&self) {
        self.faults.snaps.store(true, Ordering::Release);
    }

    /// Whether every connection is closed.
    pub(crate) fn is_gone(&self) -> bool {
        self.faults.gone.load(Ordering::Acquire)
    }

    /// How many of the faults asked for are still to come.
    pub(crate) fn to_come(&self) -> u32 {
        let faults = &self.faults;
        faults.lose.load(Ordering::Acquire) + faults.hold.load(Ordering::Acquire)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.faults.ended.store(true, Ordering::Release);
    }
}

impl Faults {
    fn cut(&self) -> bool {
        self.ended.load(Ordering::Acquire) || self.gone.load(Ordering::Acquire)
    }

    fn take(counter: &AtomicU32) -> bool {
        let less = |left: u32| left.checked_sub(1);
        counter
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, less)
            .is_ok()
    }
}

/// Joins a client with the broker until one of them or a fault ends it.
fn join(client: TcpStream, server: TcpStream, faults: &Arc<Faults>) {
    // The answers that are to be lost, by the number that their question has.
    let lost: Arc<Mutex<Vec<[u8; 4]>>> = Arc::default();
    let (asks, answers) = (Arc::clone(faults), Arc::clone(faults));
    let losing = Arc::clone(&lost);
    let pair = || (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (from, to) = pair();
    std::thread::spawn(move || {
        pump(&from, &to, &asks, |frame| {
            let thin = asks.thin.load(Ordering::Acquire);
            if thin > 0 && frame.get(..2) == Some(&PRODUCE) {
                let millis = frame.len() as u64 * 1000 / thin;
                asks.waited.fetch_add(millis, Ordering::AcqRel);
                std::thread::sleep(Duration::from_millis(millis));
            }
            if frame.get(..2) == Some(&TXN_OFFSET_COMMIT)
                && asks.snaps.swap(false, Ordering::AcqRel)
            {
                asks.gone.store(true, Ordering::Release);
                return Fate::Ends;
            }
            if frame.get(..2) == Some(&END_TXN) {
                if Faults::take(&asks.lose) {
                    let number = frame.get(4..8).and_then(|bytes| bytes.try_into().ok());
                    losing.lock().unwrap().extend::<Option<[u8; 4]>>(number);
                }
                if Faults::take(&asks.hold) {
                    let millis = asks.hold_for.load(Ordering::Acquire);
                    // The client goes away meanwhile; what it sent still arrives.
                    std::thread::sleep(Duration::from_millis(millis));
                }
            }
            Fate::Passes
        });
    });
    let (to, from) = pair();
    std::thread::spawn(move || {
        pump(&from, &to, &answers, |frame| {
            std::thread::sleep(Duration::from_millis(answers.slow.load(Ordering::Acquire)));
            let of_lost = |number: &[u8; 4]| frame.get(..4) == Some(number);
            if lost.lock().unwrap().iter().any(of_lost) {
                return Fate::Ends;
            }
            match answers.deaf.load(Ordering::Acquire) {
                true => Fate::IsLost,
                false => Fate::Passes,
            }
        });
    });
}

/// What becomes of a frame.
enum Fate {
    Passes,
    IsLost,
    /// It is lost, and the connection with it.
    Ends,
}

/// Passes frames on, each of which starts with its length in four bytes, as long as nothing is cut.
fn pump(
    mut from: &TcpStream,
    mut to: &TcpStream,
    faults: &Faults,
    mut fate: impl FnMut(&[u8]) -> Fate,
) {
    from.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut frame = Vec::new();
    loop {
        let mut length = [0; 4];
        if faults.cut() || !read(&mut from, &mut length, faults) {
            break;
        }
        frame.resize(u32::from_be_bytes(length) as usize, 0);
        if !read(&mut from, &mut frame, faults) {
            break;
        }
        match fate(&frame) {
            Fate::Passes => {
                let sent = to.write_all(&length).and_then(|()| to.write_all(&frame));
                if sent.is_err() {
                    break;
                }
            }
            Fate::IsLost => {}
            Fate::Ends => break,
        }
    }
    // An end may have been held back: what was read is sent, then all is closed.
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// Fills `bytes`; false where the connection ended or is cut.
fn read(from: &mut &TcpStream, bytes: &mut [u8], faults: &Faults) -> bool {
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => return false,
            Ok(more) => filled += more,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if faults.cut() {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}

/// The number of the call that writes records.
const PRODUCE: [u8; 2] = [0, 0];
/// The number of the call that adds offsets to a transaction.
const TXN_OFFSET_COMMIT: [u8; 2] = [0, 28];
/// The number of the call that ends a transaction.
const END_TXN: [u8; 2] = [0, 26];
