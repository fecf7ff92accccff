//! Records out of files: NDJSON or JSON documents, plain or compressed, from files, folders or
//! standard input.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::failure::Failure;
use crate::wire::{Reason, Reject};

/// The longest line or document, in bytes; CloudTrail writes whole files as one line.
pub const LINE_MAX: usize = 64 << 20;

/// The name that stands for standard input.
pub const STDIN: &str = "-";

/// One record of a file.
#[derive(Clone, Debug)]
pub struct Record {
    /// The file's name as given, or [`STDIN`].
    pub source: Arc<str>,
    /// The line it begins on, from 1.
    pub line: u64,
    /// Its bytes without the line end; refused where there are more than [`LINE_MAX`].
    pub bytes: Result<Vec<u8>, Reject>,
}

impl Record {
    /// Where it is, as `file:line`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.source, self.line)
    }
}

/// Reads the records of several inputs one after the other; lines without text are passed over.
pub struct Records<'p> {
    inputs: VecDeque<PathBuf>,
    open: Option<Open>,
    progress: Box<dyn FnMut(u64) + 'p>,
}

impl<'p> Records<'p> {
    /// The records of `inputs`: files, folders (their files sorted by path, at any depth, hidden
    /// ones left out) and [`STDIN`].
    ///
    /// # Errors
    /// [`Failure::Environment`] where an input does not exist or a folder cannot be read.
    pub fn open(inputs: &[PathBuf]) -> Result<Self, Failure> {
        let mut files = VecDeque::new();
        for input in inputs {
            collect(input, &mut files)?;
        }
        Ok(Self {
            inputs: files,
            open: None,
            progress: Box::new(|_| ()),
        })
    }

    /// Calls `progress` with the number of bytes taken from the inputs since the last call, before
    /// decompression.
    #[must_use]
    pub fn with_progress(mut self, progress: impl FnMut(u64) + 'p) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// How many bytes the inputs still to be opened have, as far as that is known.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inputs
            .iter()
            .filter_map(|path| fs::metadata(path).ok())
            .map(|file| file.len())
            .sum()
    }

    fn next_record(&mut self) -> Result<Option<Record>, Failure> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.inputs.pop_front() else {
                    return Ok(None);
                };
                self.open = Some(Open::new(&path)?);
            }
            let Some(open) = &mut self.open else { continue };
            let record = open.next_record();
            (self.progress)(open.taken.replace(0));
            match record {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => self.open = None,
                Err(error) => {
                    let source = open.source.clone();
                    self.open = None;
                    return Err(Failure::Environment(format!(
                        "{source}: cannot be read: {error}"
                    )));
                }
            }
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

fn collect(input: &Path, files: &mut VecDeque<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error: io::Error| {
        Failure::Environment(format!("{}: cannot be read: {error}", input.display()))
    };
    if input.as_os_str() == STDIN {
        files.push_back(input.to_owned());
        return Ok(());
    }
    if !fs::metadata(input).map_err(unreadable)?.is_dir() {
        files.push_back(input.to_owned());
        return Ok(());
    }
    let mut entries = fs::read_dir(input)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map_err(unreadable)?;
    entries.sort();
    let hidden = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
    };
    entries
        .iter()
        .filter(|path| !hidden(path))
        .try_for_each(|path| collect(path, files))
}

/// One input being read.
struct Open {
    source: Arc<str>,
    from: Box<dyn BufRead>,
    taken: Taken,
    line: u64,
    /// Records already cut, where the beginning of the input had to be read to tell its form.
    ready: VecDeque<Record>,
    begun: bool,
}

