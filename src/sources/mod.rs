//! Raw logs become events here: one mapping file per format, and the envelopes of shippers.

mod documents;
mod expr;
mod mapping;
mod path;
mod unwrap;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

pub use mapping::{MappedEvent, Mapping};

use crate::config::nearest;
use crate::failure::Failure;
use crate::wire::{Reason, Reject};
use crate::{digest, files};

/// The mapping files that come with the program: name of the file, text.
const BUILT_IN: &[(&str, &str)] = &[(
    "aws-cloudtrail.yaml",
    include_str!("../../config/sources/aws-cloudtrail.yaml"),
)];

/// The name under which records are taken to be of the event schema itself.
pub const NATIVE: &str = "native";
/// The name under which each record's format is told by its keys.
pub const AUTO: &str = "auto";

/// Every mapping: those built in, and those of a folder.
#[derive(Clone, Debug)]
pub struct Sources {
    mappings: Vec<Mapping>,
    digest: String,
}

impl Sources {
    /// The built-in mappings, with those of the `*.yaml` and `*.yml` files in `directory`; a file whose mapping
    /// has the name of a built-in one replaces it.
    ///
    /// # Errors
    /// [`Failure::Environment`] where the folder or a file cannot be read, [`Failure::Invalid`] with
    /// file and place where a mapping is wrong.
    pub fn load(directory: Option<&Path>) -> Result<Self, Failure> {
        let mut files: Vec<(String, String, Mapping)> = Vec::new();
        for (name, text) in BUILT_IN {
            files.push(((*name).to_owned(), (*text).to_owned(), parse(name, text)?));
        }
        let built_in = files.len();
        for path in directory.map_or_else(|| Ok(Vec::new()), listed)? {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
            let mapping = parse(&path.display().to_string(), &text)?;
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            match files
                .iter()
                .position(|(_, _, other)| other.name() == mapping.name())
            {
                Some(at) if at < built_in => files[at] = (name, text, mapping),
                Some(at) => {
                    return Err(Failure::Invalid(format!(
                        "{}: the name `{}` is taken by {}; give it another",
                        path.display(),
                        mapping.name(),
                        files[at].0
                    )));
                }
                None => files.push((name, text, mapping)),
            }
        }
        let digest = digest_of(&files);
        Ok(Self {
            mappings: files.into_iter().map(|(_, _, mapping)| mapping).collect(),
            digest,
        })
    }

    /// The mapping called `name`.
    #[must_use]
    pub fn mapping(&self, name: &str) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.name() == name)
    }

    /// Every mapping's name, the built-in ones first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.mappings.iter().map(Mapping::name)
    }

    /// Tells each record's format by its keys.
    #[must_use]
    pub const fn auto(&self) -> Auto<'_> {
        Auto { sources: self }
    }

    /// What reads records of the source called `name`: a mapping's name, [`AUTO`] or [`NATIVE`].
    ///
    /// # Errors
    /// [`Failure::Usage`] where there is none of that name.
    pub fn reader(&self, name: &str) -> Result<Reader<'_>, Failure> {
        match name {
            AUTO => Ok(Reader::Auto(self.auto())),
            NATIVE => Ok(Reader::Native),
            _ => self.mapping(name).map(Reader::Mapping).ok_or_else(|| {
                let all: Vec<&str> = [AUTO, NATIVE].into_iter().chain(self.names()).collect();
                let hint = hint(name, all.iter().copied());
                Failure::Usage(format!(
                    "no source is called `{name}`{hint}; there are {}",
                    all.join(", ")
                ))
            }),
        }
    }

    /// SHA-256 over every mapping file, in hex: what the events are may depend on each of them.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// What reads the records of one source.
#[derive(Clone, Copy, Debug)]
pub enum Reader<'s> {
    /// By one mapping.
    Mapping(&'s Mapping),
    /// By whatever fits each record.
    Auto(Auto<'s>),
    /// Each record is one event of the event schema.
    Native,
}

impl Reader<'_> {
    /// Gives `each` every event in `bytes`.
    pub fn events(&self, bytes: &[u8], each: &mut dyn FnMut(Result<MappedEvent, Reject>)) {
        match self {
            Self::Mapping(mapping) => mapping.events(bytes, each),
            Self::Auto(auto) => auto.events(bytes, each),
            Self::Native => each(native(bytes)),
        }
    }
}

/// Tells each record's format by its keys: the event schema's own, else the first mapping's that
/// recognises it.
#[derive(Clone, Copy, Debug)]
pub struct Auto<'s> {
    sources: &'s Sources,
}

impl Auto<'_> {
    /// Gives `each` every event in `bytes`, which may hold several documents and envelopes.
    pub fn events(&self, bytes: &[u8], each: &mut dyn FnMut(Result<MappedEvent, Reject>)) {
        // The common case, and the only one that sees repeated keys.
        if let Ok(event) = native(bytes) {
            return each(Ok(event));
        }
        let known = |record: &Value| is_native(record) || self.mapping(record).is_some();
        documents::read(bytes, &known, &mut |record| match record {
            Ok(record) if is_native(record) => each(mapping::canonical(&record.to_string())),
            Ok(record) => match self.mapping(record) {
                Some(mapping) => mapping.map(record, each),
                None => each(Err(Reject::new(
                    Reason::Mapping,
                    format_args!(
                        "of no known format: its keys are {}, and the event schema needs ts, identity and action",
                        keys(record)
                    ),
                ))),
            },
            Err(reject) => each(Err(reject)),
        });
    }

    fn mapping(&self, record: &Value) -> Option<&Mapping> {
        self.sources
            .mappings
            .iter()
            .find(|mapping| mapping.recognises(record))
    }
}

