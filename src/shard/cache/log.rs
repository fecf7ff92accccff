//! The file that a partition's state is kept in beside Kafka: what was committed, in the order in which it was.
//!
//! It begins with [`MAGIC`]. Then come frames: a kind, the length of the body and its checksum (XXH3, 64 bits), all
//! big-endian, then the body. [`PART`] holds records: length of the key, length of the value plus one (0 where the key is
//! deleted), key, value. [`END`] says that what came before it was committed: until which offset of the state's topic
//! (exclusive), and when, in milliseconds since 1970. What comes after the last end is cut off when the file is opened.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Take, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::mpsc::{channel, sync_channel};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// What the name of a file ends with that is not whole yet.
pub(super) const ASIDE: &str = "new";
const MAGIC: &[u8; 16] = b"nhiwatch state 1";
const PART: u8 = 1;
const END: u8 = 2;
/// Bytes of an [`END`]'s body.
const STAMP: u64 = 16;
/// Kind, length and checksum.
const HEADER: usize = 1 + 8 + 8;

/// Up to where a log holds what was committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    /// The offset of the state's topic of which the record before is the last that the log surely holds.
    pub(super) until: i64,
    /// When that was, in milliseconds since 1970.
    pub(super) at: i64,
}

/// One partition's file.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// What the last end says.
    stamp: Option<Stamp>,
    /// Bytes up to the last end.
    committed: u64,
    /// Bytes after which it is written anew, with the newest record of each key alone.
    limit: u64,
}

/// Records on their way to a log.
#[derive(Default)]
pub(super) struct Part(Vec<u8>);

impl Part {
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        let size = value.map_or(0, |value| value.len() + 1);
        for length in [key.len(), size] {
            self.0.extend_from_slice(&(length as u32).to_be_bytes());
        }
        self.0.extend_from_slice(key);
        self.0.extend_from_slice(value.unwrap_or_default());
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }
}

impl Log {
    /// Opens the file at `path`, which is made where there is none, and cuts off what was not committed. One of another
    /// version is begun anew.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let mut file = options().truncate(false).open(&path)?;
        let mut magic = [0; MAGIC.len()];
        let known = file.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        let mut log = Self {
            path,
            file,
            stamp: None,
            committed: MAGIC.len() as u64,
            limit: GARBAGE_MIN,
        };
        if known {
            log.find_end()?;
            log.limit = limit(log.committed);
        } else {
            log.clear()?;
        }
        Ok(log)
    }

    pub(super) const fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// From now on nothing can be written any more.
    #[cfg(test)]
    pub(super) fn close_for_writing(&mut self) {
        self.file = File::open(&self.path).expect("it was just opened");
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(MAGIC)?;
        (self.stamp, self.committed) = (None, MAGIC.len() as u64);
        self.limit = GARBAGE_MIN;
        Ok(())
    }

    /// Goes from header to header and stops after the last end.
    fn find_end(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let (mut at, mut body) = (self.committed, Vec::new());
        while let Some((kind, size, checksum)) = header(&mut self.file)? {
            let next = (at + HEADER as u64).checked_add(size);
            let Some(next) = next.filter(|next| *next <= length) else {
                break;
            };
            at = next;
            if kind == END && size == STAMP {
                body.resize(size as usize, 0);
                self.file.read_exact(&mut body)?;
                let Some(stamp) = stamp(&body).filter(|_| xxh3_64(&body) == checksum) else {
                    break;
                };
                (self.stamp, self.committed) = (Some(stamp), at);
            } else if kind == PART {
                self.file.seek(SeekFrom::Start(at))?;
            } else {
                break;
            }
        }
        self.file.set_len(self.committed)?;
        self.file.seek(SeekFrom::Start(self.committed))?;
        Ok(())
    }

    /// Hands every committed record to `each`, in order; no value deletes the key.
    ///
    /// # Errors
    /// Where the file cannot be read or is damaged, or where `stops` says so between two parts; what was handed over until
    /// then is not to be used.
    pub(super) fn read(
        &mut self,
        stops: impl Fn() -> bool,
        mut each: impl FnMut(&[u8], Option<&[u8]>),
    ) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(MAGIC.len() as u64))?;
        let mut from = (&self.file).take(self.committed - MAGIC.len() as u64);
        // What is read next is got ready while the records before it are taken.
        let (ready, bodies) = sync_channel(AHEAD);
        let (done, spare) = channel();
        std::thread::scope(|scope| {
            let reading = std::thread::Builder::new().spawn_scoped(scope, move || {
                while let Some(body) = next(&mut from, spare.try_recv().unwrap_or_default())? {
                    if ready.send(body).is_err() {
                        break;
                    }
                }
                Ok(())
            })?;
            for body in bodies {
                if stops() {
                    return Err(io::Error::new(io::ErrorKind::Interrupted, "given up"));
                }
                records(&body, &mut each).ok_or_else(|| io::Error::other("a record is cut off"))?;
                // Nobody needs it once all is read.
                let _ = done.send(body);
            }
            let gone = |_| Err(io::Error::other("reading failed"));
            reading.join().unwrap_or_else(gone)
        })?;
        self.file.seek(SeekFrom::Start(self.committed))?;
        Ok(())
    }

    /// Adds records, which count once [`Log::end`] says so.
    pub(super) fn append(&mut self, part: &Part) -> io::Result<()> {
        frame(&mut self.file, PART, &part.0)
    }

    /// Says that all that was added is committed; where there is much that was replaced since, it is left away.
    pub(super) fn end(&mut self, stamp: Stamp) -> io::Result<()> {
        frame(&mut self.file, END, &body(stamp))?;
        self.committed = self.file.stream_position()?;
        if self.stamp.replace(stamp).is_none() {
            // So much there was at the beginning.
            self.limit = limit(self.committed);
        }
        if self.committed > self.limit {
            self.rewrite(stamp).inspect_err(|_| {
                // It may be large, and the disk full.
                let _ = fs::remove_file(self.path.with_extension(ASIDE));
            })?;
        }
        Ok(())
    }

    /// Writes a file with the newest record of each key that was not deleted, and puts it in the place of this one once
    /// it is on disk.
    fn rewrite(&mut self, stamp: Stamp) -> io::Result<()> {
        let (mut newest, mut number) = (HashMap::new(), 0_u64);
        self.read(
            || false,
            |key, value| {
                match value {
                    Some(_) => newest.insert(xxh3_128(key), number),
                    None => newest.remove(&xxh3_128(key)),
                };
                number += 1;
            },
        )?;
        let aside = self.path.with_extension(ASIDE);
        let mut to = BufWriter::with_capacity(1 << 20, options().truncate(true).open(&aside)?);
        to.write_all(MAGIC)?;
        let (mut part, mut number, mut outcome) = (Part::default(), 0, Ok(()));
        self.read(
            || false,
            |key, value| {
                if newest.get(&xxh3_128(key)) == Some(&number) {
                    part.push(key, value);
                }
                if part.len() >= PART_MAX && outcome.is_ok() {
                    outcome = frame(&mut to, PART, &std::mem::take(&mut part).0);
                }
                number += 1;
            },
        )?;
        outcome?;
        frame(&mut to, PART, &part.0)?;
        frame(&mut to, END, &body(stamp))?;
        let file = to.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&aside, &self.path)?;
        self.file = file;
        self.committed = self.file.stream_position()?;
        self.limit = limit(self.committed);
        Ok(())
    }
}

