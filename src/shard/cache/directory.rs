//! The folder that the copies of the state lie in.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::AGE_MAX;
use super::log::{self, Log};

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
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = File::create(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::Error(error) => error,
            TryLockError::WouldBlock => io::Error::other("another process uses it"),
        })?;
        clean(path, topic)?;
        Ok(Self {
            path: path.to_owned(),
            topic: topic.to_owned(),
            open: Mutex::default(),
            _lock: lock,
        })
    }

    /// Opens the file of `partition`, which no other shard of this process may have.
    pub(super) fn open(self: &Arc<Self>, partition: i32) -> io::Result<Held> {
        if !self.opened().insert(partition) {
            return Err(io::Error::other("another shard still has it"));
        }
        let name = format!("{}-{partition}.log", self.topic);
        match Log::open(self.path.join(name)) {
            Ok(log) => Ok(Held {
                log,
                directory: Arc::clone(self),
                partition,
            }),
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

/// Deletes what was left half written, and copies that are too old to be used.
fn clean(path: &Path, topic: &str) -> io::Result<()> {
    let of_a_partition = |name: &str| {
        let number = name.strip_prefix(topic)?.strip_prefix('-')?;
        let (number, kind) = number.split_once('.')?;
        number.parse::<i32>().ok().map(|_| kind == log::ASIDE)
    };
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(half) = name.to_str().and_then(of_a_partition) else {
            continue;
        };
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if half || age.as_millis() > AGE_MAX as u128 {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl Drop for Held {
    fn drop(&mut self) {
        self.directory.opened().remove(&self.partition);
    }
}