impl Open {
    fn new(path: &Path) -> Result<Self, Failure> {
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

    fn next_record(&mut self) -> io::Result<Option<Record>> {
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
type Taken = std::rc::Rc<std::cell::Cell<u64>>;

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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        to.write_all(bytes).expect("not written");
        to.finish().expect("not finished")
    }

    /// The lines and bytes of the records in a file with `content`.
    fn records(content: &[u8]) -> Vec<(u64, String)> {
        let file = tempfile::NamedTempFile::new().expect("no file");
        fs::write(file.path(), content).expect("not written");
        let mut taken = 0;
        let all = Records::open(&[file.path().to_owned()])
            .expect("not opened")
            .with_progress(|bytes| taken += bytes)
            .map(|record| {
                let record = record.expect("failed");
                (
                    record.line,
                    String::from_utf8(record.bytes.expect("refused")).expect("no text"),
                )
            })
            .collect();
        assert_eq!(taken, content.len() as u64, "progress");
        all
    }

    #[test]
    fn lines_are_records_with_their_number() {
        let expected = [(1, "{\"a\":1}".to_owned()), (3, "oops".to_owned())];
        assert_eq!(records(b"{\"a\":1}\r\n\noops"), expected);
        assert_eq!(records(b"\xef\xbb\xbf{\"a\":1}\n\noops\n"), expected);
        assert_eq!(records(b""), []);
    }

    #[test]
    fn a_document_over_several_lines_is_one_record() {
        let pretty = "{\n  \"Records\": [\n    {}\n  ]\n}";
        assert_eq!(records(pretty.as_bytes()), [(1, pretty.to_owned())]);
    }

    #[test]
    fn a_broken_first_line_does_not_swallow_the_others() {
        assert_eq!(
            records(b"{\"a\":\n{\"a\":1}\n{\"a\":2}\n"),
            [
                (1, "{\"a\":".to_owned()),
                (2, "{\"a\":1}".to_owned()),
                (3, "{\"a\":2}".to_owned())
            ]
        );
    }

    #[test]
    fn compressed_files_are_read_whatever_their_name() {
        let text = b"{\"a\":1}\n{\"b\":2}\n";
        let expected = records(text);
        assert_eq!(records(&gzip(text)), expected);
        assert_eq!(
            records(&[gzip(b"{\"a\":1}\n"), gzip(b"{\"b\":2}\n")].concat()),
            expected
        );
        assert_eq!(
            records(&zstd::encode_all(text.as_slice(), 1).expect("not packed")),
            expected
        );
    }

    #[test]
    fn a_line_past_the_limit_is_refused_and_the_next_is_read() {
        let file = tempfile::NamedTempFile::new().expect("no file");
        let mut content = b"{}\n".to_vec();
        content.resize(LINE_MAX + 10, b'x');
        content.extend_from_slice(b"\n{\"b\":1}\n");
        fs::write(file.path(), content).expect("not written");
        let all: Vec<_> = Records::open(&[file.path().to_owned()])
            .expect("not opened")
            .map(|record| {
                record
                    .expect("failed")
                    .bytes
                    .map_err(|reject| reject.reason)
            })
            .collect();
        assert_eq!(
            all,
            [
                Ok(b"{}".to_vec()),
                Err(Reason::TooLarge),
                Ok(b"{\"b\":1}".to_vec())
            ]
        );
    }

    #[test]
    fn folders_are_read_in_order_and_what_cannot_be_read_is_a_failure() {
        let folder = tempfile::tempdir().expect("no folder");
        fs::create_dir(folder.path().join("a")).expect("no folder");
        for (name, text) in [
            ("b.json", "2"),
            ("a/z.json", "1"),
            (".hidden", "0"),
            ("c.json", "3"),
        ] {
            fs::write(folder.path().join(name), text).expect("not written");
        }
        let records = Records::open(&[folder.path().to_owned()]).expect("not opened");
        let all: Vec<_> = records
            .map(|record| record.expect("failed").bytes.expect("refused"))
            .collect();
        assert_eq!(all, [b"1", b"2", b"3"]);
        let missing = Records::open(&[folder.path().join("none")]);
        assert!(matches!(missing, Err(Failure::Environment(_))));
        fs::write(
            folder.path().join("c.json"),
            &gzip(b"{\"a\":1}\n{\"b\":2}\n")[..20],
        )
        .expect("not written");
        let mut broken = Records::open(&[folder.path().join("c.json")]).expect("not opened");
        assert!(broken.any(|record| matches!(record, Err(Failure::Environment(_)))));
    }
}
