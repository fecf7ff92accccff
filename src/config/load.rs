//! Reads the file and finds everything that is wrong with it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::Deserialize as _;

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
        let text = read(file).map_err(|reason| ConfigErrors::unreadable(file, reason))?;
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
        let (tree, mut problems) = Node::parse(text);
        let mut sound = tree.clone();
        // Each error ends a reading; what it is about is taken out, and the rest is read again.
        let config = loop {
            match Self::deserialize(&sound) {
                Ok(config) => break Some(config),
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
        if let Some(config) = &config {
            problems.extend(rules::broken(config, &sound, &tree, mappings));
        }
        problems.sort_by_key(|problem| problem.at.start);
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }
}

fn read(file: &Path) -> Result<String, String> {
    let opened = File::open(file).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    opened
        .take(SIZE_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err("it is larger than 1 MiB; is it the right file?".into());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text; is it the right file?".into())
}
