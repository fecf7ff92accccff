//! The folder that the copies of the state lie in.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::log::Log;

/// A folder with a file for each partition, which belongs to one process at a time.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Its file names begin with it.
    topic: String,
    /// Partitions whose file is open.
    open: Mutex<BTreeSet<i32>>,
    /// Locked for as long as the process lives.
    _lock: File,
}

/// An open file, which nobody else opens meanwhile.
pub(super) struct Held {
    pub(super) log: Log,
    directory: Arc<Directory>,
    partition: i32,
}

impl Directory {
    /// Takes the folder at `path`, which is made where there is none, for the state in `topic`.
    ///
    /// # Errors
    /// Where it cannot be made or written to, or where another process has it.
    pub fn take(path: &Path, topic: &str) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let lock = File::create(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("another process uses it"),
        })?;
        Ok(Self {
            path: path.to_owned(),
            topic: topic.to_owned(),
            open: Mutex::default(),
            _lock: lock,
        })
    }

    /// Opens the file of `partition`; nothing where another shard of this process still has it.
    pub(super) fn open(self: &Arc<Self>, partition: i32) -> io::Result<Option<Held>> {
        if !self.opened().insert(partition) {
            return Ok(None);
        }
        let name = format!("{}-{partition}.log", self.topic);
        match Log::open(self.path.join(name)) {
            Ok(log) => Ok(Some(Held {
                log,
                directory: Arc::clone(self),
                partition,
            })),
            Err(error) => {
                self.opened().remove(&partition);
                Err(error)
            }
        }
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeSet<i32>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.directory.opened().remove(&self.partition);
    }
}
