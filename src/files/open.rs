//! One input: what form it has, and where its records begin and end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use super::{LINE_MAX, Record, STDIN};
use crate::failure::Failure;
use crate::wire::{Reason, Reject};

/// One input being read.
pub(super) struct Open {
    /// Its name as given.
    pub(super) source: Arc<str>,
    from: Box<dyn BufRead>,
    pub(super) taken: Taken,
    line: u64,
    /// Records already cut, where the beginning of the input had to be read to tell its form.
    ready: VecDeque<Record>,
    begun: bool,
}

impl Open {
    pub(super) fn new(path: &Path) -> Result<Self, Failure> {
        let source: Arc<str> = path.display().to_string().into();
        let taken = Taken::default();
        let raw: Box<dyn Read> = if path.as_os_str() == STDIN {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(|error| {
                Failure::Environment(format!("{source}: cannot be opened: {error}"))
            })?)
        };
        let from = decompressed(Counted {
            from: raw,
            taken: taken.clone(),
        })
        .map_err(|error| Failure::Environment(format!("{source}: cannot be read: {error}")))?;
        Ok(Self {
            source,
            from,
            taken,
            line: 0,
            ready: VecDeque::new(),
            begun: false,
        })
    }

    pub(super) fn next_record(&mut self) -> io::Result<Option<Record>> {
        if !self.begun {
            self.begun = true;
            self.begin()?;
        }
        if let Some(record) = self.ready.pop_front() {
            return Ok(Some(record));
        }
        self.next_line()
    }

    /// Reads the first record. Where its line is the beginning of a JSON value that goes on, the
    /// whole input is taken to be documents and is one record.
    fn begin(&mut self) -> io::Result<()> {
        let Some(mut first) = self.next_line()? else {
            return Ok(());
        };
        if let Ok(bytes) = &mut first.bytes {
            if bytes.starts_with(b"\xef\xbb\xbf") {
                bytes.drain(..3);
            }
            if goes_on(bytes) {
                return self.document(first);
            }
        }
        self.ready.push_back(first);
        Ok(())
    }

    fn document(&mut self, first: Record) -> io::Result<()> {
        let mut lines = vec![first.clone()];
        let mut whole = first.bytes.clone().unwrap_or_default();
        while whole.len() <= LINE_MAX {
            let Some(record) = self.next_line()? else {
                // A broken first line in a file of lines looks the same until its end.
                if serde_json::Deserializer::from_slice(&whole)
                    .into_iter::<serde::de::IgnoredAny>()
                    .all(|document| document.is_ok())
                {
                    self.ready.push_back(Record {
                        bytes: Ok(whole),
                        ..first
                    });
                } else {
                    self.ready.extend(lines);
                }
                return Ok(());
            };
            if let Ok(bytes) = &record.bytes {
                whole.push(b'\n');
                whole.extend_from_slice(bytes);
            }
            lines.push(record);
        }
        self.ready.extend(lines);
        Ok(())
    }

    /// The next line that has text.
    fn next_line(&mut self) -> io::Result<Option<Record>> {
        loop {
            let mut bytes = Vec::new();
            let limit = LINE_MAX as u64 + 1;
            if self
                .from
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut bytes)?
                == 0
            {
                return Ok(None);
            }
            self.line += 1;
            let complete = bytes.ends_with(b"\n");
            while bytes.last().is_some_and(u8::is_ascii_whitespace) {
                bytes.pop();
            }
            let too_long = !complete && bytes.len() > LINE_MAX;
            if too_long {
                self.from.skip_until(b'\n')?;
                let detail = format!("a line of more than {LINE_MAX} bytes");
                let refused = Err(Reject::new(Reason::TooLarge, detail));
                return Ok(Some(self.record(refused)));
            }
            if !bytes.is_empty() {
                return Ok(Some(self.record(Ok(bytes))));
            }
        }
    }

    fn record(&self, bytes: Result<Vec<u8>, Reject>) -> Record {
        Record {
            source: self.source.clone(),
            line: self.line,
            bytes,
        }
    }
}

/// Whether `line` is the beginning of a JSON object or list, but not all of it.
fn goes_on(line: &[u8]) -> bool {
    matches!(line.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(line).is_err_and(|error| error.is_eof())
}

/// `from` decompressed, as its first bytes say; names lie, and standard input has none.
fn decompressed(from: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    const GZIP: &[u8] = b"\x1f\x8b";
    const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
    let mut from = BufReader::with_capacity(64 << 10, from);
    let start = from.fill_buf()?;
    if start.starts_with(GZIP) {
        Ok(Box::new(BufReader::new(
            flate2::bufread::MultiGzDecoder::new(from),
        )))
    } else if start.starts_with(ZSTD) {
        Ok(Box::new(BufReader::new(
            zstd::stream::read::Decoder::with_buffer(from)?,
        )))
    } else {
        Ok(Box::new(from))
    }
}

/// Bytes taken from an input since they were last asked for.
pub(super) type Taken = std::rc::Rc<std::cell::Cell<u64>>;

struct Counted<R> {
    from: R,
    taken: Taken,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(into)?;
        self.taken.set(self.taken.get() + n as u64);
        Ok(n)
    }
}