/// `, did you mean …` where one of `names` is near `written`, else nothing.
fn hint<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> String {
    nearest(written, names).map_or_else(String::new, |name| format!(", did you mean `{name}`?"))
}

fn native(bytes: &[u8]) -> Result<MappedEvent, Reject> {
    let text = str::from_utf8(bytes).map_err(|error| Reject::new(Reason::Utf8, error))?;
    mapping::canonical(text)
}

fn is_native(record: &Value) -> bool {
    ["ts", "identity", "action"]
        .iter()
        .all(|key| record.get(key).is_some())
}

fn keys(record: &Value) -> String {
    record.as_object().map_or_else(
        || "none, it is no object".to_owned(),
        |object| {
            object
                .keys()
                .take(8)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(", ")
        },
    )
}

fn parse(file: &str, text: &str) -> Result<Mapping, Failure> {
    Mapping::parse(text).map_err(|fault| Failure::Invalid(format!("{file}: {fault}")))
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    files::yaml_in(directory).map_err(|error| unreadable(directory, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Environment(format!("{}: cannot be read: {error}", path.display()))
}

fn digest_of(files: &[(String, String, Mapping)]) -> String {
    let mut hash = Sha256::new();
    for (name, text, _) in files {
        // Lengths keep two different lists of files from running together into one text.
        for part in [name, text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    digest::hex(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reasons(reader: &Reader<'_>, bytes: &str) -> Vec<Result<String, Reason>> {
        let mut all = Vec::new();
        reader.events(bytes.as_bytes(), &mut |event| {
            all.push(
                event
                    .map(|event| event.identity)
                    .map_err(|reject| reject.reason),
            );
        });
        all
    }

    #[test]
    fn the_event_schema_is_recognised_bare_and_in_envelopes() {
        let sources = Sources::load(None).expect("refused");
        let reader = sources.reader(AUTO).expect("absent");
        let event = r#"{"ts":1790000000,"identity":"svc","action":"a"}"#;
        assert_eq!(reasons(&reader, event), [Ok("svc".into())]);
        let envelope = format!("[{event},{{\"odd\":1}},{event}]\n{{\"message\":{event:?}}}");
        let svc = || Ok("svc".to_owned());
        assert_eq!(
            reasons(&reader, &envelope),
            [svc(), Err(Reason::Mapping), svc(), svc()]
        );
        assert_eq!(
            reasons(&reader, r#"{"ts":"x","identity":"svc","action":"a"}"#),
            [Err(Reason::Timestamp)]
        );
    }

    #[test]
    fn a_folder_adds_and_replaces_mappings_and_changes_the_digest() {
        let folder = tempfile::tempdir().expect("no folder");
        let file = |name: &str| {
            format!("name: {name}\ndetect: [t]\nevent: {{ts: t, identity: i, action: a}}\n")
        };
        fs::write(folder.path().join("a.yaml"), file("aws-cloudtrail")).expect("not written");
        fs::write(folder.path().join("b.yaml"), file("mine")).expect("not written");
        let built_in = Sources::load(None).expect("refused");
        let sources = Sources::load(Some(folder.path())).expect("refused");
        assert_eq!(
            sources.names().collect::<Vec<_>>(),
            ["aws-cloudtrail", "mine"]
        );
        assert_ne!(sources.digest(), built_in.digest());
        assert_eq!(sources.digest().len(), 64);
        assert_eq!(
            reasons(
                &sources.reader("aws-cloudtrail").expect("absent"),
                r#"{"t":1790000000,"i":"x","a":"y"}"#
            ),
            [Ok("x".into())]
        );
        fs::write(folder.path().join("c.yaml"), file("mine")).expect("not written");
        assert!(matches!(
            Sources::load(Some(folder.path())),
            Err(Failure::Invalid(_))
        ));
    }

    #[test]
    fn faults_name_the_file_or_the_source() {
        let folder = tempfile::tempdir().expect("no folder");
        fs::write(folder.path().join("bad.yaml"), "name: x\nnmae: y\n").expect("not written");
        let fault = Sources::load(Some(folder.path()))
            .expect_err("taken")
            .to_string();
        assert!(
            fault.contains("bad.yaml") && fault.contains("line 2"),
            "{fault}"
        );
        let missing = Sources::load(Some(&folder.path().join("none")));
        assert!(matches!(missing, Err(Failure::Environment(_))));
        let sources = Sources::load(None).expect("refused");
        let fault = sources
            .reader("aws-cloudtrial")
            .expect_err("taken")
            .to_string();
        assert!(fault.contains("did you mean `aws-cloudtrail`"), "{fault}");
    }
}