/// Readable for nobody else: who is watched, and what is normal for it, stands in there.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// How large a file may grow that holds so many bytes of what is newest, until it is written anew.
const fn limit(newest: u64) -> u64 {
    newest + newest / 2 + GARBAGE_MIN
}

fn frame(to: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    let mut header = [kind; HEADER];
    header[1..9].copy_from_slice(&(body.len() as u64).to_be_bytes());
    header[9..].copy_from_slice(&xxh3_64(body).to_be_bytes());
    to.write_all(&header)?;
    to.write_all(body)
}

/// The records of the next part, read into `body`; nothing at the end.
fn next(from: &mut Take<&File>, mut body: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
    while let Some((kind, size, checksum)) = header(from)? {
        if size > from.limit() {
            return Err(io::Error::other("a length does not fit"));
        }
        body.resize(size as usize, 0);
        from.read_exact(&mut body)?;
        if xxh3_64(&body) != checksum {
            return Err(io::Error::other("a checksum does not fit"));
        }
        if kind == PART {
            return Ok(Some(body));
        }
    }
    match from.limit() {
        0 => Ok(None),
        _ => Err(io::Error::other("it was cut off meanwhile")),
    }
}

/// Kind, length and checksum; nothing where there is no whole header.
fn header(from: &mut impl Read) -> io::Result<Option<(u8, u64, u64)>> {
    let mut header = [0; HEADER];
    match from.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    Ok(Some((
        header[0],
        number(&header[1..9]),
        number(&header[9..]),
    )))
}

fn body(stamp: Stamp) -> [u8; 16] {
    let mut body = [0; 16];
    body[..8].copy_from_slice(&stamp.until.to_be_bytes());
    body[8..].copy_from_slice(&stamp.at.to_be_bytes());
    body
}

fn stamp(body: &[u8]) -> Option<Stamp> {
    let (until, at) = body.split_at_checked(8).filter(|_| body.len() == 16)?;
    Some(Stamp {
        until: number(until).cast_signed(),
        at: number(at).cast_signed(),
    })
}

/// Hands every record of a part to `each`; nothing where one is cut off.
fn records(mut part: &[u8], each: &mut impl FnMut(&[u8], Option<&[u8]>)) -> Option<()> {
    while !part.is_empty() {
        let (lengths, rest) = part.split_at_checked(8)?;
        let (key, value) = (number(&lengths[..4]), number(&lengths[4..]));
        let (key, rest) = rest.split_at_checked(key as usize)?;
        let (value, rest) = match (value as usize).checked_sub(1) {
            Some(length) => rest.split_at_checked(length).map(|(v, r)| (Some(v), r))?,
            None => (None, rest),
        };
        each(key, value);
        part = rest;
    }
    Some(())
}

/// A big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Parts that are read ahead.
const AHEAD: usize = 2;
/// Records are handed on in parts of so many bytes.
pub(super) const PART_MAX: usize = 4 << 20;
/// Bytes that a log may grow by before it is written anew, however small it is.
const GARBAGE_MIN: u64 = 64 << 20;
