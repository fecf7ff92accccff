//! How scenarios are asked for: `none`, `all`, or a list such as `A3,A5x2`.

use std::fmt;

/// How often one scenario may be asked for.
const MOST: usize = 1000;

/// A list of scenarios that cannot be read: the item, and what could stand there.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{item}: use none, all, standard, or a list of {first} to {last} such as {example}")]
pub struct ListError {
    item: Mistake,
    first: &'static str,
    last: &'static str,
    example: &'static str,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Mistake {
    Unknown(String),
    Times(String),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(item) if item.is_empty() => write!(f, "an item of the list is empty"),
            Self::Unknown(item) => write!(f, "unknown scenario `{item}`"),
            Self::Times(item) => {
                write!(f, "`{item}` must end in x and a number from 1 to {MOST}")
            }
        }
    }
}

/// Reads a list of the scenarios `all`, each known by its `code` and perhaps repeated.
pub(super) fn list<T: Copy>(
    text: &str,
    all: &[T],
    code: impl Fn(T) -> &'static str,
    example: &'static str,
) -> Result<Vec<T>, ListError> {
    let wrong = |item| ListError {
        item,
        first: all.first().map_or("", |&first| code(first)),
        last: all.last().map_or("", |&last| code(last)),
        example,
    };
    let mut asked = Vec::new();
    for item in text.split(',').map(str::trim) {
        let (name, times) = match item.split_once('x') {
            Some((name, times)) => (name, times.parse().unwrap_or(0)),
            None => (item, 1),
        };
        let known = all
            .iter()
            .find(|&&one| code(one).eq_ignore_ascii_case(name));
        let Some(&known) = known else {
            return Err(wrong(Mistake::Unknown(item.to_owned())));
        };
        if !(1..=MOST).contains(&times) {
            return Err(wrong(Mistake::Times(item.to_owned())));
        }
        asked.extend(std::iter::repeat_n(known, times));
    }
    Ok(asked)
}
