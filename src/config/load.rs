//! Reads the file and finds everything that is wrong with it.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::problem::{ConfigErrors, Problem};
use super::tree::Node;
use super::{Config, rules};

/// No configuration is larger, in bytes; whatever is was given by mistake.
const SIZE_MAX: u64 = 1 << 20;

/// Problems shown of one file; after so many it is another kind of file.
const PROBLEMS_MAX: usize = 50;

impl Config {
    /// The configuration in `file`, or the defaults without one. The names of mappings are not
    /// checked; see [`Config::load_knowing`].
    ///
    /// # Errors
    ///
    /// All that is wrong with the file at once, or that it cannot be read.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::load_knowing(file, None)
    }

    /// As [`Config::load`], and every source's mapping must be `auto` or one of `mappings`.
    ///
    /// # Errors
    ///
    /// All that is wrong with the file at once, or that it cannot be read.
    pub fn load_knowing(
        file: Option<&Path>,
        mappings: Option<&[&str]>,
    ) -> Result<Self, ConfigErrors> {
        let Some(file) = file else {
            return Ok(Self::default());
        };
        let text = contents(file, SIZE_MAX)
            .map_err(|reason| ConfigErrors::unreadable("config file", file, reason))?;
        Self::parse(&text, mappings).map_err(|problems| ConfigErrors::Invalid {
            file: file.to_owned(),
            text,
            problems,
        })
    }

    /// The configuration in `text`.
    ///
    /// # Errors
    ///
    /// All that is wrong with it, in the order of the text.
    pub fn parse(text: &str, mappings: Option<&[&str]>) -> Result<Self, Vec<Problem>> {
        let mut reading = Reading::<Self>::of(text);
        let Some(config) = reading.value.take() else {
            return reading.finish(Self::default());
        };
        let broken = rules::broken(&config, &reading.sound, &reading.tree, mappings);
        reading.problems.extend(broken);
        reading.finish(config)
    }
}

/// A YAML text read as a `T`, and all that is wrong with it.
pub(crate) struct Reading<T> {
    /// What fits; nothing where too much is wrong.
    pub(crate) value: Option<T>,
    /// What does not.
    pub(crate) problems: Vec<Problem>,
    /// The whole text.
    tree: Node,
    /// What of it the value was made of.
    sound: Node,
}

impl<T: DeserializeOwned> Reading<T> {
    /// Reads `text`.
    pub(crate) fn of(text: &str) -> Self {
        let (tree, mut problems) = Node::parse(text);
        let mut sound = tree.clone();
        // Each error ends a reading; what it is about is taken out, and the rest is read again.
        let value = loop {
            match T::deserialize(&sound) {
                Ok(value) => break Some(value),
                Err(misfit) => {
                    let problem = misfit.problem();
                    let removed = sound.remove(&problem.at);
                    problems.push(problem);
                    if !removed || problems.len() >= PROBLEMS_MAX {
                        break None;
                    }
                }
            }
        };
        Self {
            value,
            problems,
            tree,
            sound,
        }
    }
}

impl<T> Reading<T> {
    /// Where what stands at `path` of the value stands in the text.
    pub(crate) fn place(&self, path: &[&str]) -> Range<usize> {
        self.sound.find(path).map_or(0..0, |node| node.at.clone())
    }

    /// What became of it: `whole` where nothing is wrong.
    ///
    /// # Errors
    ///
    /// The problems, in the order of the text.
    pub(crate) fn finish<W>(mut self, whole: W) -> Result<W, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(whole);
        }
        self.problems.sort_by_key(|problem| problem.at.start);
        self.problems.truncate(PROBLEMS_MAX);
        Err(self.problems)
    }
}

/// The text of `file`, of at most `size_max` bytes.
///
/// # Errors
///
/// Why it cannot be read.
pub(crate) fn contents(file: &Path, size_max: u64) -> Result<String, String> {
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    opened
        .take(size_max + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > size_max {
        return Err(format!(
            "it is larger than {} MiB; is it the right file?",
            size_max >> 20
        ));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text; is it the right file?".into())
}
