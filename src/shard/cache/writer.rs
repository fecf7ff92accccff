//! The thread that writes the copies, so that a slow disk holds nobody up.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::directory::Held;
use super::log::{Part, Stamp};
use crate::metrics::Metrics;

/// The thread, as its shard sees it.
pub(super) struct Writer {
    /// Nothing once it is to end.
    to: Option<Sender<Told>>,
    /// Bytes that wait for the disk.
    waiting: Arc<AtomicUsize>,
    metrics: Metrics,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
enum Told {
    Take(i32, Box<Held>),
    Clear(i32),
    Append(i32, Part),
    End(i32, Stamp),
    /// Close the file, and say so.
    GiveUp(i32, Sender<()>),
}

impl Writer {
    pub(super) fn start(metrics: Metrics) -> Self {
        let (to, from) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = (Arc::clone(&waiting), metrics.clone());
        let thread = std::thread::Builder::new()
            .name("state-cache".to_owned())
            .spawn(move || work(&from, &written.0, &written.1));
        if let Err(error) = &thread {
            tracing::warn!(%error, "no state cache");
        }
        Self {
            to: Some(to),
            waiting,
            metrics,
            thread: thread.ok(),
        }
    }

    /// Writes to `held` from now on, or begins it anew.
    pub(super) fn take(&self, partition: i32, held: Held, anew: bool) {
        self.tell(Told::Take(partition, Box::new(held)));
        if anew {
            self.tell(Told::Clear(partition));
        }
    }

    /// Adds `part`; where too much waits already, the copy of `partition` ends here. Tells whether it goes on.
    pub(super) fn append(&self, partition: i32, part: Part) -> bool {
        let size = part.len();
        if self.waiting.load(Ordering::Relaxed) + size > WAITING_MAX {
            tracing::warn!(
                partition,
                "the disk of the state cache is too slow: it is not kept until the next start"
            );
            self.metrics.cache_given_up();
            self.tell(Told::GiveUp(partition, mpsc::channel().0));
            return false;
        }
        self.waiting.fetch_add(size, Ordering::Relaxed);
        self.tell(Told::Append(partition, part))
    }

    pub(super) fn end(&self, partition: i32, stamp: Stamp) {
        self.tell(Told::End(partition, stamp));
    }

    /// Closes the copy of `partition`; a disk that hangs is not waited for for long.
    pub(super) fn give_up(&self, partition: i32) {
        let (done, closed) = mpsc::channel();
        if self.tell(Told::GiveUp(partition, done)) {
            let _ = closed.recv_timeout(PATIENCE);
        }
    }

    fn tell(&self, told: Told) -> bool {
        self.to.as_ref().is_some_and(|to| to.send(told).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.to = None;
        // All its files were given up by now, if the disk let it.
        if self.waiting.load(Ordering::Relaxed) == 0
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
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
            tracing::warn!(partition, %error, "the state cache is not kept until the next start");
            metrics.cache_given_up();
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
            let _ = done.send(());
        }
    }
    Ok(())
}

/// Bytes that may wait for the disk before a copy is given up.
const WAITING_MAX: usize = 256 << 20;
/// How long a shard waits for its files to be closed.
const PATIENCE: Duration = Duration::from_secs(3);
