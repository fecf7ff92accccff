//! The JSON documents in a record's bytes, and the events in their envelopes.

use serde_json::Value;

use super::unwrap::unwrap;
use crate::wire::{Reason, Reject};

/// Gives `each` every event in the documents of `bytes`; `known` says what is an event.
///
/// Documents follow one another with or without white space between; what follows a broken one
/// cannot be told apart and is lost with it.
pub(super) fn read(
    bytes: &[u8],
    known: &dyn Fn(&Value) -> bool,
    each: &mut dyn FnMut(Result<&Value, Reject>),
) {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text.trim_start_matches('\u{feff}'),
        Err(error) => return each(Err(Reject::new(Reason::Utf8, error))),
    };
    if text.trim_ascii().is_empty() {
        return each(Err(Reject::new(Reason::Empty, "the record has no value")));
    }
    for document in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        match document {
            Ok(document) => unwrap(&document, known, each),
            Err(error) => return each(Err(Reject::new(Reason::Json, error))),
        }
    }
}
