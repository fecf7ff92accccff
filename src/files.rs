//! Records out of files: NDJSON or JSON documents, plain or compressed, from files, folders or
//! standard input.

mod open;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::open::Open;
use crate::failure::Failure;
use crate::wire::Reject;

/// The longest line or document, in bytes; CloudTrail writes whole files as one line.
pub const LINE_MAX: usize = 64 << 20;

/// The name that stands for standard input.
pub const STDIN: &str = "-";

/// The path without links, of a file that need not exist; `None` for standard input or output.
#[must_use]
pub fn resolved(path: &Path) -> Option<PathBuf> {
    if path.as_os_str() == STDIN {
        return None;
    }
    path.canonicalize().ok().or_else(|| {
        let folder = match path.parent()? {
            folder if folder.as_os_str().is_empty() => Path::new("."),
            folder => folder,
        };
        Some(folder.canonicalize().ok()?.join(path.file_name()?))
    })
}

/// Whether both are the path of one file, which need not exist.
#[must_use]
pub fn is_one_file(a: &Path, b: &Path) -> bool {
    resolved(a).is_some_and(|a| Some(a) == resolved(b))
}

/// The `*.yaml` and `*.yml` files in `directory`, sorted.
///
/// # Errors
/// Where the folder cannot be read.
pub fn yaml_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

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
    let odd = |path: &Path| {
        let kind = fs::metadata(path).map(|it| it.is_file() || it.is_dir());
        (!kind.unwrap_or(false)).then(|| {
            let path = path.display();
            Failure::Environment(format!(
                "{path} is neither a file nor a folder that can be read; take it out of the folder"
            ))
        })
    };
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
        .try_for_each(|path| match odd(path) {
            Some(failure) => Err(failure),
            None => collect(path, files),
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::wire::Reason;

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
    fn both_endings_of_yaml_are_found() {
        let folder = tempfile::tempdir().expect("no folder");
        for name in ["b.yml", "c.json", "a.yaml"] {
            fs::write(folder.path().join(name), "").expect("not written");
        }
        let found = yaml_in(folder.path()).expect("not read");
        assert_eq!(
            found,
            ["a.yaml", "b.yml"].map(|name| folder.path().join(name))
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
