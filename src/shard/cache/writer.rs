//! The thread that writes the copies, so that a slow disk holds nobody up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::directory::Held;
use super::log::{Part, Stamp};
use crate::metrics::Metrics;

/// The thread, as its shard sees it.
pub(super) struct Writer {
    to: Sender<Told>,
    /// Bytes that wait for the disk.
    waiting: Arc<AtomicUsize>,
    metrics: Metrics,
}

/// What the thread is told.
enum Told {
    Take(i32, Box<Held>),
    Clear(i32),
    Append(i32, Part),
    End(i32, Stamp),
    /// Close the file; who waits for it hears no more of the sender then.
    GiveUp(i32, Sender<()>),
}

impl Writer {
    pub(super) fn start(metrics: Metrics) -> Self {
        let (to, from) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = (Arc::clone(&waiting), metrics.clone());
        let thread = std::thread::Builder::new()
            .name("state-cache".to_owned())
            .spawn(move || work(&from, &written.0, &written.1));
        if let Err(error) = &thread {
            tracing::warn!(%error, "no state cache");
        }
        Self {
            to,
            waiting,
            metrics,
        }
    }

    /// Writes to `held` from now on, or begins it anew.
    pub(super) fn take(&self, partition: i32, held: Held, anew: bool) {
        self.tell(Told::Take(partition, Box::new(held)));
        if anew {
            self.tell(Told::Clear(partition));
        }
    }

    /// Adds `part`; where too much waits already, the copy of `partition` ends here, or, by who `can_wait`, the disk is
    /// waited for. Tells whether it goes on.
    pub(super) fn append(&self, partition: i32, part: Part, can_wait: bool) -> bool {
        let size = part.len();
        let is_full = || self.waiting.load(Ordering::Relaxed) + size > WAITING_MAX;
        let deadline = Instant::now() + PATIENCE_FILLING;
        while can_wait && is_full() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if is_full() {
            self.say_given_up(partition, &io::Error::other("the disk is too slow"));
            self.tell(Told::GiveUp(partition, channel().0));
            return false;
        }
        self.waiting.fetch_add(size, Ordering::Relaxed);
        self.tell(Told::Append(partition, part))
    }

    /// Says and counts that the copy of `partition` is not kept any more.
    pub(super) fn say_given_up(&self, partition: i32, error: &io::Error) {
        say_given_up(&self.metrics, partition, error);
    }

    pub(super) fn end(&self, partition: i32, stamp: Stamp) {
        self.tell(Told::End(partition, stamp));
    }

    /// Closes the copies of these partitions; a disk that hangs is not waited for for long.
    pub(super) fn give_up<'p>(&self, partitions: impl Iterator<Item = &'p i32>) {
        let (done, closed) = channel();
        for partition in partitions {
            self.tell(Told::GiveUp(*partition, done.clone()));
        }
        drop(done);
        // Ends when every one is closed, and so nobody is left to say so.
        let _ = closed.recv_timeout(PATIENCE);
    }

    fn tell(&self, told: Told) -> bool {
        self.to.send(told).is_ok()
    }
}

fn say_given_up(metrics: &Metrics, partition: i32, error: &io::Error) {
    tracing::warn!(partition, %error, "the state cache is not kept until the partition is taken again");
    metrics.cache_given_up();
}

fn work(from: &Receiver<Told>, waiting: &AtomicUsize, metrics: &Metrics) {
    let mut held = BTreeMap::new();
    for told in from {
        let partition = match &told {
            Told::Take(partition, _)
            | Told::Clear(partition)
            | Told::Append(partition, _)
            | Told::End(partition, _)
            | Told::GiveUp(partition, _) => *partition,
        };
        let outcome = on(&mut held, partition, told, waiting);
        if let Err(error) = outcome {
            say_given_up(metrics, partition, &error);
            held.remove(&partition);
        }
    }
}

fn on(
    held: &mut BTreeMap<i32, Box<Held>>,
    partition: i32,
    told: Told,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    match told {
        Told::Take(_, new) => {
            held.insert(partition, new);
        }
        Told::Append(_, part) => {
            let appended = held.get_mut(&partition).map(|it| it.log.append(&part));
            waiting.fetch_sub(part.len(), Ordering::Relaxed);
            appended.transpose()?;
        }
        Told::Clear(_) => {
            held.get_mut(&partition)
                .map_or(Ok(()), |it| it.log.clear())?;
        }
        Told::End(_, stamp) => {
            let log = held.get_mut(&partition).map(|it| &mut it.log);
            log.map_or(Ok(()), |log| log.end(stamp))?;
        }
        Told::GiveUp(_, done) => {
            held.remove(&partition);
            drop(done);
        }
    }
    Ok(())
}

/// Bytes that may wait for the disk before a copy is given up.
const WAITING_MAX: usize = 256 << 20;
/// How long a shard waits for its files to be closed.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a restore from Kafka waits for the disk.
const PATIENCE_FILLING: Duration = Duration::from_secs(10);
